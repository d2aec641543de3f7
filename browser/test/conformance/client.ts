// One client of a scenario (docs/conformance.md): an SDK in a tab, or in Node.js. The
// player, which is in Go, tells it what to do.

import {
  type Auth, BodyNotReplayableError, createAuth, EndedError, InvalidCredentialsError, isTemporary, isUserChanged,
} from "../../src/index.js";

export interface Settings {
  url: string;
  key: string;
  now: number;
  users: Record<string, string>;
  client: { origins?: string[]; refreshAhead?: number; refreshTimeout?: number; onEnd?: string; rejectedBody?: string };
}

export interface RequestStep {
  as: string;
  url: string;
  count: number;
  method?: string;
  body?: { kind: "text" | "stream" | "form"; length: number };
}

interface Requests {
  controller: AbortController;
  outcomes: Promise<string[]>;
}

let now = Date.now();

// installClock has all clients of this page live by a clock that stands still until the
// player moves it, so that no token runs out because the machine is busy.
export function installClock() {
  const start = now - performance.now();
  Date.now = () => now;
  performance.now = () => now - start;
}

// setClock moves the clock to a time in ms since 1970. All tabs are told the same.
export function setClock(time: number) {
  now = time;
}

export function createClient({ url, key, users, client }: Settings) {
  const { origins, refreshAhead, refreshTimeout, onEnd, rejectedBody } = client;
  const ends: string[] = [];
  let underWay = 0; // calls
  const queue: (() => void)[] = [];
  // A browser opens six connections to a server, Node.js as many as there are requests.
  const counted: typeof fetch = async (...args) => {
    if (++underWay > 6) await new Promise<void>((resolve) => queue.push(resolve));
    try {
      return await fetch(...args);
    } finally {
      underWay--;
      queue.shift()?.();
    }
  };
  const auth: Auth = createAuth({
    url, origins, refreshAhead, timeout: refreshTimeout && refreshTimeout * 1000, storage: { key }, fetch: counted,
    isRefused: rejectedBody ? async (response) => (await response.text()).includes(rejectedBody) : undefined,
  });
  const requests: Record<string, Requests> = {};
  auth.on("ended", ({ reason }) => {
    ends.push(reason);
    return onEnd && auth.signIn({ username: onEnd, password: users[onEnd] });
  });

  function start({ as, url, count, method, body }: RequestStep) {
    const controller = new AbortController();
    const outcomes = Promise.all(Array.from({ length: count }, (_, n) => {
      const init: RequestInit & { duplex?: string } = {
        cache: "no-store", // a browser sends requests for the same address one after the other, to cache the answer
        method: method || (body ? "POST" : "GET"), signal: controller.signal, body: body && bodyOf(body),
        headers: { "Suite-Request": `${as} #${n + 1}`, "Suite-Length": String(body ? body.length : 0) },
      };
      if (body && body.kind === "stream") init.duplex = "half";
      return outcomeOf(auth.fetch(url, init).then(async (response) => {
        await response.arrayBuffer();
        return String(response.status);
      }));
    }));
    requests[as] = { controller, outcomes };
  }

  return {
    signIn: (username: string, password: string) => outcomeOf(auth.signIn({ username, password }).then(() => "ok")),
    signOut: () => outcomeOf(auth.signOut().then(() => "ok")),
    start,
    join: (as: string) => requests[as].outcomes,
    cancel: (as: string) => requests[as].controller.abort(),
    // settled waits until the client has had all answers, and has done with them.
    async settled() {
      do await new Promise((resolve) => setTimeout(resolve, 10));
      while (underWay > 0);
    },
    ends: () => ends,
    close: () => auth.dispose(),
  };
}

export type Client = ReturnType<typeof createClient>;

// signedIn returns the user whose session the store has, or "".
export async function signedIn(key: string): Promise<string> {
  const database: IDBDatabase = await result(indexedDB.open(key));
  const kept: any = await result(database.transaction("kept").objectStore("kept").get(0));
  database.close();
  return (kept && kept.pair && kept.pair.username) || "";
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function bodyOf({ kind, length }: { kind: string; length: number }): BodyInit {
  const text = Array.from({ length }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
  if (kind === "text") return text;
  if (kind === "form") {
    const form = new FormData();
    form.append("body", text);
    return form;
  }
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      controller.close();
    },
  });
}

async function outcomeOf(promise: Promise<string>): Promise<string> {
  try {
    return await promise;
  } catch (error: any) {
    if (error instanceof EndedError) return "ended " + error.reason;
    if (isTemporary(error)) return "temporary";
    if (isUserChanged(error)) return "userChanged";
    if (error instanceof BodyNotReplayableError) return "bodyNotReplayable";
    if (error instanceof InvalidCredentialsError) return "wrongCredentials";
    return error.name === "AbortError" ? "aborted" : "failed: " + error;
  }
}
