// The session in an app of React.

import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import type { Auth, AuthState } from "./index.js";

interface Value {
  auth: Auth;
  onServer: AuthState;
}

const Context = createContext<Value | undefined>(undefined);

const signedOut: AuthState = { status: "signedOut" };

export interface AuthProviderProps {
  auth: Auth;
  /**
   * The state while the server renders and the page hydrates. It must be the same object at
   * each rendering. Defaults to signed out.
   */
  serverState?: AuthState;
  children?: ReactNode;
}

/** Gives useAuth to the components in it. */
export function AuthProvider({ auth, serverState: onServer = signedOut, children }: AuthProviderProps): ReactElement {
  const value = useMemo(() => ({ auth, onServer }), [auth, onServer]);
  return createElement(Context.Provider, { value }, children);
}

function useValue(): Value {
  const value = useContext(Context);
  if (!value) throw new Error("useAuth needs an AuthProvider around the component");
  return value;
}

/** The session and its state. The component is rendered again when the state changes. */
export function useAuth(): { auth: Auth; state: AuthState; isSignedIn: boolean } {
  const { auth, onServer } = useValue();
  const state = useSyncExternalStore(auth.subscribe, () => auth.state, () => onServer);
  return { auth, state, isSignedIn: state.status === "signedIn" };
}

/** Calls back when another user than the last one has signed in, here or in another tab. */
export function useUserChange(listener: (change: { username: string; previous: string }) => unknown): void {
  const { auth } = useValue();
  useEffect(() => auth.on("userChanged", listener), [auth, listener]);
}
