// The object that the app has.

import { pause } from "./clock.js";
import { TemporaryError } from "./errors.js";
import { createEvents, type Events } from "./events.js";
import { createKeeper } from "./keeper.js";
import { createRefresher } from "./refresh.js";
import type { Pair } from "./renewal.js";
import { createServer } from "./server.js";
import { resolve, type Settings } from "./settings.js";
import { createTransport } from "./transport.js";
import type { Auth, AuthOptions } from "./types.js";

const signOutAttempts = 3;
const longestPause = 2_000; // ms between two of them

/** createAuth returns the session that this browser keeps, if it keeps one. */
export function createAuth(options: AuthOptions = {}): Auth {
  const settings = resolve(options);
  const { isCookie_: isCookie, endpoints_: endpoints } = settings;
  const events = createEvents();
  const keeper = createKeeper(settings, events);
  const server = createServer(settings, events);
  const refresher = createRefresher(settings, keeper, server, events);
  const { send_: send, fetch_: fetch, isRefused_: isRefused, getAccessToken_: getAccessToken } =
    createTransport(settings, keeper, refresher);
  const untold: Pair[] = []; // sessions that are over here, which the server does not know

  if (typeof document !== "undefined") sayWhatIsMissing(settings, events);
  if (isCookie && !settings.key_) {
    // Nothing is kept here, but the browser may have a cookie.
    keeper.ready_ = keeper.ready_.then(() => server.refresh_({ sessionId: "" } as Pair)).then((pair) => keeper.begin_(pair), () => {});
  }
  const stopListening = listen({
    online: refresher.forget_,
    pageshow: keeper.wake_,
    storage: (event: any) => event.key === settings.key_ && keeper.wake_(),
  });

  // tell tells the server of the sessions that are over.
  async function tell() {
    for (let attempt = 1; untold.length; ) {
      try {
        await server.signOut_(untold[0]);
        untold.shift();
      } catch (error: any) {
        if (attempt++ === signOutAttempts || error.retryAfter > longestPause) throw error;
        await pause(Math.max(error.retryAfter, 100));
      }
    }
  }

  return {
    fetch,
    send,
    isRefused,
    getAccessToken,
    token: ({ validFor, signal } = {}) => getAccessToken({ minValidity: validFor, signal }),
    get accessToken() {
      return keeper.accessToken_();
    },
    async signIn(credentials, { remember } = {}) {
      await keeper.ready_;
      const live = keeper.live_();
      // The server lets a device in that has signed in before, whatever guessers do.
      const earlier = live && !isCookie && settings.isOurs_ ? { refreshToken: live.pair_.refreshToken } : {};
      await keeper.begin_(await server.signIn_({ ...earlier, ...credentials }), remember);
      // Only the browser knows whether it keeps a cookie from there: ask it now.
      if (isCookie && settings.isCrossOrigin_) refresher.ahead_(keeper.live_()!);
    },
    async signOut() {
      await keeper.ready_;
      const pair = await keeper.leave_();
      if (pair && endpoints.signOut) untold.push(pair);
      await tell();
    },
    async signOutEverywhere() {
      await keeper.ready_;
      const live = keeper.live_();
      if (!live) return;
      const { sessionId } = live.pair_;
      keeper.leaving_(sessionId);
      try {
        const { ok, status } = await fetch(endpoints.signOutEverywhere, { method: "DELETE" });
        if (!ok) throw new TemporaryError("the server answered " + status);
      } catch (error) {
        if (keeper.state_().sessionId === sessionId) keeper.leaving_("");
        throw error;
      }
      if (keeper.state_().sessionId === sessionId) await keeper.leave_();
    },
    async adopt(pair, { remember } = {}) {
      await keeper.ready_;
      await keeper.begin_(server.pairOf_(pair, pair.username || "", true), remember);
      if (isCookie && pair.refreshToken) refresher.ahead_(keeper.live_()!); // no script is to have it any longer
    },
    get state() {
      return keeper.state_();
    },
    subscribe: (listener) => events.on_("state", listener),
    on: (event, listener) => events.on_(event, listener),
    problems: events.problems_,
    ready: keeper.ready_,
    dispose() {
      stopListening();
      keeper.close_();
    },
  };
}

// listen listens to the page or the worker, where there is one.
function listen(listeners: Record<string, (event: any) => unknown>): () => void {
  if (typeof addEventListener === "undefined") return () => {};
  const names = Object.keys(listeners);
  names.forEach((name) => addEventListener(name, listeners[name]));
  return () => names.forEach((name) => removeEventListener(name, listeners[name]));
}

function sayWhatIsMissing({ key_: key, isCookie_: isCookie, base_: base }: Settings, { say_: say }: Events) {
  if (!key) say("storage", "the session ends with this page, and other tabs do not see it");
  if (!navigator.locks) say("locks", "there are no Web Locks here: tabs may refresh at the same time");
  if (!isCookie) return;
  if (!navigator.cookieEnabled) say("cookies", "cookies are off: the session ends with the access token");
  if (location.protocol === "http:" && /^https:/.test(base)) say("insecure", "an http page is sent no cookie of an https server, but with SameSite=None");
}
