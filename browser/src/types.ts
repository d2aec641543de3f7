// The public types. Every option may be left out.

export interface AuthOptions {
  /**
   * Where the server is: a path of this origin such as "/prod-api", or an absolute URL
   * such as "https://auth.example.com". Its origin receives the access token. Defaults to
   * this origin. Outside of a page (Node), it must be absolute.
   */
  url?: string;
  /** Earlier values of `url`: sessions that began there go on here. */
  formerUrls?: string[];
  /**
   * Further origins, or URL prefixes such as "https://example.com/api", that receive the
   * access token. No other does.
   */
  origins?: string[];
  /**
   * Where the refresh token is. "bearer" (the default): in the store that `storage`
   * names, where scripts can read it. "cookie": in a cookie of the server that scripts
   * cannot read; the store then has no tokens, and the access token is in memory alone.
   */
  mode?: "bearer" | "cookie";
  /**
   * Where the session is kept. "memory" means that it ends with the page. Defaults to
   * IndexedDB, which all tabs of the browser share.
   */
  storage?: "memory" | {
    /** Tells apart two apps on one origin. Defaults to "tandem". */
    key?: string;
    /** false: the session ends when the browser is closed. Defaults to true. */
    remember?: boolean;
  };
  /** Paths of the server's endpoints, below `url`. */
  endpoints?: Partial<Endpoints>;
  /**
   * Reads the answer to a sign-in or a refresh, if it is not that of Tandem's server:
   * `(body) => body.code === 200 ? body.data : undefined`. undefined means that it has no
   * tokens: try later. Throw an EndedError if it says that the session is over, and an
   * InvalidCredentialsError if the password is wrong.
   */
  read?: (body: any) => Grant | undefined;
  /**
   * Refreshes in place of Tandem's endpoint. It may throw an EndedError; every other
   * error is temporary. The signal aborts when `timeout` is over.
   */
  refresher?: (pair: RefreshInput, signal: AbortSignal) => Promise<Grant>;
  /**
   * Whether a refresh token may be presented again if its answer was lost. Tandem's
   * server allows that; one that rotates by the textbook takes it for theft. Defaults to
   * true, and to false with a `refresher`.
   */
  forgiving?: boolean;
  /**
   * Says that an answer with another status than 401 refuses the access token. It may
   * read the body, which is a copy; if it throws, as for a body that is not JSON, the
   * answer is no refusal. It is not asked about event streams, whose body does not end.
   */
  isRefused?: (response: Response) => boolean | Promise<boolean>;
  /** Headers of every request that carries the token, and of sign-in, refresh and sign-out. */
  headers?: () => HeadersInit | Promise<HeadersInit>;
  /**
   * How many seconds before its expiry an access token that is in use is replaced, in the
   * background. Defaults to a fifth of its life, at most 60; 0 means never.
   */
  refreshAhead?: number;
  /** How many ms one attempt at a refresh, sign-in or sign-out may take. Defaults to 10,000. */
  timeout?: number;
  /** Gets a line for every refresh; true prints it to the console. No line has a token. */
  debug?: boolean | ((line: string) => void);
  /** Sends the requests. Defaults to the global fetch. */
  fetch?: typeof fetch;
}

export interface Endpoints {
  /** Defaults to /auth/login. */
  signIn: string;
  /** Defaults to /auth/refresh-token. */
  refresh: string;
  /** Defaults to /auth/logout. */
  signOut: string;
  /** Defaults to /auth/sessions, which is sent DELETE. */
  signOutEverywhere: string;
}

/** What a server gives at sign-in or refresh. Times are in seconds from now. */
export interface Grant {
  accessToken: string;
  /** Missing in cookie mode, or if the server goes on with the one it was sent. */
  refreshToken?: string;
  /** Without it, the token counts as good until an API refuses it. */
  expiresIn?: number;
  refreshExpiresIn?: number;
  sessionId?: string;
  username?: string;
}

/** Tokens that the app has got by itself. Without an access token, the first request refreshes. */
export type AdoptedPair = Omit<Grant, "accessToken"> & { accessToken?: string };

export interface RefreshInput {
  /** "" in cookie mode. */
  readonly refreshToken: string;
  readonly accessToken: string;
  readonly sessionId: string;
  readonly username: string;
}

/** An object that is replaced when something of it changes, and never changed itself. */
export interface AuthState {
  readonly status: "signedIn" | "signedOut";
  readonly username?: string;
  readonly sessionId?: string;
  /** When the access token runs out, in ms since 1970. */
  readonly expiresAt?: number;
  /** Why the last session ended: signed_out, revoked, reuse_detected, expired, … */
  readonly endedReason?: string;
}

/** Something that this browser or page cannot do, and what is lost by it. */
export interface Problem {
  readonly code: "locks" | "storage" | "newer_version" | "cookies" | "cookie_missing" | "insecure";
  readonly message: string;
}

export interface AuthEvents {
  refreshed: { sessionId: string };
  refreshFailed: { error: Error };
  /**
   * The session ended, but not by a sign-out in this tab. Requests that wait for a token
   * go on waiting for the promise that a listener returns: sign the user in again in
   * place, and they succeed. Requests that begin meanwhile fail.
   */
  ended: { sessionId: string; reason: string };
  /** Here or in another tab. */
  signedIn: { username: string; sessionId: string };
  /** In this tab. */
  signedOut: { sessionId: string };
  /** Another user than the last one has signed in: drop what belongs to that one. */
  userChanged: { username: string; previous: string };
  problem: Problem;
}

export interface TokenOptions {
  /** How many seconds the token must still be good for. */
  minValidity?: number;
  /** Refresh even if the token is good. */
  force?: boolean;
  signal?: AbortSignal;
}

export interface BeginOptions {
  /** In place of `storage.remember`, for this session. */
  remember?: boolean;
}

export interface SendOptions {
  /** Where the request goes: it gets no token if that is not an origin of the session. */
  url: string | URL;
  signal?: AbortSignal | null;
  /** false if the body can be read only once. */
  replayable?: boolean;
  /** The request has credentials of its own, or needs none. */
  session?: boolean;
}

export interface Auth {
  /**
   * fetch with the access token. A refused request is sent once more with the next token.
   * With `session: false` the request is sent as it is. Needs no `this`.
   * Errors: those of fetch, EndedError, TemporaryError, UserChangedError,
   * BodyNotReplayableError, OtherServerError.
   */
  fetch(input: string | URL | Request, init?: RequestInit & { session?: boolean }): Promise<Response>;
  /** An access token that is good, after a refresh if need be. Errors: as of fetch. */
  getAccessToken(options?: TokenOptions): Promise<string>;
  /** The same, in other words. */
  token(options?: { validFor?: number; signal?: AbortSignal }): Promise<string>;
  /** The access token at once. It may have run out. */
  readonly accessToken: string | undefined;
  /** Errors: InvalidCredentialsError, SignInRefusedError, TemporaryError, and what `read` throws. */
  signIn(credentials: { username: string; password: string; [more: string]: unknown }, options?: BeginOptions): Promise<void>;
  /**
   * Ends the session: first here and in all tabs, then at the server. A TemporaryError
   * means that the server could not be told; calling signOut again tells it then.
   */
  signOut(): Promise<void>;
  /** Ends all sessions of the user. If it fails, nothing has ended. */
  signOutEverywhere(): Promise<void>;
  /**
   * Begins a session with tokens that the app has got by itself. In cookie mode the
   * refresh token is exchanged for a cookie at once.
   */
  adopt(pair: AdoptedPair, options?: BeginOptions): Promise<void>;
  readonly state: AuthState;
  /** Calls back when `state` has been replaced. */
  subscribe(listener: () => void): () => void;
  on<E extends keyof AuthEvents>(event: E, listener: (detail: AuthEvents[E]) => unknown): () => void;
  readonly problems: readonly Problem[];
  /** Settles when the store has been read. Never rejects. */
  readonly ready: Promise<void>;
  /**
   * For adapters of other clients: calls attempt with an access token and the headers that
   * the request gets besides its own, Authorization among them (both undefined if it gets
   * no token) and, if that was refused, once more with the next token. Errors: as of
   * fetch, and attempt's own.
   */
  send<T extends { refused: boolean }>(
    attempt: (accessToken: string | undefined, headers: Headers | undefined) => Promise<T>, options: SendOptions): Promise<T>;
  /** For adapters: whether an answer refuses the access token. The body is left unread. */
  isRefused(response: Response): Promise<boolean>;
  /** Stops listening to other tabs. A refresh under way still stores what it gets. */
  dispose(): void;
}
