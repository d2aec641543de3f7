export { createAuth } from "./auth.js";
export {
  BodyNotReplayableError, EndedError, InvalidCredentialsError, isEnded, isTemporary, isUserChanged, OtherServerError,
  SignInRefusedError, TandemError, TemporaryError, UserChangedError,
} from "./errors.js";
export type { ErrorCode } from "./errors.js";
export type {
  AdoptedPair, Auth, AuthEvents, AuthOptions, AuthState, BeginOptions, Endpoints, Grant, Problem, RefreshInput, SendOptions,
  TokenOptions,
} from "./types.js";
