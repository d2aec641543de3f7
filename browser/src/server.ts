// The calls that sign in, refresh and sign out. Nothing is kept here.

import { within } from "./clock.js";
import { EndedError, InvalidCredentialsError, isEnded, SignInRefusedError, TemporaryError } from "./errors.js";
import type { Events } from "./events.js";
import type { Pair } from "./renewal.js";
import type { Settings } from "./settings.js";
import { random } from "./store.js";
import type { AdoptedPair, Grant } from "./types.js";

const longestLife = 100 * 365 * 24 * 3600; // s; what is above is a mistake
const longestRetryAfter = 300_000; // ms

// A StaleError is the answer to a token that another holder of the session has replaced
// a moment ago.
export class StaleError extends TemporaryError {}

export interface Answer {
  response: Response;
  json: any;
}

export type Server = ReturnType<typeof createServer>;

export function createServer(settings: Settings, events: Events) {
  const { isCookie_: isCookie, endpoints_: endpoints, timeout_: timeout, refresher } = settings;

  // post returns the answer, with its JSON or undefined. The error is a TemporaryError.
  async function post(path: string, body: object, keepalive = false): Promise<Answer> {
    try {
      return await within(timeout, async (signal) => {
        const headers = new Headers(settings.headers && await settings.headers());
        headers.set("Content-Type", "application/json");
        // The server keeps apart the cookies of apps with other names.
        if (isCookie) headers.set("Tandem-Cookie", settings.key_.replace(/^tandem$|[^a-z0-9]/gi, "").slice(0, 32) || "1");
        const response = await settings.send_(path, {
          method: "POST", headers, body: JSON.stringify(body), credentials: isCookie ? "include" : "omit",
          redirect: "error", cache: "no-store", keepalive, signal,
        });
        return { response, json: parse(await response.text()) };
      });
    } catch (error) {
      throw new TemporaryError("no answer from the server", 0, error);
    }
  }

  // grantOf reads an answer. The error is that of failed, or what options.read throws.
  function grantOf(answer: Answer, presented?: Pair): Grant {
    const { response, json } = answer;
    const grant = response.ok && json && (settings.read ? settings.read(json) : isOwn(json) && json);
    if (!grant) throw failed(answer, presented);
    return grant;
  }

  // isOwn checks the shape of an answer of Tandem's server.
  const isOwn = (body: any) => body.sessionId && /^bearer$/i.test(body.tokenType) && body.expiresIn !== undefined &&
    body.accessToken && (isCookie || body.refreshToken !== undefined);

  function failed({ response, json }: Answer, presented?: Pair): Error {
    const { status } = response;
    const { error, reason } = json || {};
    if (isFinal(status)) {
      if (error === "invalid_grant" || error === "session_ended") return new EndedError(reason);
      if (error === "stale_refresh_token") return new StaleError("the refresh token is stale");
      if (error === "cookie_missing" && !(presented && !presented.sessionId)) {
        if (presented && Date.now() > presented.refreshExpiresAt!) return new EndedError("expired");
        events.say_("cookie_missing", "the browser sends no cookie of the server: blocked, or deleted");
        // If it was there before, somebody has deleted it.
        if (presented && presented.revision > 1) return new EndedError(error);
      }
    }
    return new TemporaryError(`the server answered ${status}, ${error || "no tokens"}`, retryAfter(response));
  }

  // pairOf makes a pair of a grant, with a session's first revision. Its life counts from
  // now: the server's clock and ours may differ. In cookie mode only a pair that the app
  // has got by itself has a refresh token: the first refresh exchanges it for a cookie.
  function pairOf(grant: AdoptedPair, username: string, isAdopted = false): Pair {
    const { accessToken = "", sessionId } = grant;
    const refreshToken = isCookie && !isAdopted ? undefined : grant.refreshToken;
    const { expiresIn = accessToken ? longestLife : 0, refreshExpiresIn } = grant;
    if ((accessToken ? !isToken(accessToken) || !isLife(expiresIn) : expiresIn) || (isCookie && refreshToken === undefined ? !sessionId : !isToken(refreshToken))) {
      throw new TemporaryError("the answer has no good tokens");
    }
    const receivedAt = Date.now();
    return {
      id: random(), issuer: settings.issuers_[0], username, accessToken, revision: 1, receivedAt,
      sessionId: String(sessionId || ownID + random()), refreshToken,
      expiresAt: receivedAt + expiresIn * 1000,
      refreshExpiresAt: isLife(refreshExpiresIn) ? receivedAt + refreshExpiresIn * 1000 : undefined,
    };
  }

  return {
    pairOf_: pairOf,

    // signIn_ returns the pair of a new session.
    async signIn_(credentials: { username: string }): Promise<Pair> {
      const answer = await post(endpoints.signIn, credentials);
      const { status } = answer.response;
      if (status === 401) throw new InvalidCredentialsError(answer.json);
      if (isFinal(status)) throw new SignInRefusedError(status, answer.json);
      const grant = grantOf(answer);
      return pairOf(grant, grant.username || credentials.username);
    },

    // refresh_ makes one attempt and returns the pair that follows. In cookie mode it may
    // be of another session, if that is what the cookies are of, or have the server's name
    // for a session that was adopted without one: the next refresh has to name it. The error is an EndedError
    // or a TemporaryError.
    async refresh_(presented: Pair): Promise<Pair> {
      const { sessionId, username, accessToken, refreshToken = "", revision } = presented;
      let grant: Grant;
      if (refresher) {
        try {
          grant = await within(timeout, (signal) => refresher({ sessionId, username, accessToken, refreshToken }, signal));
        } catch (error) {
          throw isEnded(error) ? error : new TemporaryError("the refresher failed", 0, error);
        }
      } else {
        grant = grantOf(await post(endpoints.refresh, proof(presented)), presented);
      }
      const next = pairOf({ refreshToken, ...grant }, grant.username || username);
      if (grant.sessionId && grant.sessionId !== sessionId && (isCookie || sessionId[0] !== ownID)) {
        if (isCookie) return next;
        throw new TemporaryError("the answer is about another session");
      }
      return { ...next, sessionId, username, revision: revision + 1 };
    },

    // signOut_ tells the server, even as the page goes away. The error is a TemporaryError.
    async signOut_(pair: Pair): Promise<void> {
      const answer = await post(endpoints.signOut, proof(pair), true);
      if (!answer.response.ok) throw failed(answer);
    },
  };
}

// ownID is how the name begins of a session that the server has not named.
const ownID = "~";

// proof is what shows the server that a session is ours. Without a refresh token, the
// browser adds the cookie of the session named.
const proof = ({ sessionId, refreshToken }: Pair) => (refreshToken ? { refreshToken } : { sessionId });

// isFinal says whether the same request would be answered so again.
const isFinal = (status: number) => status >= 400 && status < 500 && status !== 408 && status !== 429;

// isToken says whether a value has the form of RFC 6750 section 2.1.
const isToken = (value: unknown) => typeof value === "string" && /^[\w.~+/=-]+$/.test(value);

const isLife = (seconds: unknown): seconds is number => typeof seconds === "number" && seconds >= 1 && seconds <= longestLife;

function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// retryAfter reads the header in both its forms (RFC 9110 section 10.2.3), in ms. A date
// is by the server's clock.
function retryAfter({ headers }: Response): number {
  const text = headers.get("Retry-After") || "";
  const wait = /^\d+$/.test(text) ? +text * 1000 : Date.parse(text) - (Date.parse(headers.get("Date")!) || Date.now());
  return Math.min(Math.max(wait || 0, 0), longestRetryAfter);
}
