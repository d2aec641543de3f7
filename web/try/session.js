// The client: keeps one user signed in, through every expiry of the access
// token, in all tabs of the browser together.
//
// A request that is refused with 401 waits for one refresh, which all share, and
// is sent once more. This page wants the expiry to be seen: it never refreshes
// ahead of time, as a client that nobody watches would.

import { authServer, EndedError, loginPath, refreshPath, TemporaryError } from "./authserver.js";
import { openStore, storeKey } from "./store.js";

export { EndedError, InvalidCredentialsError, TemporaryError } from "./authserver.js";

// UserChangedError: another user has signed in since the request was made. It is
// not sent in that user's name.
export class UserChangedError extends Error {
  name = "UserChangedError";
}

const attempts = 3; // of one call in a row
const longestPause = 2_000; // ms between two attempts; who asks for more is left alone
const longestBackOff = 30_000; // ms for which a failure is remembered
const lockLimit = 50_000; // ms; longer than anybody's refresh takes
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

  let seen = store.load(); // the pair as this tab saw it last
  let flight = null; // the refresh under way: a promise
  let failure = { count: 0, until: 0, error: null }; // of refreshes in a row
  let refusedFresh = { accessToken: "", until: 0 };
  let leaving = ""; // the session that this tab is signing out

  // look reads the store and notes what other tabs have done. It is called before
  // anything that depends on the pair.
  function look() {
    const kept = store.load();
    const before = seen;
    seen = kept;
    if (before && !kept) {
      const ending = store.ending();
      const known = ending && ending.sessionId === before.sessionId;
      ended(before.sessionId, known ? ending.reason : "signed_out");
    } else if (kept && before?.sessionId !== kept.sessionId) {
      failure = { count: 0, until: 0, error: null };
      onEvent("signedIn", { username: kept.username, elsewhere: true });
    } else if (kept && before.accessToken !== kept.accessToken) {
      onEvent("adopted", {});
    }
    return kept;
  }

  // put notes that this tab itself has changed what the store keeps.
  function put(pair) {
    seen = pair;
    failure = { count: 0, until: 0, error: null };
  }

  function ended(sessionId, reason) {
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
    if (Date.now() < failure.until) return Promise.reject(failure.error);
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
    failure = { count, until: Date.now() + wait, error };
  }

  // replace puts another pair in the place of the given one: a newer one of the
  // store, or a fresh one of the server.
  async function replace(pair) {
    const kept = look();
    if (!kept) throw new EndedError(pair.sessionId, "signed_out");
    const isNewer = kept.refreshToken !== pair.refreshToken;
    if (isNewer && Date.now() < kept.expiresAt) return;
    try {
      const next = await askServer(kept);
      if (!next) return;
      const stored = store.swap(kept, next);
      if (stored) put(next);
      onEvent("refreshed", {});
      if (stored) return;
    } catch (error) {
      if (!(error instanceof EndedError)) throw error;
      if (store.swap(kept, { ended: { sessionId: kept.sessionId, reason: error.reason } })) {
        look();
        throw error;
      }
    }
    // The store has something else than was used: that stands, whatever it is.
    if (!look()) throw new EndedError(kept.sessionId, "signed_out");
  }

  // askServer returns the pair that follows, or null if another tab has stored
  // one meanwhile. What may pass is tried again.
  async function askServer(kept) {
    for (let attempt = 1; ; attempt++) {
      onEvent("refreshing", { attempt });
      try {
        return await server.refresh(kept);
      } catch (error) {
        onEvent("refreshFailed", { attempt, error });
        if (error instanceof EndedError || attempt === attempts || error.retryAfter > longestPause) throw error;
        await pause(attempt, error.retryAfter);
        if (store.load()?.refreshToken !== kept.refreshToken) return null;
      }
    }
  }

  // renewed returns a pair of the same user with another access token than the
  // one that was refused, refreshing if need be.
  async function renewed(refused) {
    for (;;) {
      const pair = look();
      if (!pair) throw new EndedError(refused.sessionId, store.ending()?.reason ?? "signed_out");
      if (pair.sessionId !== refused.sessionId && pair.username !== refused.username) {
        throw new UserChangedError("another user has signed in");
      }
      if (pair.accessToken !== refused.accessToken) return pair;
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
  // token that is refused is the API's last word.
  async function attempt(path, options) {
    let first = look();
    if (!first) throw new EndedError("", "signed_out");
    if (flight) first = await withSignal(afterFlight(first), options.signal);
    const response = await sendWith(first, path, options);
    if (response.status !== 401) return response;

    onEvent("unauthorized", { path });
    const isFresh = refusedFresh.accessToken === first.accessToken && Date.now() < refusedFresh.until;
    if (isFresh) return response;
    await response.body?.cancel();
    const second = await withSignal(renewed(first), options.signal);
    onEvent("replay", { path });
    const again = await sendWith(second, path, options);
    if (again.status === 401) {
      onEvent("unauthorized", { path });
      refusedFresh = { accessToken: second.accessToken, until: Date.now() + refusalMemory };
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

  store.onChange(look);

  return {
    // state returns { username, sessionId, receivedAt, expiresAt }, or null.
    state() {
      const pair = look();
      return pair && {
        username: pair.username, sessionId: pair.sessionId, receivedAt: pair.receivedAt, expiresAt: pair.expiresAt,
      };
    },

    // signIn begins a session, in place of the one that was kept. The error is an
    // InvalidCredentialsError or a TemporaryError.
    async signIn(username, password) {
      const pair = await server.signIn(username, password);
      store.save(pair);
      put(pair);
      onEvent("signedIn", { username });
    },

    // signOut ends the session: here first, so that it is over whatever happens
    // next, then at the server. The error is a TemporaryError if the server could
    // not be told.
    async signOut() {
      const pair = look();
      if (!pair) return;
      leaving = pair.sessionId;
      store.save({ ended: { sessionId: pair.sessionId, reason: "signed_out" } });
      look();
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
      store.swap(kept, { ended: { sessionId: leaving, reason: "signed_out" } });
      look();
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

// locked runs work while no other tab refreshes. Where there is no lock to be
// had, as on a plain-http host, tabs may refresh at once: the server copes.
async function locked(work) {
  if (!navigator.locks) return work();
  let begun = false;
  try {
    return await navigator.locks.request(storeKey, { signal: AbortSignal.timeout(lockLimit) }, () => {
      begun = true;
      return work();
    });
  } catch (error) {
    throw begun ? error : new TemporaryError("another tab has been refreshing for too long");
  }
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
