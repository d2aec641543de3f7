// The calls that sign in, refresh and sign out. Nothing is kept here.

export const loginPath = "/auth/login";
export const refreshPath = "/auth/refresh-token";
const logoutPath = "/auth/logout";

const timeLimit = 10_000; // ms, of one call
const longestRetryAfter = 5 * 60_000;
const longestLife = 100 * 365 * 24 * 3600; // s; what is above is a mistake

// InvalidCredentialsError: wrong username or password.
export class InvalidCredentialsError extends Error {
  name = "InvalidCredentialsError";
}

// EndedError: the session has ended, for good. reason is the server's word for
// why: signed_out, revoked, reuse_detected, expired, unknown.
export class EndedError extends Error {
  name = "EndedError";

  constructor(sessionId, reason) {
    super(`the session has ended: ${reason}`);
    this.sessionId = sessionId;
    this.reason = reason;
  }
}

// TemporaryError: it did not work now, and may work later; the session lives.
// status is that of the answer, or 0 if there was none; retryAfter is how long the server asked to wait, in ms, or 0; stale says that
// another holder of the session has refreshed a moment ago.
export class TemporaryError extends Error {
  name = "TemporaryError";

  constructor(message, { status = 0, retryAfter = 0, stale = false } = {}) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    this.stale = stale;
  }
}

// authServer makes its calls with send, which is fetch or stands in for it.
// device names this browser in the user's list of sessions.
export function authServer(send, device) {
  async function post(path, body, options = {}) {
    let response, text;
    try {
      response = await send(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(body),
        credentials: "omit",
        redirect: "error",
        cache: "no-store",
        signal: AbortSignal.timeout(timeLimit),
        ...options,
      });
      text = await response.text();
    } catch {
      throw new TemporaryError("no answer");
    }
    return { status: response.status, ok: response.ok, json: parse(response, text), retryAfter: retryAfter(response) };
  }

  return {
    // signIn returns a pair. The error is an InvalidCredentialsError or a
    // TemporaryError.
    async signIn(username, password) {
      const answer = await post(loginPath, { username, password, device });
      if (answer.status === 401) throw new InvalidCredentialsError("wrong username or password");
      return { ...pairOf(answer), username, revision: 1 };
    },

    // refresh makes one attempt and returns the pair that follows. The error is
    // an EndedError or a TemporaryError.
    async refresh(pair) {
      const answer = await post(refreshPath, { refreshToken: pair.refreshToken });
      const { error, reason } = answer.json ?? {};
      if (answer.status >= 400 && answer.status < 500) {
        if (error === "invalid_grant" || error === "session_ended") {
          throw new EndedError(pair.sessionId, typeof reason === "string" ? reason : "unknown");
        }
        if (error === "stale_refresh_token") {
          throw new TemporaryError("refresh token is stale", { ...answer, stale: true });
        }
      }
      const next = pairOf(answer);
      if (next.sessionId !== pair.sessionId) throw new TemporaryError("answer is about another session");
      return { ...next, username: pair.username, revision: (pair.revision ?? 0) + 1 };
    },

    // signOut tells the server that a session has ended, even as the page goes
    // away. The error is a TemporaryError.
    async signOut(refreshToken) {
      const answer = await post(logoutPath, { refreshToken }, { keepalive: true });
      if (!answer.ok) throw new TemporaryError(`answered ${answer.status}`, answer);
    },
  };
}

// pairOf checks the shape of an answer before anything of it is believed, and
// counts the token's life from now: the server's clock and ours may differ.
function pairOf(answer) {
  const { accessToken, refreshToken, tokenType, expiresIn, refreshExpiresIn, sessionId } = answer.json ?? {};
  const isLife = (seconds) => typeof seconds === "number" && seconds >= 1 && seconds <= longestLife;
  const isPair = answer.ok && isToken(accessToken) && isToken(refreshToken) &&
    typeof sessionId === "string" && sessionId !== "" &&
    typeof tokenType === "string" && tokenType.toLowerCase() === "bearer" &&
    isLife(expiresIn);
  if (!isPair) {
    throw new TemporaryError(answer.ok ? "answered without a pair of tokens" : `answered ${answer.status}`, answer);
  }
  const receivedAt = Date.now();
  return {
    sessionId, accessToken, refreshToken, receivedAt, expiresAt: receivedAt + expiresIn * 1000,
    refreshExpiresAt: isLife(refreshExpiresIn) ? receivedAt + refreshExpiresIn * 1000 : undefined,
  };
}

// isToken says whether a value has the form of RFC 6750 section 2.1.
function isToken(value) {
  return typeof value === "string" && /^[\w.~+/=-]+$/.test(value);
}

// parse returns the JSON object that was answered, or null.
function parse(response, text) {
  if (!/^application\/json\s*(;|$)/i.test(response.headers.get("Content-Type") ?? "")) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// retryAfter reads the header in both its forms (RFC 9110 section 10.2.3), in ms. A
// date is by the server's clock.
function retryAfter(response) {
  const text = response.headers.get("Retry-After");
  if (!text) return 0;
  const serverNow = () => Date.parse(response.headers.get("Date") ?? "") || Date.now();
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - serverNow();
  return Math.min(Math.max(wait || 0, 0), longestRetryAfter);
}
