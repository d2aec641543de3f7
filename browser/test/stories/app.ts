// The app of the stories. It uses the SDK as a classic script.

import type * as SDK from "../../src/index.js";

declare const tandem: typeof SDK;
const page = globalThis as any;

const key = "tandem";
const heard: [string, any][] = [];
let pending: Promise<string[]> = Promise.resolve([]);
let times: number[] = [];

const options = JSON.parse(sessionStorage.options || "{}");
const auth = (page.auth = tandem.createAuth({ ...options, fetch: (...args) => page.send(...args) }));
page.send = (...args: Parameters<typeof fetch>) => fetch(...args);
for (const event of ["refreshed", "refreshFailed", "ended", "signedIn", "signedOut", "userChanged", "problem"] as const) {
  auth.on(event, (detail) => heard.push([event, detail]));
}

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    const value = await promise;
    return value instanceof Response ? String(value.status) : "ok";
  } catch (error: any) {
    return [error.code || error, error.reason].filter(Boolean).join(" ").replace("session_ended", "ended");
  }
}

// summary says how often each outcome came.
function summary(outcomes: string[]): string {
  const counts: Record<string, number> = {};
  outcomes.forEach((outcome) => (counts[outcome] = (counts[outcome] || 0) + 1));
  return Object.keys(counts).map((outcome) => `${counts[outcome]} × ${outcome}`).join(", ");
}

function begin(count: number, by: SDK.Auth) {
  const from = performance.now();
  return Promise.all(Array.from({ length: count }, async (_, n) => {
    const outcome = await outcomeOf(by.fetch(`${options.url || ""}/api/hello?n=${n}`, { cache: "no-store" }));
    times.push(performance.now() - from);
    return outcome;
  }));
}

const result = <T>(request: IDBRequest<T>) => new Promise<T>((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function records(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const database: IDBDatabase = await result(indexedDB.open(key));
  return database.transaction("kept", mode).objectStore("kept");
}

page.app = {
  signIn: (username: string, password: string) => outcomeOf(auth.signIn({ username, password })),
  signOut: () => outcomeOf(auth.signOut()),
  token: () => outcomeOf(auth.getAccessToken()),
  fire: (count: number, by = auth) => begin(count, by).then(summary),
  begin(count: number) {
    times = [];
    pending = begin(count, auth);
    return "begun";
  },
  outcomes: () => pending.then(summary),
  slowest: () => Math.max(...times),
  // post sends a MiB, and returns what the server says of it.
  async post(kind: "form" | "blob" | "request" | "stream") {
    const blob = new Blob(["x".repeat(1 << 20)], { type: "text/plain" });
    const form = new FormData();
    form.append("file", blob, "a.txt");
    const init = { method: "POST", body: kind === "form" ? form : kind === "stream" ? blob.stream() : blob };
    // Chromium sends streams over HTTP/2 alone: this page reads them, and sends what it has read.
    page.send = async (url: any, init: any = {}) =>
      fetch(url, init.body instanceof ReadableStream ? { ...init, body: await new Response(init.body).blob() } : init);
    try {
      return await (await auth.fetch(kind === "request" ? new Request("/api/body", init) : "/api/body", kind === "request" ? {} : init)).text();
    } catch (error: any) {
      return error.code || String(error);
    }
  },
  // steal takes the refresh token, and thieve refreshes twice with it, as if elsewhere.
  async steal() {
    page.loot = (await page.app.readRecord()).pair.refreshToken;
    return "stolen";
  },
  async thieve() {
    for (let n = 0; n < 2; n++) {
      const headers = { "Content-Type": "application/json" };
      const response = await fetch("/auth/refresh-token", { method: "POST", headers, body: JSON.stringify({ refreshToken: page.loot }) });
      if (!response.ok) return "refused";
      page.loot = (await response.json()).refreshToken;
    }
    return "twice";
  },
  heard: (event: string) => heard.filter(([name]) => name === event).map(([, detail]) => detail),
  // secrets names the places where a script finds a token.
  async secrets() {
    const places: Record<string, string> = {
      IndexedDB: JSON.stringify(await page.app.readRecord()), localStorage: JSON.stringify(localStorage), cookies: document.cookie,
    };
    const isSecret = (text: string) => text.includes("tandem_rt_") || text.includes(auth.accessToken!);
    return Object.keys(places).filter((place) => isSecret(places[place])).join() || "none";
  },
  another() {
    page.another = tandem.createAuth();
    return page.another.ready.then(() => page.another.state.status);
  },
  setWallClock(ahead: number) {
    const now = (page.realNow = page.realNow || Date.now);
    Date.now = () => now() + ahead;
    return "set";
  },
  // With the second request of the API from now on, so many ms pass.
  setEvenClockWithTheNextReplay(ahead: number) {
    let requests = 0;
    page.send = async (...args: Parameters<typeof fetch>) => {
      const response = await fetch(...args);
      if (String(args[0]).startsWith("/api/") && ++requests === 2) {
        const now = performance.now.bind(performance);
        performance.now = () => now() + ahead;
      }
      return response;
    };
    return "set";
  },
  breakStorage() {
    IDBObjectStore.prototype.put = function () {
      this.transaction.abort();
      return {} as any;
    };
    return "broken";
  },
  // What an old browser, or a page that is not secure, lacks.
  poverty: `for (const [object, name] of [
      [window, "indexedDB"], [window, "localStorage"], [window, "BroadcastChannel"], [Navigator.prototype, "locks"],
      [AbortSignal, "timeout"], [Crypto.prototype, "subtle"],
    ]) Object.defineProperty(object, name, { value: undefined, configurable: true });`,
  async readRecord(name: IDBValidKey = 0) {
    return result((await records("readonly")).get(name));
  },
  async writeRecord(record: unknown) {
    await result((await records("readwrite")).put(record, 0));
    return "written";
  },
  // count adds to two counters under a lock: in localStorage and in IndexedDB.
  count(times: number) {
    page.app.counted = (async () => {
      for (let n = 0; n < times; n++) {
        await navigator.locks.request("counter", async () => {
          localStorage.counter = Number(localStorage.counter || 0) + 1;
          const store = await records("readwrite");
          await result(store.put(((await result(store.get("counter"))) || 0) + 1, "counter"));
        });
      }
      return true;
    })();
    return "begun";
  },
};
