// What the client does with its pairs of tokens: which it presents, and what it keeps
// of the answer. The rules are the tables of Go's package renewal, whose documentation
// gives the reasons; testdata/vectors/renewal has them as data, and the tests run
// these functions on all of it. Nothing here waits, reads a clock or touches a store.

// A Pair is what one grant gave, as the store keeps it. Times are in ms since 1970, by
// this device's clock.
export interface Pair {
  // Names this grant and no other. The tokens cannot: in cookie mode the store has none.
  id: string;
  // The origin of the server that gave the pair; "" counts as this client's server.
  issuer: string;
  sessionId: string;
  username: string;
  // 1 at sign-in, one more at every refresh; 0 if that was not recorded.
  revision: number;
  accessToken: string;
  // Missing in cookie mode.
  refreshToken?: string;
  receivedAt: number;
  expiresAt: number;
  // When the refresh token expires unless it is presented before; missing if unknown.
  refreshExpiresAt?: number;
}

export interface View {
  // The pair whose access token is in use.
  live?: Pair;
  // The pair that was presented last or, if that is later, that is known to have been
  // in the store.
  base?: Pair;
  // For how many ms base has been presented; missing if it has not been.
  baseHeldFor?: number;
  // What the store has.
  stored?: Pair;
  // The session that has ended in this tab: what a store still has of it is not adopted.
  endedSessionId?: string;
  // The client's server, under its present and its earlier names.
  issuers: string[];
  // Whether the server takes a refresh token again until a successor is presented.
  forgiving: boolean;
}

export type StepBefore = "not_signed_in" | "signed_out" | "foreign" | "adopt" | "present_live" | "present_base";
export type StepAfter = "discard" | "kept" | "adopt" | "keep" | "end" | "retry";
export type Answer = "granted" | "ended" | "stale" | "failed";

export const same = (p?: Pair, q?: Pair) => Boolean(p && q && p.id === q.id);

// before says what to do for another access token, the store having just been read.
export function before(view: View): StepBefore {
  const { live, base, stored } = view;
  if (!stored) return live ? "signed_out" : "not_signed_in";
  if (!isOurs(view)) return "foreign";
  if (!live) return hasEndedHere(view) ? "not_signed_in" : "adopt";
  if (storeIsAhead(view)) return "adopt";
  return view.forgiving && same(stored, base) && !same(stored, live) && !storeFailsForLong(view)
    ? "present_base"
    : "present_live";
}

// after says what to do with the answer to a pair that was presented. For "granted",
// next is the new pair; for "ended" and "stale", the store has been read again.
export function after(view: View, presented: Pair, answer: Answer, next?: Pair): StepAfter {
  const { stored } = view;
  if (answer === "granted") {
    if (!stored || !isOurs(view)) return "discard";
    if (same(stored, next)) return "kept";
    return stored.sessionId !== next!.sessionId ? (hasEndedHere(view) ? "keep" : "adopt")
      : !same(stored, presented) && isNewer(stored, next!) ? "adopt" : "keep";
  }
  if (answer !== "failed" && stored && isOurs(view) &&
      (stored.sessionId === presented.sessionId ? isNewer(stored, presented) : !hasEndedHere(view))) {
    return "adopt";
  }
  return answer === "ended" ? "end" : "retry";
}

// isUnsaved says whether the store has an older pair than the one in use, which is to
// be stored in its place.
export function isUnsaved(view: View): boolean {
  const { live, stored } = view;
  return Boolean(live && stored && isOurs(view)) && stored!.sessionId === live!.sessionId &&
    !same(stored, live) && !storeIsAhead(view);
}

// isNewer counts siblings, and pairs without a revision, as newer.
export function isNewer(p: Pair, q: Pair): boolean {
  return !same(p, q) && (!p.revision || p.revision >= q.revision);
}

function storeIsAhead(view: View): boolean {
  const live = view.live!;
  const stored = view.stored!;
  return stored.sessionId === live.sessionId ? !same(stored, view.base) && isNewer(stored, live) : !hasEndedHere(view);
}

// storeFailsForLong says whether base has been presented for half of its lifetime.
function storeFailsForLong({ live, baseHeldFor }: View): boolean {
  const lifetime = (live!.refreshExpiresAt || 0) - live!.receivedAt;
  return lifetime > 0 && baseHeldFor! >= lifetime / 2;
}

const hasEndedHere = (view: View) => view.stored!.sessionId === view.endedSessionId;

const isOurs = ({ stored, issuers }: View) => !stored!.issuer || issuers.includes(stored!.issuer);
