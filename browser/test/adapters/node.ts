// The stories that need no page, and those of Node.js alone.

import { Readable } from "node:stream";
import test from "node:test";
import axios from "axios";
import { attach } from "../../src/axios.js";
import { BodyNotReplayableError } from "../../src/index.js";
import { stories as axiosStories } from "./axios.js";
import { stories as fits } from "./fits.js";
import { equal, expire, failure, ok, open, type Story, type World } from "./world.js";

const own: Record<string, Story> = {
  async "a stream is not sent half-read: the error says so, and the caller's next try works"(world) {
    const auth = await open(world);
    const http = attach(auth, axios.create({ baseURL: world.url }));
    const body = () => Readable.from(["a ", "stream"]);
    await expire(world);
    const error = await failure(http.post("/api/echo", body()));
    ok(axios.isAxiosError(error) && error.cause instanceof BodyNotReplayableError, String(error));
    equal((await http.post("/api/echo", body())).data.body, "a stream", "the next try");
  },

  async "a download may be a stream"(world) {
    const auth = await open(world);
    const http = attach(auth, axios.create({ baseURL: world.url }));
    await expire(world);
    const { data } = await http.get("/api/file", { responseType: "stream" });
    let text = "";
    for await (const chunk of data) text += chunk;
    equal(text, "a file", "the stream");
  },
};

const world: World = { url: process.env.SERVER!, elsewhere: process.env.ELSEWHERE! };
for (const [name, story] of Object.entries({ ...axiosStories, ...fits, ...own })) {
  test(name, () => story(world));
}
