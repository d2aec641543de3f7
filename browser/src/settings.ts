// The options, resolved.

import { random } from "./store.js";
import type { AuthOptions, Endpoints } from "./types.js";

export interface Settings extends AuthOptions {
  // The server's URL, without a slash at its end.
  base_: string;
  // The URLs of its endpoints. signOut is "" if nobody is to be told.
  endpoints_: Endpoints;
  // The origins of the server under its present and its earlier URLs.
  issuers_: string[];
  // Prefixes of the URLs that are sent the access token.
  allowed_: string[];
  // The server is Tandem's.
  isOurs_: boolean;
  isCookie_: boolean;
  isCrossOrigin_: boolean;
  forgiving_: boolean;
  // Names what is kept in this browser; "" if nothing is.
  key_: string;
  remember_: boolean;
  timeout_: number;
  send_: typeof fetch;
  log_(line: string): void;
}

// absolute resolves a URL as fetch does. The error is a TypeError, outside of a page
// also for a URL that is relative.
export const absolute = (url: string | URL) => new URL(url, page());

const page = () => (typeof location === "undefined" ? undefined : location.href);

export function resolve(options: AuthOptions): Settings {
  const { url = "", formerUrls = [], origins = [], storage = {}, mode, refresher, forgiving = !refresher, debug } = options;
  const issuers = [url, ...formerUrls].map((each) => absolute(each).origin);
  const base = url.replace(/\/+$/, "");
  const { signIn = "/auth/login", refresh = "/auth/refresh-token", signOut = refresher ? "" : "/auth/logout",
    signOutEverywhere = "/auth/sessions" } = options.endpoints || {};
  const log = debug === true ? console.debug : debug;
  const tab = random().slice(0, 4);
  return {
    ...options,
    base_: base,
    endpoints_: {
      signIn: base + signIn, refresh: base + refresh, signOut: signOut && base + signOut,
      signOutEverywhere: base + signOutEverywhere,
    },
    issuers_: issuers,
    allowed_: [issuers[0], ...origins.map((each) => absolute(each).href.replace(/\/$/, ""))],
    isOurs_: !refresher && !options.read,
    isCookie_: mode === "cookie",
    isCrossOrigin_: !page() || absolute("").origin !== issuers[0],
    forgiving_: forgiving,
    key_: storage === "memory" || typeof indexedDB === "undefined" ? "" : storage.key || "tandem",
    remember_: storage === "memory" || storage.remember !== false,
    timeout_: options.timeout || 10_000,
    send_: options.fetch || ((...args) => fetch(...args)),
    log_: (line) => log && log(`tandem ${tab}: ${line}`),
  };
}

// mayHaveToken says whether a URL is one of the session's, and not where users sign in or
// the session is refreshed: a 401 from there is no reason to refresh.
export function mayHaveToken({ allowed_, endpoints_: { signIn, refresh } }: Settings, { href }: URL): boolean {
  const path = href.replace(/[?#].*/, "");
  return allowed_.some((prefix) => href.startsWith(prefix) && /^[/?#]/.test(href.slice(prefix.length) || "/")) &&
    path !== absolute(signIn).href && path !== absolute(refresh).href;
}
