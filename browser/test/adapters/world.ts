// What the stories of the adapters share. A story runs in a page and, if it needs none, in
// Node.js.

import { type Auth, type AuthOptions, createAuth } from "../../src/index.js";

export interface World {
  url: string; // of the server
  elsewhere: string; // an origin that gets no token
}

export type Story = (world: World) => Promise<unknown>;

export const password = "correct horse";

let count = 0;

/** open creates a session of a tab's own, and signs in. */
export async function open(world: World, options: AuthOptions = {}, username = "ann"): Promise<Auth> {
  const isInPage = typeof indexedDB !== "undefined";
  const auth = createAuth({ url: world.url, storage: isInPage ? { key: "story" + ++count } : "memory", ...options });
  await auth.signIn({ username, password });
  return auth;
}

/** expire has all access tokens run out, which their holders do not know. */
export const expire = (world: World) => fetch(world.url + "/test/expire", { method: "POST" });

export const refreshes = (world: World): Promise<number> => fetch(world.url + "/test/refreshes").then((r) => r.json());

/** end ends the session behind the SDK's back. */
export async function end(world: World, auth: Auth) {
  await fetch(world.url + "/auth/sessions", { method: "DELETE", headers: { Authorization: "Bearer " + auth.accessToken } });
}

/** A network that holds refreshes up, or answers 503 in place of the server. */
export class Network {
  isDown = false;
  private held?: Promise<void>;
  private letGo = () => {};
  private arrived = () => {};

  readonly fetch: typeof fetch = async (input, init) => {
    if (String(input).endsWith("/auth/refresh-token")) {
      if (this.isDown) return new Response("", { status: 503, headers: { "Retry-After": "60" } });
      this.arrived();
      await this.held;
    }
    return fetch(input, init);
  };

  /** hold returns a promise that is fulfilled when a refresh is under way. */
  hold(): Promise<void> {
    this.held = new Promise((resolve) => (this.letGo = resolve));
    return new Promise((resolve) => (this.arrived = resolve));
  }

  release() {
    this.letGo();
    this.held = undefined;
  }
}

export function equal(actual: unknown, expected: unknown, what: string) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: ${a}, want ${e}`);
}

export function ok(value: unknown, what: string): asserts value {
  if (!value) throw new Error(what);
}

/** failure returns what a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<any> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("there was no error");
}

export const times = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));
