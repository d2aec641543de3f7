import { type UploadOptions, uploadWith } from "../../src/upload.js";
import { end, equal, expire, failure, Network, ok, open, type Story } from "./world.js";
import { type Auth, isEnded } from "../../src/index.js";

// upload does what a component does, and returns what it is told in the end.
function upload(auth: Auth, options: Partial<UploadOptions> & { action: string }) {
  let request!: XMLHttpRequest;
  const body = new Promise<any>((onSuccess, onError) => {
    const file = new File([new Uint8Array(1 << 20)], "large");
    request = uploadWith(auth)({ file, onSuccess, onError, ...options });
  });
  return { body, request };
}

export const stories: Record<string, Story> = {
  async "an upload of Element Plus or Ant Design goes on after an expiry, with its progress"(world) {
    const auth = await open(world, { headers: () => ({ "tenant-id": "7" }) });
    await expire(world);
    const percents: number[] = [];
    const { body, request } = upload(auth, {
      action: world.url + "/api/echo",
      method: "post",
      filename: "file",
      data: { folder: 1, tags: ["a", "b"] },
      headers: { "X-Own": "1", "X-None": null },
      onProgress: ({ percent }) => percents.push(percent),
    });
    ok(request instanceof XMLHttpRequest, "Element Plus aborts nothing else");
    const answer = await body;
    equal([answer.size, answer.fields], [1 << 20, { folder: ["1"], tags: ["a", "b"] }], "what has arrived");
    equal([answer.headers["x-own"], answer.headers["x-none"], answer.headers["tenant-id"]], ["1", undefined, "7"], "the headers");
    equal(percents[percents.length - 1], 100, "the progress");
  },

  async "an upload that is aborted during a refresh is not sent again"(world) {
    const network = new Network();
    const auth = await open(world, { fetch: network.fetch });
    await expire(world);
    const isRefreshing = network.hold();
    const { body, request } = upload(auth, { action: world.url + "/api/echo" });
    body.catch(() => {});
    let sent = 0;
    await isRefreshing;
    request.addEventListener("loadstart", () => sent++);
    request.abort();
    network.release();
    await auth.getAccessToken({ force: true });
    equal(sent, 0, "uploads after the abort");
  },

  async "an upload that fails says why"(world) {
    const auth = await open(world);
    equal((await failure(upload(auth, { action: world.url + "/api/missing" }).body)).status, 404, "a refusal's status");
    await end(world, auth);
    ok(isEnded(await failure(upload(auth, { action: world.url + "/api/echo" }).body)), "the end of the session");
  },

  async "an upload in an envelope with status 200 may be refused"(world) {
    const auth = await open(world, {
      url: world.url + "/envelope",
      read: ({ code, data }) => (code === 0 ? data : undefined),
      isRefused: async (answer) => (await answer.json()).code === 401,
    });
    await expire(world);
    equal((await upload(auth, { action: world.url + "/envelope/api/echo" }).body).data.size, 1 << 20, "what has arrived");
  },

  async "an upload to another origin has no token"(world) {
    const auth = await open(world);
    equal(await upload(auth, { action: world.elsewhere + "/headers" }).body, { authorization: "" }, "the credentials");
  },
};
