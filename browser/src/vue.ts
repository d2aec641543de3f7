// The session in an app of Vue, Vue Router and Pinia.

import { computed, type ComputedRef, getCurrentScope, inject, type InjectionKey, onScopeDispose, type Plugin, type ShallowRef, shallowRef } from "vue";
import type { Auth, AuthState } from "./index.js";

/** What components and stores have of the session. */
export interface UseAuth {
  auth: Auth;
  /** `auth.state`, reactive. */
  state: Readonly<ShallowRef<AuthState>>;
  isSignedIn: ComputedRef<boolean>;
  /** undefined if nobody is signed in. */
  username: ComputedRef<string | undefined>;
}

const key: InjectionKey<UseAuth> = Symbol("tandem");

/** `app.use(tandem(auth))`: useAuth works in the app, and templates have `$auth`. */
export function tandem(auth: Auth): Plugin {
  return (app) => {
    const state = shallowRef(auth.state);
    const stop = auth.subscribe(() => (state.value = auth.state));
    app.provide(key, {
      auth, state,
      isSignedIn: computed(() => state.value.status === "signedIn"),
      username: computed(() => state.value.username),
    });
    app.config.globalProperties.$auth = auth;
    if (app.onUnmount) app.onUnmount(stop); // since Vue 3.5
  };
}

/** In a component's setup, and in a store of Pinia whose setup is a function. */
export function useAuth(): UseAuth {
  const own = inject(key);
  if (!own) throw new Error("call app.use(tandem(auth)) before useAuth()");
  return own;
}

/**
 * Calls back when another user than the last one has signed in, here or in another tab, as
 * long as the component lives.
 */
export function onUserChange(listener: (change: { username: string; previous: string }) => unknown, auth = useAuth().auth): void {
  const stop = auth.on("userChanged", listener);
  if (getCurrentScope()) onScopeDispose(stop);
}

/**
 * A plugin of Pinia, `pinia.use(resetOnUserChange(auth))`: when another user signs in, each
 * store's state becomes what it was at first. That must be plain data, as for JSON.
 * `except` names stores that stay, such as that of the theme.
 */
export function resetOnUserChange(auth: Auth, { except = [] as string[] } = {}) {
  return ({ store }: { store: { $id: string; $state: any; $patch(change: (state: any) => void): void } }): void => {
    if (except.indexOf(store.$id) >= 0) return;
    const first = JSON.stringify(store.$state);
    auth.on("userChanged", () => store.$patch((state) => {
      const fresh = JSON.parse(first); // which lacks what was undefined
      for (const name of Object.keys(state)) state[name] = fresh[name];
    }));
  };
}

/** What a guard reads of a route of Vue Router. */
export interface Route {
  fullPath: string;
  meta: { [name: PropertyKey]: unknown };
}

export interface GuardOptions {
  /** Where users sign in. Defaults to "/login". */
  signIn?: string;
  /** Which routes need a session. Defaults to those with `meta.requiresAuth`. */
  isProtected?: (to: Route) => boolean;
}

/**
 * `router.beforeEach(guard(auth))` sends users who are not signed in from a protected route
 * to the sign-in, which afterwards goes on to `returnPath(route)`.
 */
export function guard(auth: Auth, { signIn = "/login", isProtected = (to) => !!to.meta.requiresAuth }: GuardOptions = {}) {
  const isSignedIn = () => auth.state.status === "signedIn";
  return async (to: Route): Promise<{ path: string; query: { redirect: string } } | undefined> => {
    if (!isProtected(to) || isSignedIn()) return undefined;
    await auth.ready; // the store may know more than `state` does at the start
    return isSignedIn() ? undefined : { path: signIn, query: { redirect: to.fullPath } };
  };
}

/**
 * The path that a guard has put into the query of the sign-in's address. It is one of this
 * app: for any other, such as //example.com, it is the fallback.
 */
export function returnPath(route: { query: { [name: string]: unknown } }, fallback = "/"): string {
  const { redirect } = route.query;
  if (typeof redirect !== "string" || redirect[0] !== "/") return fallback;
  try {
    // Browsers take \ for / and leave tabs out, so the text itself tells nothing.
    const { host, pathname, search, hash } = new URL(redirect, "http://app.invalid");
    return host === "app.invalid" && pathname[1] !== "/" ? pathname + search + hash : fallback;
  } catch {
    return fallback;
  }
}
