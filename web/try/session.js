// The client: keeps one user signed in, through every expiry of the access
// token, in all tabs of the browser together.
//
// A request that is refused with 401 waits for one refresh, which all share, and
// is sent once more. This page wants the expiry to be seen: it never refreshes
// ahead of time, as a client that nobody watches would.

import { authServer, EndedError, loginPath, refreshPath, TemporaryError } from "./authserver.js";
import { steady, stopwatch } from "./clock.js";
import { locked } from "./lock.js";
import { after, before, isUnsaved, same } from "./renewal.js";
import { openStore } from "./store.js";

export { EndedError, InvalidCredentialsError, TemporaryError } from "./authserver.js";

// UserChangedError: another user has signed in since the request was made. It is
// not sent in that user's name.
export class UserChangedError extends Error {
  name = "UserChangedError";
}

const attempts = 3; // of one call in a row
const longestPause = 2_000; // ms between two attempts; who asks for more is left alone
const longestBackOff = 30_000; // ms for which a failure is remembered
const clockTolerance = 60_000; // ms by which a pair may seem to have been received in the future
const refusalMemory = 10_000; // ms for which a refused fresh token is the API's last word

// createSession returns the session that the browser keeps, if it keeps one.
//
//   onEvent(type, detail)  hears of all that happens, as it happens: request,
//                          answered, unauthorized, replay, failed (of one request,
//                          with its path); refreshing, refreshed, refreshFailed
//                          (of one attempt), adopted (another tab was faster),
//                          signedIn, signedOut. Never of a token.
//   onEnd(reason)          is called once when the session ends, not for signOut.
//   send                   stands in for fetch.
//   device                 names this browser in the user's list of sessions;
//                          without it the server finds a name.
export function createSession({ onEvent = () => {}, onEnd = () => {}, send = (...args) => fetch(...args), device } = {}) {
  const store = openStore();
  const server = authServer(send, device);

  let live = null; // the pair in use
  let life = { from: 0, until: 0 }; // of its access token, in steady time
  let base = null; // the pair presented last, or known to have been in the store since
  let baseHeldFor = () => null; // for how long it has been presented
  let endedSessionId = ""; // the session that has ended in this tab
  let flight = null; // the refresh under way: a promise
  let failure = { count: 0, until: 0, error: null }; // of refreshes in a row
  let refusedFresh = { accessToken: "", until: 0 };
  let leaving = ""; // the session that this tab is signing out

  const view = (stored) => ({ live, base, baseHeldFor: baseHeldFor(), stored, endedSessionId });

  // look reads the store, follows what other tabs have done, and returns the pair in
  // use, or null. It is called before anything that depends on the pair.
  function look() {
    const stored = store.load();
    switch (before(view(stored))) {
      case "adopt":
        adopt(stored);
        break;
      case "signed_out": {
        const ending = store.ending();
        ended(live.sessionId, ending?.sessionId === live.sessionId ? ending.reason : "signed_out");
      }
    }
    return live;
  }

  // adopt takes a pair over from the store.
  function adopt(pair) {
    const earlier = live;
    use(pair);
    known(pair);
    if (earlier?.sessionId !== pair.sessionId) {
      onEvent("signedIn", { username: pair.username, elsewhere: true });
    } else if (earlier.accessToken !== pair.accessToken) {
      onEvent("adopted", {});
    }
  }

  // use makes a pair the one in use. How old it is, if another tab has received it,
  // only the wall clock can tell, which may have been set since.
  function use(pair) {
    const age = Math.max(0, Date.now() - pair.receivedAt);
    const from = steady() - age;
    live = pair;
    life = { from, until: from + pair.expiresAt - pair.receivedAt };
    failure = { count: 0, until: 0, error: null };
  }

  // known notes that the store has a pair, or has had it.
  function known(pair) {
    base = pair;
    baseHeldFor = () => null;
  }

  // isUsable says whether the access token in use has time left by both clocks. The
  // steady one may have stood still, the other may have been set.
  function isUsable() {
    const now = Date.now();
    return steady() < life.until && now < live.expiresAt && now > live.receivedAt - clockTolerance;
  }

  function ended(sessionId, reason) {
    live = base = null;
    endedSessionId = sessionId;
    if (sessionId === leaving) {
      onEvent("signedOut", {});
    } else {
      onEnd(reason);
    }
  }

  // refresh waits until the pair has been replaced. All who wait share one
  // refresh, and its error.
  function refresh(pair) {
    if (flight) return flight;
    if (steady() < failure.until) return Promise.reject(failure.error);
    flight = locked(() => replace(pair))
      .catch((error) => {
        if (!(error instanceof TemporaryError)) throw error;
        const now = look();
        if (now && now.accessToken !== pair.accessToken) return; // what the waiters wait for is there
        remember(error);
        throw error;
      })
      .finally(() => { flight = null; });
    return flight;
  }

  function remember(error) {
    const count = failure.count + 1;
    const longest = Math.min(1000 * 2 ** (count - 1), longestBackOff);
    const wait = Math.max(error.retryAfter, longest * (0.5 + Math.random() / 2));
    failure = { count, until: steady() + wait, error };
  }

  // replace puts another pair in the place of the given one: a newer one of the
  // store, or a fresh one of the server. What may pass is tried again.
  async function replace(pair) {
    for (let attempt = 1; ; attempt++) {
      const current = look();
      if (!current) throw new EndedError(pair.sessionId, "signed_out");
      if (current.accessToken !== pair.accessToken && isUsable()) return;
      const presented = choose();
      onEvent("refreshing", { attempt });
      let next;
      try {
        next = await server.refresh(presented);
      } catch (error) {
        onEvent("refreshFailed", { attempt, error });
        if (error instanceof EndedError) return end(presented, current, error);
        if (attempt === attempts || error.retryAfter > longestPause) throw error;
        await pause(attempt, error.retryAfter);
        continue;
      }
      keep(presented, current, next);
      onEvent("refreshed", {});
      if (!look()) throw new EndedError(pair.sessionId, "signed_out");
      return;
    }
  }

  // choose returns the pair to present: that in use, or base while the store fails to
  // keep the one in use. Whoever goes on from the store presents base, too.
  function choose() {
    let stored = store.load();
    if (isUnsaved(view(stored)) && store.swap(stored, live) === "kept") {
      known(live);
      stored = live;
    }
    const presented = before(view(stored)) === "present_base" ? base : live;
    if (!same(presented, base) || baseHeldFor() === null) {
      base = presented;
      baseHeldFor = stopwatch();
    }
    return presented;
  }

  // keep stores the pair that the server gave for the one presented, and uses it even
  // if it cannot be stored. What the store has got meanwhile stands, and so does what
  // has come into use in place of the pair of then.
  function keep(presented, then, next) {
    while (live === then) {
      const stored = store.load();
      const step = after(view(stored), presented, "granted", next);
      if (step === "adopt") return adopt(stored);
      if (step === "discard") return;
      const result = step === "kept" ? "kept" : store.swap(stored, next);
      if (result === "lost") continue;
      use(next);
      if (result === "kept") known(next);
    }
  }

  // end ends the session, unless the store has another pair than was refused.
  function end(presented, then, error) {
    if (look() !== then) {
      if (live) return;
      throw error;
    }
    const stored = store.load();
    if (after(view(stored), presented, "ended") === "adopt") return adopt(stored);
    store.end(error.sessionId, error.reason);
    ended(error.sessionId, error.reason);
    throw error;
  }

  // renewed returns a pair of the same user with another access token than the
  // one that was refused, refreshing if need be.
  async function renewed(refused) {
    for (let refreshes = 0; ; refreshes++) {
      const pair = look();
      if (!pair) throw new EndedError(refused.sessionId, store.ending()?.reason ?? "signed_out");
      if (pair.sessionId !== refused.sessionId && pair.username !== refused.username) {
        throw new UserChangedError("another user has signed in");
      }
      if (pair.accessToken !== refused.accessToken && (refreshes > 0 || isUsable())) return pair;
      await refresh(pair);
    }
  }

  // sendWith sends a request with a pair's access token. Tokens follow no redirect.
  function sendWith(pair, path, options) {
    const headers = new Headers(options.headers);
    headers.set("Authorization", `Bearer ${pair.accessToken}`);
    return send(path, { ...options, headers, credentials: "omit", redirect: "error" });
  }

  // attempt sends a request, and once more if it is refused with 401. A fresh
  // token that is refused is the API's last word, unless it has run out meanwhile.
  async function attempt(path, options) {
    let first = look();
    if (!first) throw new EndedError("", "signed_out");
    if (flight) first = await withSignal(afterFlight(first), options.signal);
    const response = await sendWith(first, path, options);
    if (response.status !== 401) return response;

    onEvent("unauthorized", { path });
    const isFresh = refusedFresh.accessToken === first.accessToken && steady() < refusedFresh.until;
    if (isFresh) return response;
    await response.body?.cancel();
    const second = await withSignal(renewed(first), options.signal);
    onEvent("replay", { path });
    const again = await sendWith(second, path, options);
    if (again.status === 401) {
      onEvent("unauthorized", { path });
      if (live === second && isUsable()) {
        refusedFresh = { accessToken: second.accessToken, until: steady() + refusalMemory };
      }
    }
    return again;
  }

  // afterFlight waits for the refresh under way, so that a request does not
  // travel for nothing. Without luck it goes out as it would have.
  async function afterFlight(pair) {
    await flight.catch(() => {});
    const now = look();
    if (!now) throw new EndedError(pair.sessionId, store.ending()?.reason ?? "signed_out");
    if (now.sessionId !== pair.sessionId && now.username !== pair.username) {
      throw new UserChangedError("another user has signed in");
    }
    return now;
  }

  const first = store.load();
  if (first) {
    use(first);
    known(first);
  }
  store.onChange(look);

  return {
    // state returns { username, sessionId, receivedAt, expiresAt }, or null. The times
    // are those of the access token, in steady time; that may have stood still, so the
    // token expires sooner if more time has gone by the wall clock.
    state() {
      const pair = look();
      if (!pair) return null;
      const stoodStill = Math.max(0, (Date.now() - pair.receivedAt) - (steady() - life.from));
      return {
        username: pair.username, sessionId: pair.sessionId, receivedAt: life.from, expiresAt: life.until - stoodStill,
      };
    },

    // signIn begins a session, in place of the one that was kept. The error is an
    // InvalidCredentialsError or a TemporaryError.
    async signIn(username, password) {
      const pair = await server.signIn(username, password);
      store.begin(pair);
      use(pair);
      known(pair);
      onEvent("signedIn", { username });
    },

    // signOut ends the session: here first, so that it is over whatever happens
    // next, then at the server. The error is a TemporaryError if the server could
    // not be told.
    async signOut() {
      const pair = look();
      if (!pair) return;
      leaving = pair.sessionId;
      store.end(pair.sessionId, "signed_out");
      ended(pair.sessionId, "signed_out");
      for (let attempt = 1; ; attempt++) {
        try {
          return await server.signOut(pair.refreshToken);
        } catch (error) {
          if (attempt === attempts || error.retryAfter > longestPause) throw error;
          await pause(attempt, error.retryAfter);
        }
      }
    },

    // signOutEverywhere ends all of the user's sessions, this one with them. The
    // errors are those of fetch; the session then goes on.
    async signOutEverywhere() {
      const pair = look();
      if (!pair) return;
      leaving = pair.sessionId;
      try {
        const response = await this.fetch("/auth/sessions", { method: "DELETE" });
        if (!response.ok) throw new TemporaryError(`answered ${response.status}`);
      } catch (error) {
        if (look()) leaving = "";
        throw error;
      }
      const kept = look();
      if (kept?.sessionId !== leaving) return;
      store.end(leaving, "signed_out");
      ended(leaving, "signed_out");
    },

    // fetch is like the browser's, for paths of this origin, such as "/api/hello".
    // The token goes nowhere else: other addresses are refused, and so are bodies
    // that can be read only once, since a request may have to be sent twice. The
    // error is an EndedError, a TemporaryError, a UserChangedError, or fetch's own.
    async fetch(path, options = {}) {
      if (!isOwnPath(path)) throw new TypeError("not a path of this origin");
      if (options.body instanceof ReadableStream) throw new TypeError("a stream cannot be sent twice");
      onEvent("request", { path });
      try {
        const response = await attempt(path, options);
        onEvent(response.ok ? "answered" : "failed", { path, status: response.status });
        return response;
      } catch (error) {
        onEvent("failed", { path, error });
        throw error;
      }
    },
  };
}

// isOwnPath says whether a value is a path of this origin that is sent a token.
function isOwnPath(path) {
  if (typeof path !== "string" || !/^\/(?![/\\])/.test(path)) return false;
  const url = new URL(path, location.origin);
  return url.origin === location.origin && url.pathname !== loginPath && url.pathname !== refreshPath;
}

// pause waits before the next attempt: as long as the server asked for, or 0.1 s,
// 0.2 s, and a random part on top.
function pause(attempt, asked) {
  const wait = Math.max(asked, 50 * 2 ** attempt);
  return new Promise((resolve) => setTimeout(resolve, wait * (1 + Math.random() / 4)));
}

// withSignal lets a caller who gives up leave at once; what was waited for goes on.
function withSignal(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave);
    if (signal.aborted) leave();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
