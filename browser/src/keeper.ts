// The keeper owns the session: the pair in use, and what the store has of it. No other
// code uses the store. The decisions are those of renewal.ts; they are made and carried
// out inside of the store's transaction, so that no other tab writes in between.

import { type Channel, type Message, openChannel } from "./channel.js";
import { clockTolerance, pause, type Stopwatch, stopwatch } from "./clock.js";
import { EndedError, OtherServerError, TemporaryError } from "./errors.js";
import type { Events } from "./events.js";
import { readMirror, writeMirror } from "./mirror.js";
import { after, before, isNewer, isUnsaved, type Pair, same, type View } from "./renewal.js";
import type { Settings } from "./settings.js";
import { indexedDBStore, type Kept, memoryStore, newerVersion, newMark, type Store } from "./store.js";
import type { AuthState } from "./types.js";

// A Live is a pair in use.
export interface Live {
  pair_: Pair;
  age_: Stopwatch; // since its receipt
  // At this age it is replaced ahead of its expiry.
  ahead_: number;
  // This tab has got it by a refresh: it was fresh.
  isFetched_: boolean;
  // How long ago an origin refused it although it was fresh.
  refused_: Record<string, Stopwatch | undefined>;
}

export type Keeper = ReturnType<typeof createKeeper>;

export function createKeeper(settings: Settings, events: Events) {
  const { key_: key, isCookie_: isCookie } = settings;
  let store: Store = key ? indexedDBStore(key) : memoryStore();
  const mirrored = readMirror(key);
  let live: Live | undefined;
  let base: Pair | undefined;
  let baseHeldFor: Stopwatch | undefined; // for how long base has been presented
  let endedSessionId = ""; // see View
  let lastEnd: EndedError | undefined;
  let lastUser = mirrored.pair && mirrored.pair.username;
  let state = stateOf(mirrored);
  let heard: Message = {}; // of an access token, from another tab
  let leaving = "";
  let ends = 0;
  let ending: Promise<unknown> | undefined; // what the listeners to the last end do
  let looking: Promise<void> | undefined;
  let answered = () => {};

  const view = (stored?: Pair): View => ({
    live: live && live.pair_, base, baseHeldFor: baseHeldFor && baseHeldFor(), stored, endedSessionId,
    issuers: settings.issuers_, forgiving: settings.forgiving_,
  });

  function stateOf({ pair, ended }: Kept): AuthState {
    return pair
      ? { status: "signedIn", username: pair.username, sessionId: pair.sessionId, expiresAt: pair.expiresAt }
      : { status: "signedOut", endedReason: ended && ended.reason };
  }

  function setState() {
    const next = stateOf({ pair: live && live.pair_, ended: lastEnd });
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    events.emit_("state");
  }

  // use makes a pair the one in use. How old it is, if another tab has received it, only
  // the wall clock can tell.
  function use(pair: Pair, isFetched = false) {
    if (heard.id === pair.id) pair = { ...pair, accessToken: heard.accessToken! };
    const age = Date.now() - pair.receivedAt;
    const life = pair.expiresAt - pair.receivedAt;
    const { refreshAhead = Math.min(life / 5000, 60) } = settings;
    const ahead = Math.min(refreshAhead * 1000, life * 0.9) * (1 - Math.random() / 4); // not all tabs at once
    live = {
      pair_: pair, isFetched_: isFetched, refused_: {},
      age_: stopwatch(age < -clockTolerance ? Infinity : Math.max(age, 0)),
      ahead_: life - ahead,
    };
    lastEnd = undefined;
    const { username, sessionId } = pair;
    const isNew = state.sessionId !== sessionId;
    setState();
    if (isNew) events.emit_("signedIn", { username, sessionId });
    if (lastUser !== undefined && lastUser !== username) events.emit_("userChanged", { username, previous: lastUser });
    lastUser = username;
  }

  // known notes that the store has a pair, or has had it.
  function known(pair: Pair) {
    base = pair;
    baseHeldFor = undefined;
  }

  // end takes the pair out of use.
  function end(reason: string) {
    const { sessionId } = live!.pair_;
    live = base = undefined;
    endedSessionId = sessionId;
    lastEnd = new EndedError(reason, sessionId);
    setState();
    if (sessionId === leaving) {
      events.emit_("signedOut", { sessionId });
    } else {
      ends++;
      ending = events.emit_("ended", { sessionId, reason });
    }
  }

  // follow does what the store asks for: another tab may have refreshed, signed in or
  // signed out. The result is what stops this tab from refreshing.
  function follow({ pair, ended }: Kept): Error | undefined {
    switch (before(view(pair))) {
      case "adopt":
        use(pair!);
        known(pair!);
        break;
      case "signed_out":
        end(ended && ended.sessionId === live!.pair_.sessionId ? ended.reason : "signed_out");
        break;
      case "foreign":
        return new OtherServerError(pair!.issuer);
    }
    if (live && same(pair, live.pair_) && !same(pair, base)) known(pair!);
    if (!live && !lastEnd && ended) lastEnd = new EndedError(ended.reason, ended.sessionId);
    return undefined;
  }

  // visit has the store call decide, and tells other tabs if it has written. The error is
  // a TemporaryError.
  async function visit(decide: (kept: Kept) => Kept | undefined | void, mode?: IDBTransactionMode) {
    let written: Kept | undefined | void;
    try {
      await store.visit_((kept) => (written = decide(kept)) && withoutSecrets(written), mode);
    } catch (error) {
      if (error === newerVersion) {
        events.say_("newer_version", "another tab runs a newer version of this app: reload the page");
      } else {
        events.say_("storage", "IndexedDB fails: the session may end with this page");
      }
      throw new TemporaryError("the stored session cannot be read or written", 0, error);
    }
    if (!written || !key) return;
    writeMirror(key, withoutSecrets(written));
    post(written.pair);
  }

  // withoutSecrets is what may be stored: in cookie mode, no token.
  const withoutSecrets = (kept: Kept): Kept =>
    kept.pair && isCookie ? { ...kept, pair: { ...kept.pair, accessToken: "" } } : kept;

  // post tells other tabs of a pair, or that they find the news in the store.
  function post(pair?: Pair) {
    if (channel) channel.post_(pair && isCookie ? { id: pair.id, accessToken: pair.accessToken } : {});
  }

  function hear({ id, accessToken, wanted }: Message) {
    if (wanted) {
      if (live && live.pair_.id === wanted && live.pair_.accessToken) post(live.pair_);
      return;
    }
    if (id) heard = { id, accessToken };
    if (live && live.pair_.id === id && !live.pair_.accessToken) use(live.pair_);
    answered();
    wake();
  }

  const wake = () => void look().catch(() => {});

  // ask asks other tabs for the access token of the pair in use, which the store does
  // not have in cookie mode.
  async function ask() {
    if (!channel || !live || live.pair_.accessToken) return;
    const answer = new Promise<void>((resolve) => (answered = resolve));
    channel.post_({ wanted: live.pair_.id });
    await Promise.race([answer, pause(200)]);
  }

  // look reads the store and follows it. The error is a TemporaryError or an
  // OtherServerError.
  function look(): Promise<void> {
    return (looking = looking || read().then(() => {}).finally(() => (looking = undefined)));
  }

  async function read(): Promise<Pair | undefined> {
    let stored: Pair | undefined;
    let error: Error | undefined;
    await visit((kept) => {
      stored = kept.pair;
      error = follow(kept);
    });
    if (error) throw error;
    return stored;
  }

  // begin makes a pair the session, in place of any other.
  async function begin(pair: Pair, remember = settings.remember_) {
    const kept: Kept = { pair };
    const put = ({ pair: stored = live && live.pair_ }: Kept) => {
      if (stored && stored.sessionId !== pair.sessionId) endedSessionId = stored.sessionId;
      use(pair);
      return kept;
    };
    try {
      if (key && !remember && !(kept.mark = newMark(key))) {
        events.say_("cookies", "cookies are off: the session ends with this page");
        throw kept;
      }
      await visit(put, "readwrite");
    } catch {
      // The session lasts as long as this page. An earlier one must not come back then.
      await visit(() => ({}), "readwrite").catch(() => {});
      store = memoryStore();
      await visit(put);
    }
    known(pair);
  }

  // prepare reads the store and chooses the pair to present; it returns nothing if
  // another pair than from is in use and good. The error is an EndedError, an
  // OtherServerError or a TemporaryError.
  async function prepare(from: Live): Promise<Presentation | undefined> {
    let stored = await read();
    await ask();
    if (live && isUnsaved(view(stored))) {
      let saved: Pair | undefined;
      await visit((kept) => {
        if (!isUnsaved(view(kept.pair))) return undefined;
        saved = live!.pair_;
        return { ...kept, pair: saved };
      }, "readwrite").then(() => {
        if (live && same(saved, live.pair_)) known(stored = saved!);
      }, () => {});
    }
    if (!live) throw notSignedIn();
    if (live !== from && isUsable(live)) return undefined;
    const presented = before(view(stored)) === "present_base" ? base! : live.pair_;
    if (!same(presented, base) || !baseHeldFor) {
      base = presented;
      baseHeldFor = stopwatch();
    }
    return { then_: live, pair_: presented };
  }

  // keep stores the pair that the server has given for the one presented, and uses it
  // even if it cannot be stored. What the store has got meanwhile stands, and so does
  // what has come into use in place of the pair of then.
  async function keep({ then_: then, pair_: presented }: Presentation, next: Pair) {
    await visit((kept) => {
      if (live !== then) return undefined;
      const step = after(view(kept.pair), presented, "granted", next);
      if (step === "keep" || step === "kept") {
        use(next, true);
        return { ...kept, pair: next };
      }
      follow(kept);
      return undefined;
    }, "readwrite").then(() => live && live.pair_.id === next.id && known(next), () => live === then && use(next, true));
  }

  // refused ends the session for which the server has refused the pair presented, unless
  // the store has another pair. It does not if the token is only stale.
  async function refused({ then_: then, pair_: presented }: Presentation, reason: string | undefined) {
    await visit((kept) => {
      if (live !== then) return undefined;
      const step = after(view(kept.pair), presented, reason ? "ended" : "stale");
      if (step === "adopt") {
        use(kept.pair!);
        known(kept.pair!);
      }
      if (step !== "end") return undefined;
      end(reason!);
      return kept.pair && kept.pair.sessionId === presented.sessionId
        ? { ended: { sessionId: presented.sessionId, reason: reason! } }
        : undefined;
    }, "readwrite");
  }

  // leave signs out, here and in all tabs, and returns the pair of the session.
  async function leave(): Promise<Pair | undefined> {
    let last = live && live.pair_;
    if (live) {
      leaving = live.pair_.sessionId;
      end("signed_out");
    }
    await visit(({ pair }) => {
      if (!pair || before(view(pair)) === "foreign") return undefined;
      if (!last || last.sessionId !== pair.sessionId || isNewer(pair, last)) last = pair;
      endedSessionId = pair.sessionId;
      return { ended: { sessionId: pair.sessionId, reason: "signed_out" } };
    }, "readwrite").catch(() => {});
    isRead = true;
    setState();
    return last;
  }

  const notSignedIn = () => lastEnd || new EndedError("not_signed_in");

  const channel: Channel | undefined = key ? openChannel(key, hear) : undefined;
  let isRead = false;
  const ready = look().then(() => {
    isRead = true;
    setState();
  }, () => {}); // then the mirror's word stands

  return {
    ready_: ready,
    live_: () => live,
    state_: () => state,
    accessToken_: () => (live || isRead ? live && live.pair_.accessToken : mirrored.pair && mirrored.pair.accessToken) || undefined,
    notSignedIn_: notSignedIn,
    // How many sessions have ended, and what the listeners to the last end do.
    ends_: () => ends,
    ending_: () => ending,
    // The session whose end is this tab's own doing.
    leaving_: (sessionId: string) => void (leaving = sessionId),
    look_: look,
    wake_: wake,
    begin_: begin,
    prepare_: prepare,
    keep_: keep,
    refused_: refused,
    leave_: leave,
    close_: () => channel && channel.close_(),
  };
}

// A Presentation is one attempt at a refresh: of the pair that is presented while then is
// in use.
export interface Presentation {
  then_: Live;
  pair_: Pair;
}

// isUsable says whether the access token will be good for so many ms.
export function isUsable({ pair_: pair, age_: age }: Live, ms = 0): boolean {
  return !!pair.accessToken && age() + ms < pair.expiresAt - pair.receivedAt;
}
