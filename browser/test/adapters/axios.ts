import axios, { type AxiosInstance, type InternalAxiosRequestConfig, isAxiosError, isCancel } from "axios";
import { attach } from "../../src/axios.js";
import { type Auth, EndedError, isEnded, isTemporary, isUserChanged } from "../../src/index.js";
import { end, equal, expire, failure, Network, ok, open, password, refreshes, type Story, times, type World } from "./world.js";

// api returns an instance with what admin templates have: a cipher, a counter in place of
// a loading bar, and a tenant.
function api(auth: Auth, world: World, config = {}) {
  const http = attach(auth, axios.create({ baseURL: world.url + "/api", ...config }));
  const seen = { requests: 0, answers: 0, failures: 0 };
  http.interceptors.request.use((config) => {
    seen.requests++;
    config.headers.set("tenant-id", "7");
    if (config.data && !(config.data instanceof FormData)) config.data = { cipher: btoa(JSON.stringify(config.data)) };
    return config;
  });
  http.interceptors.response.use((answer) => {
    seen.answers++;
    return answer;
  }, (error) => {
    seen.failures++;
    throw error;
  });
  return { http, seen };
}

export const stories: Record<string, Story> = {
  async "50 requests at expiry are one refresh, and the interceptors run once for each"(world) {
    const auth = await open(world, { headers: () => ({ "Accept-Language": "zh", "tenant-id": "1" }) });
    const { http, seen } = api(auth, world);
    await expire(world);
    const before = await refreshes(world);
    const answers = await Promise.all(times(50, (n) => http.post("/echo", { n })));
    equal(await refreshes(world) - before, 1, "refreshes");
    equal(seen, { requests: 50, answers: 50, failures: 0 }, "interceptors");
    answers.forEach(({ data }, n) => {
      equal(JSON.parse(atob(JSON.parse(data.body).cipher)), { n }, "the body, enciphered once");
      equal(data.headers["accept-language"], "zh", "a header of the session's");
      equal(data.headers["tenant-id"], "7", "a header of the request's own");
    });
  },

  async "an upload shows its progress, also when it is sent again"(world) {
    const auth = await open(world);
    const { http } = api(auth, world);
    const size = 1 << 20;
    await expire(world);
    const form = new FormData();
    form.append("file", new Blob([new Uint8Array(size)]), "large");
    form.append("folder", "1");
    const progress: number[] = [];
    const { data } = await http.post("/echo", form, { onUploadProgress: ({ loaded }) => progress.push(loaded) });
    equal(data.size, size, "what has arrived");
    equal(data.fields, { folder: ["1"] }, "the other field");
    ok(progress.length && progress[progress.length - 1] >= size, "the progress reaches the end: " + progress);
  },

  async "a download is a blob or an array buffer"(world) {
    const auth = await open(world, { isRefused: async (answer) => (await answer.json()).code === 401 });
    const { http } = api(auth, world);
    await expire(world);
    const { data: buffer } = await http.get("/file", { responseType: "arraybuffer" });
    equal(new TextDecoder().decode(buffer), "a file", "the buffer");
    if (typeof XMLHttpRequest !== "undefined") {
      const { data: blob } = await http.get("/file", { responseType: "blob" });
      equal(await blob.text(), "a file", "the blob");
    }
    equal((await http.get("/nothing")).status, 204, "an answer without a body");
  },

  async "who cancels leaves at once, and the others get their answers"(world) {
    const network = new Network();
    const auth = await open(world, { fetch: network.fetch });
    const { http } = api(auth, world);
    let waited = false;
    auth.on("refreshFailed", () => (waited = true));
    const controller = new AbortController();
    const source = axios.CancelToken.source();
    for (const [config, cancel] of [
      [{ signal: controller.signal }, () => controller.abort()],
      [{ cancelToken: source.token }, () => source.cancel("no longer needed")],
    ] as const) {
      await expire(world);
      const isRefreshing = network.hold();
      const cancelled = failure(http.get("/me", config));
      await isRefreshing;
      const other = http.get("/me");
      cancel();
      const error = await cancelled;
      ok(isCancel(error) && !waited, `${Object.keys(config)}: ${error}, after the refresh: ${waited}`);
      network.release();
      equal((await other).data, { username: "ann" }, "the other request");
    }
  },

  async "what the server refuses stays an AxiosError with its response"(world) {
    const auth = await open(world);
    const { http, seen } = api(auth, world);
    const error = await failure(http.get("/missing"));
    ok(isAxiosError(error), String(error));
    equal([error.response!.status, error.code, seen.failures], [404, "ERR_BAD_REQUEST", 1], "the error");
    ok(!isEnded(error) && !isTemporary(error), "it is no error of the session");
    equal((await http.get("/missing", { validateStatus: () => true })).status, 404, "an answer by the request's own rule");
  },

  async "a session that has ended is an AxiosError that isEnded knows"(world) {
    const auth = await open(world);
    const { http } = api(auth, world);
    await end(world, auth);
    const error = await failure(http.get("/me"));
    ok(isAxiosError(error) && isEnded(error), String(error));
    ok(error.cause instanceof EndedError, "the cause: " + error.cause);
    equal(error.code, "session_ended", "the code");
  },

  async "a server that is away does not end the session"(world) {
    const network = new Network();
    const auth = await open(world, { fetch: network.fetch });
    const { http } = api(auth, world);
    await expire(world);
    network.isDown = true;
    const token = auth.accessToken!;
    const error = await failure(http.get("/me"));
    ok(isAxiosError(error) && isTemporary(error) && !isEnded(error), String(error));
    equal(error.response, undefined, "a response that apps take for a sign-out");
    ok(!JSON.stringify(error).includes(token), "the error has the token");
    equal(auth.state.status, "signedIn", "the session");
  },

  async "a request is not sent in the name of the next user"(world) {
    const network = new Network();
    const auth = await open(world, { fetch: network.fetch });
    const { http } = api(auth, world);
    await expire(world);
    const isRefreshing = network.hold();
    const anns = failure(http.get("/me"));
    await isRefreshing;
    await auth.signIn({ username: "bob", password });
    network.release();
    ok(isUserChanged(await anns), "ann's request: " + await anns);
    equal((await http.get("/me")).data, { username: "bob" }, "the next request");
  },

  async "the token goes to the session's origins alone"(world) {
    const auth = await open(world);
    const http = attach(auth, axios.create({ baseURL: world.elsewhere }));
    equal((await http.get("/headers")).data, { authorization: "" }, "by the base URL");
    equal((await http.get(world.url + "/api/me")).data, { username: "ann" }, "an absolute URL of the server's");
    const other = attach(auth, axios.create({ baseURL: world.url }));
    equal((await other.get(world.elsewhere + "/headers")).data, { authorization: "" }, "an absolute URL of another origin");
    equal((await other.get("/public/headers", { session: false })).data, { authorization: "" }, "a public call");
    equal((await other.get("/public/headers", { headers: { Authorization: "Basic eA==" } })).data, { authorization: "Basic eA==" }, "own credentials");
    equal((await other.get("/public/headers", { auth: { username: "x", password: "" } })).data, { authorization: "Basic eDo=" }, "axios's own");
    const before = await refreshes(world);
    equal((await failure(other.get("/api/me", { auth: { username: "x", password: "" } }))).response.status, 401, "a refusal of those");
    equal(await refreshes(world) - before, 0, "refreshes");
  },

  async "a public call works without a session"(world) {
    const auth = await open(world);
    await auth.signOut();
    const { http } = api(auth, world, { baseURL: world.url });
    equal((await http.get("/public/headers", { session: false })).data, { authorization: "" }, "a public call");
    ok(isEnded(await failure(http.get("/api/me"))), "a call that needs a session");
  },

  // A refresh may take longer than the request's time limit.
  async "the adapter beneath runs for an attempt alone, so the time limit does too"(world) {
    const network = new Network();
    const auth = await open(world, { fetch: network.fetch });
    const attempts: InternalAxiosRequestConfig[] = [];
    const beneath = axios.getAdapter(axios.defaults.adapter);
    const { http } = api(auth, world, {
      timeout: 60_000,
      adapter: (config: InternalAxiosRequestConfig) => {
        attempts.push(config);
        return beneath(config);
      },
    });
    await expire(world);
    const isRefreshing = network.hold();
    const answer = http.get("/me");
    await isRefreshing;
    equal(attempts.length, 1, "attempts before the refresh");
    network.release();
    await answer;
    equal(attempts.map(({ timeout }) => timeout), [60_000, 60_000], "the time limits of the attempts");
  },

  async "envelopes with status 200 may refuse"(world) {
    const auth = await open(world, {
      url: world.url + "/envelope",
      read: ({ code, data }) => (code === 0 ? data : undefined),
      isRefused: async (answer) => (await answer.json()).code === 401,
    });
    const { http, seen } = api(auth, world, { baseURL: world.url + "/envelope/api" });
    await expire(world);
    const before = await refreshes(world);
    equal((await http.get("/me")).data, { code: 0, data: { username: "ann" }, msg: "OK" }, "the answer");
    equal(new TextDecoder().decode((await http.get("/file", { responseType: "arraybuffer" })).data), "a file", "a download");
    equal([await refreshes(world) - before, seen.answers], [1, 2], "refreshes, answers");
  },

  async "a request interceptor may set the session's token itself"(world) {
    const auth = await open(world);
    const http = attach(auth, axios.create({ baseURL: world.url }));
    http.interceptors.request.use(async (config) => {
      config.headers.Authorization = "Bearer " + await auth.token();
      return config;
    });
    await expire(world);
    equal((await http.get("/api/me")).data, { username: "ann" }, "the answer");
  },

  async "what an app sends again by itself gets the next token"(world) {
    const auth = await open(world);
    const http: AxiosInstance = attach(auth, axios.create({ baseURL: world.url }));
    const { config } = await failure(http.get("/api/missing"));
    equal(config.headers.has("Authorization"), false, "the token in the error's config");
    await expire(world);
    equal((await failure(http.request(config))).response.status, 404, "sent again");
    equal((await http.get("/api/me")).config.headers.has("Authorization"), false, "the token in the answer's config");
  },

  async "the adapters of axios that are made of fetch work, too"(world) {
    const auth = await open(world);
    const { http } = api(auth, world, { adapter: "fetch" });
    await expire(world);
    equal((await http.get("/me")).data, { username: "ann" }, "the answer");
    equal(JSON.parse((await http.post("/echo", { n: 1 })).data.body).cipher, btoa(`{"n":1}`), "a body");
  },
};
