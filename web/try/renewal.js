// What the client does with its pairs of tokens: the tables of package renewal, for
// a server with Tandem's protocol and a store that has this origin's pairs alone.
// Their vectors are in testdata/vectors/renewal.
//
// A view is { live, base, baseHeldFor, stored, endedSessionId }: the pair in use, the
// pair that was presented last or is known to have been in the store since, for how
// many ms it has been presented (null if it has not), the pair that the store has,
// and the session that has ended in this tab. Each pair may be null.

export function same(p, q) {
  return Boolean(p && q) && p.refreshToken === q.refreshToken && p.accessToken === q.accessToken;
}

// before says what to do for a new access token: not_signed_in, signed_out, adopt,
// present_live or present_base.
export function before(view) {
  const { live, base, stored } = view;
  if (!stored) return live ? "signed_out" : "not_signed_in";
  if (!live) return endedHere(view) ? "not_signed_in" : "adopt";
  if (storeIsAhead(view)) return "adopt";
  const presentsBase = same(stored, base) && !same(stored, live) && !storeFailsForLong(view);
  return presentsBase ? "present_base" : "present_live";
}

// after says what to do with the answer to a pair that was presented: granted (the
// pair next), ended, stale or failed. The steps are discard, kept, adopt, keep, end
// and retry.
export function after(view, presented, answer, next) {
  if (answer === "granted") return afterGrant(view, presented, next);
  if (answer === "failed") return "retry";
  const { stored } = view;
  const another = stored?.sessionId === presented.sessionId ? isNewer(stored, presented) : stored && !endedHere(view);
  if (another) return "adopt";
  return answer === "ended" ? "end" : "retry";
}

function afterGrant(view, presented, next) {
  const { stored } = view;
  if (!stored) return "discard";
  if (same(stored, next)) return "kept";
  const another = stored.sessionId === next.sessionId
    ? !same(stored, presented) && isNewer(stored, next)
    : !endedHere(view);
  return another ? "adopt" : "keep";
}

// isUnsaved says whether the store has an older pair than the one in use.
export function isUnsaved(view) {
  const { live, stored } = view;
  return Boolean(live && stored) && stored.sessionId === live.sessionId && !same(stored, live) && !storeIsAhead(view);
}

// isNewer counts siblings, and pairs without a revision, as newer.
function isNewer(p, q) {
  return !same(p, q) && (!p.revision || p.revision >= (q.revision ?? 0));
}

function storeIsAhead(view) {
  const { live, base, stored } = view;
  if (stored.sessionId !== live.sessionId) return !endedHere(view);
  return !same(stored, base) && isNewer(stored, live);
}

// storeFailsForLong says whether base has been presented for half of its lifetime.
function storeFailsForLong({ live, baseHeldFor }) {
  const lifetime = (live.refreshExpiresAt ?? live.receivedAt) - live.receivedAt;
  return lifetime > 0 && baseHeldFor !== null && baseHeldFor >= lifetime / 2;
}

function endedHere({ stored, endedSessionId }) {
  return Boolean(endedSessionId) && stored.sessionId === endedSessionId;
}
