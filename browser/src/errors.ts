// What can go wrong. `code` tells the errors apart, also across copies of this package.

export type ErrorCode = "session_ended" | "temporary" | "user_changed" | "invalid_credentials" |
  "sign_in_refused" | "body_not_replayable" | "other_server" | "disposed";

export class TandemError extends Error {
  readonly code: ErrorCode;
  readonly cause?: unknown;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message);
    this.name = "TandemError";
    this.code = code;
    this.cause = cause;
  }
}

/** The session has ended for good: the user has to sign in again. */
export class EndedError extends TandemError {
  /**
   * @param reason why, in the server's words: signed_out, revoked, reuse_detected, expired,
   * unknown; or not_signed_in, if there was no session.
   */
  constructor(readonly reason = "unknown", readonly sessionId = "") {
    super("session_ended", "the session has ended: " + reason);
  }
}

/** It did not work now and may work later; the session lives. */
export class TemporaryError extends TandemError {
  /** @param retryAfter for how many ms the server should be left alone; 0 if it has not asked. */
  constructor(message: string, readonly retryAfter = 0, cause?: unknown) {
    super("temporary", message, cause);
  }
}

/** Another user has signed in since the request began: it is not sent in that user's name. */
export class UserChangedError extends TandemError {
  constructor() {
    super("user_changed", "another user has signed in");
  }
}

/** Wrong user name or password. */
export class InvalidCredentialsError extends TandemError {
  /** @param body the JSON of the server's answer. */
  constructor(readonly body?: unknown) {
    super("invalid_credentials", "wrong user name or password");
  }
}

/** The server refuses the sign-in for another reason than a wrong password, and will again. */
export class SignInRefusedError extends TandemError {
  /**
   * @param status the status of the server's answer, such as 403.
   * @param body the JSON of it.
   */
  constructor(readonly status: number, readonly body?: unknown) {
    super("sign_in_refused", "the server refuses the sign-in with " + status);
  }
}

/**
 * The token was refused and the body can be read only once. The token has been replaced:
 * make the request anew.
 */
export class BodyNotReplayableError extends TandemError {
  /** @param response what refused it: what `attempt` returned, for fetch a Response. */
  constructor(readonly response: unknown) {
    super("body_not_replayable", "the body can be read only once: make the request anew");
  }
}

/** The stored session belongs to another server than `url`: sign in again. */
export class OtherServerError extends TandemError {
  constructor(readonly issuer: string) {
    super("other_server", "the session belongs to " + issuer);
  }
}

// has looks along the causes, since other libraries wrap what they catch.
function has(code: ErrorCode, error: any): boolean {
  for (let depth = 0; error && depth < 9; depth++, error = error.cause) {
    if (error.code === code) return true;
  }
  return false;
}

export const isEnded = (error: unknown) => has("session_ended", error);
export const isTemporary = (error: unknown) => has("temporary", error);
export const isUserChanged = (error: unknown) => has("user_changed", error);
