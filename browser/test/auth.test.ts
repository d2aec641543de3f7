// An app that knows nothing of Tandem's server, in Node.js: there is no page here, no
// storage and no other tab. (The real server and real tabs are in the Go tests.)

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import {
  type Auth, type AuthOptions, BodyNotReplayableError, createAuth, EndedError, type Grant, InvalidCredentialsError, isEnded, isTemporary, isUserChanged, TemporaryError,
} from "../src/index.js";
import { textbookServer } from "./server.js";

async function open(t: TestContext, options: AuthOptions = {}) {
  const server = await textbookServer();
  t.after(server.close);
  const auth = createAuth({
    url: server.url, forgiving: false,
    endpoints: { signIn: "/login", refresh: "/refresh" },
    read(body) {
      if (body.code === 1401) throw new EndedError("expired");
      if (body.code === 1002) throw new InvalidCredentialsError();
      return body.code === 0 ? { ...body.data, expiresIn: body.data.expires } : undefined;
    },
    isRefused: async (response) => (await response.json()).code === 401,
    headers: () => ({ "tenant-id": "7" }),
    ...options,
  });
  t.after(auth.dispose);
  return { auth, server };
}

const signIn = (auth: Auth) => auth.signIn({ username: "ann", password: "nna" });

const texts = (responses: Response[]) => Promise.all(responses.map(async (response) => (await response.json()).data));

test("fifty requests that a server refuses with status 200 make one refresh", async (t) => {
  const { auth, server } = await open(t);
  await signIn(auth);
  server.expire();
  const responses = await Promise.all(Array.from({ length: 50 }, (_, n) => auth.fetch(`${server.url}/api`, { method: "POST", body: `${n}` })));
  assert.deepEqual(await texts(responses), Array.from({ length: 50 }, (_, n) => `${n}`));
  assert.equal(server.calls("/refresh").length, 1);
  assert.ok(server.seen.every(({ tenant }) => tenant === "7"), "every call has the app's headers");
});

test("the end is told once, with the reason that the app reads from the answer", async (t) => {
  const { auth, server } = await open(t);
  const reasons: string[] = [];
  auth.on("ended", ({ reason }) => reasons.push(reason));
  await signIn(auth);
  server.end();
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => auth.fetch(`${server.url}/api`)));
  assert.ok(outcomes.every((outcome) => outcome.status === "rejected" && isEnded(outcome.reason)));
  assert.deepEqual(reasons, ["expired"]);
  assert.deepEqual(auth.state, { status: "signedOut", endedReason: "expired" });
});

test("a listener to the end may make requests of its own, and hangs nobody", async (t) => {
  const { auth, server } = await open(t);
  const outcomes: boolean[] = [];
  auth.on("ended", async () => {
    await auth.fetch(`${server.url}/api`).catch((error) => outcomes.push(isEnded(error)));
    const response = await auth.fetch(`${server.url}/api`, { session: false });
    outcomes.push(response.ok);
  });
  await signIn(auth);
  server.end();
  await assert.rejects(auth.fetch(`${server.url}/api`), isEnded);
  assert.deepEqual(outcomes, [true, true]);
});

test("a request goes on after a sign-in in place", async (t) => {
  const { auth, server } = await open(t, { refresher: async () => { throw new EndedError("revoked"); } });
  auth.on("ended", () => signIn(auth));
  await signIn(auth);
  server.expire();
  const response = await auth.fetch(`${server.url}/api`, { method: "POST", body: "hello" });
  assert.deepEqual(await texts([response]), ["hello"]);
  assert.equal(server.calls("/login").length, 2);
});

test("a public call is sent as it is, and so is one with its own authorization", async (t) => {
  const { auth, server } = await open(t);
  await signIn(auth);
  server.expire();
  await auth.fetch(`${server.url}/public`, { session: false });
  await auth.fetch(`${server.url}/own`, { headers: { Authorization: "Basic abc" } });
  await auth.fetch(`${server.url}/login`, { method: "POST", body: "{}" });
  assert.equal(server.calls("/public")[0].authorization, undefined);
  assert.equal(server.calls("/own")[0].authorization, "Basic abc");
  assert.equal(server.calls("/login")[1].authorization, undefined);
  assert.equal(server.calls("/refresh").length, 0);
});

test("the token goes to the app's origins alone, and to no address that only looks like one", async (t) => {
  const asked: string[] = [];
  const { auth, server } = await open(t, {
    origins: ["https://api.example.com", "https://example.com/api/"],
    fetch: async (input, init) => {
      if (!String(input).startsWith("https:")) return fetch(input, init);
      if (new Headers(init!.headers).has("Authorization")) asked.push(String(input));
      return new Response("{}");
    },
  });
  await signIn(auth);
  const allowed = [
    "https://api.example.com", "https://api.example.com/x", "https://API.example.com:443/x", "https://example.com/api",
    "https://example.com/api/x", "https://example.com/api?x",
  ];
  const others = [
    "https://example.com/", "https://example.com/apix", "https://example.com/api/../x", "https://example.com/api/%2e%2e/x",
    "https://api.example.com.evil.com/", "https://api.example.com@evil.com/", "https://api.example.com:8443/", "https://evil.com/https://api.example.com/",
  ];
  for (const url of [...allowed, ...others]) await auth.fetch(url);
  assert.deepEqual(asked, allowed);
  assert.ok(server);
});

test("a Request is sent again with its body, a stream is not", async (t) => {
  const { auth, server } = await open(t);
  await signIn(auth);
  server.expire();
  const response = await auth.fetch(new Request(`${server.url}/api`, { method: "POST", body: "hello" }));
  assert.deepEqual(await texts([response]), ["hello"]);
  server.expire();
  const stream = () => ({ method: "POST", body: new Blob(["hello"]).stream(), duplex: "half" }) as RequestInit;
  await assert.rejects(auth.fetch(`${server.url}/api`, stream()), (error) =>
    error instanceof BodyNotReplayableError && error.response instanceof Response);
  assert.deepEqual(await texts([await auth.fetch(`${server.url}/api`, stream())]), ["hello"]);
});

test("a caller that gives up leaves at once, and the refresh goes on", async (t) => {
  let grant = (_: Grant) => {};
  let asked = () => {};
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const { auth } = await open(t, {
    refresher: () => new Promise<Grant>((resolve) => {
      grant = resolve;
      asked();
    }),
  });
  await signIn(auth);
  const controller = new AbortController();
  const hasty = auth.getAccessToken({ force: true, signal: controller.signal });
  const patient = auth.getAccessToken({ force: true });
  controller.abort();
  await assert.rejects(hasty, { name: "AbortError" });
  await isAsked;
  grant({ accessToken: "next", refreshToken: "refresh", expiresIn: 60 });
  assert.equal(await patient, "next");
});

test("tokens of an earlier store are adopted, without an access token too", async (t) => {
  const { auth, server } = await open(t);
  await fetch(`${server.url}/login`, { method: "POST" });
  await auth.adopt({ refreshToken: "refresh-1", username: "ann" });
  assert.equal(auth.state.username, "ann");
  assert.equal((await auth.fetch(`${server.url}/api`)).status, 200);
  assert.equal(server.calls("/refresh").length, 1);
  await assert.rejects(auth.adopt({ accessToken: "un\ndefined", refreshToken: "r" }));
});

test("a sign-in that fails says why, and ends no session", async (t) => {
  const { auth, server } = await open(t);
  await auth.adopt({ accessToken: "a", refreshToken: "r", username: "ann" });
  for (const [status, body, error] of <[number, unknown, object][]>[
    [401, { error: "invalid_credentials" }, { code: "invalid_credentials", body: { error: "invalid_credentials" } }],
    [403, { error: "captcha_required" }, { code: "sign_in_refused", status: 403, body: { error: "captcha_required" } }],
    [400, undefined, { code: "sign_in_refused", status: 400, body: undefined }],
    [429, {}, { code: "temporary" }],
    [503, {}, { code: "temporary" }],
    [200, { code: 1002 }, { code: "invalid_credentials" }],
  ]) {
    server.refuseSignIns(status, body);
    await assert.rejects(signIn(auth), error);
  }
  assert.equal(auth.state.username, "ann");
  assert.equal(server.calls("/refresh").length, 0);
});

test("the state is one object until it changes", async (t) => {
  const { auth } = await open(t);
  let changes = 0;
  const stop = auth.subscribe(() => changes++);
  auth.on("signedIn", () => { throw new Error("a listener's own mistake"); });
  t.mock.method(console, "error", () => {});
  const before = auth.state;
  assert.equal(auth.state, before);
  await signIn(auth);
  assert.notEqual(auth.state, before);
  assert.equal(auth.state, auth.state);
  await Promise.resolve();
  assert.equal(changes, 1);
  stop();
  await auth.signOut().catch(() => {});
  assert.equal(auth.state.status, "signedOut");
  assert.equal(changes, 1);
});

test("a line for each refresh, without a token", async (t) => {
  const lines: string[] = [];
  const { auth, server } = await open(t, { debug: (line) => lines.push(line) });
  await signIn(auth);
  server.expire();
  await Promise.all([1, 2, 3].map(() => auth.fetch(`${server.url}/api`)));
  assert.equal(lines.length, 1);
  assert.match(lines[0], /^tandem \w{1,4}: refresh: done \(401; \d waited, \d+ ms\)$/);
});

test("errors are told apart through what wraps them", () => {
  const wrapped = (error: Error) => Object.assign(new Error("Network Error"), { code: "ERR_NETWORK", cause: error });
  assert.ok(isEnded(wrapped(new EndedError("revoked", "1"))));
  assert.ok(isTemporary(wrapped(wrapped(new TemporaryError("no answer")))));
  assert.ok(!isUserChanged(wrapped(new TemporaryError("no answer"))));
  assert.ok(!isEnded(undefined));
  const circular: any = {};
  circular.cause = circular;
  assert.ok(!isEnded(circular));
});
