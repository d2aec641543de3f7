// Other clients, with auth.fetch in the place of fetch.

import { createApi, fetchBaseQuery } from "@reduxjs/toolkit/query";
import { configureStore } from "@reduxjs/toolkit";
import { QueryClient } from "@tanstack/query-core";
import { createAlova } from "alova";
import adapterFetch from "alova/fetch";
import ky from "ky";
import { equal, expire, failure, ok, open, refreshes, type Story, times } from "./world.js";
import { isEnded } from "../../src/index.js";
import { end } from "./world.js";

export const stories: Record<string, Story> = {
  async "ky"(world) {
    const auth = await open(world);
    const api = ky.create({ fetch: auth.fetch, retry: 0 });
    await expire(world);
    const before = await refreshes(world);
    equal(await Promise.all(times(5, () => api.get(world.url + "/api/me").json())), times(5, () => ({ username: "ann" })), "answers");
    equal(await refreshes(world) - before, 1, "refreshes");
    await expire(world);
    const { body } = await api.post(world.url + "/api/echo", { json: { n: 1 } }).json<{ body: string }>();
    equal(body, `{"n":1}`, "a body");
    await end(world, auth);
    ok(isEnded(await failure(api.get(world.url + "/api/me").json())), "ky hands the error on");
  },

  async "alova"(world) {
    const auth = await open(world);
    const alova = createAlova({
      baseURL: world.url, cacheFor: null, requestAdapter: adapterFetch({ customFetch: auth.fetch }),
      responded: (response) => response.json(),
    });
    await expire(world);
    equal(await alova.Get("/api/me"), { username: "ann" }, "the answer");
    await expire(world);
    equal((await alova.Post<{ body: string }>("/api/echo", { n: 1 })).body, `{"n":1}`, "a body");
  },

  async "RTK Query"(world) {
    const auth = await open(world);
    const api = createApi({
      baseQuery: fetchBaseQuery({ baseUrl: world.url + "/api", fetchFn: auth.fetch }),
      endpoints: (build) => ({ me: build.query<{ username: string }, void>({ query: () => "/me" }) }),
    });
    const store = configureStore({ reducer: { [api.reducerPath]: api.reducer }, middleware: (others) => others().concat(api.middleware) });
    await expire(world);
    const { data } = await store.dispatch(api.endpoints.me.initiate());
    equal(data, { username: "ann" }, "the answer");
  },

  async "TanStack Query"(world) {
    const auth = await open(world);
    const client = new QueryClient();
    await expire(world);
    const data = await client.fetchQuery({
      queryKey: ["me"],
      queryFn: async ({ signal }) => (await auth.fetch(world.url + "/api/me", { signal })).json(),
    });
    equal(data, { username: "ann" }, "the answer");
    client.clear();
  },
};
