// The refresh: one at a time in this tab and, with a lock, in all tabs together. All who
// wait for it share it, and its error.

import { pause, stopwatch, type Stopwatch } from "./clock.js";
import { isEnded, isTemporary, type TemporaryError } from "./errors.js";
import type { Events } from "./events.js";
import { isUsable, type Keeper, type Live } from "./keeper.js";
import { locked } from "./lock.js";
import { type Server, StaleError } from "./server.js";
import type { Settings } from "./settings.js";

const attempts = 3; // in a row
const longestPause = 2_000; // ms between two attempts; a server that asks for more is left alone
const longestBackOff = 30_000; // ms for which a failure is remembered
const lockPatience = 3_000; // ms

interface Failure {
  from_: Live;
  age_: Stopwatch;
  wait_: number; // ms for which the error stands
  count_: number; // in a row
  error_: TemporaryError;
}

export type Refresher = ReturnType<typeof createRefresher>;

export function createRefresher(settings: Settings, keeper: Keeper, server: Server, events: Events) {
  let flight: Promise<void> | undefined;
  let failure: Failure | undefined;
  let waiters = 0;

  const isHeld = (from: Live) => failure && failure.from_ === from && failure.age_() < failure.wait_;

  // refresh waits until from has been replaced. The error is an EndedError, an
  // OtherServerError or a TemporaryError; a temporary one stands for a while, so that a
  // thousand callers are not a thousand refreshes.
  function refresh(from: Live, why: string): Promise<void> {
    waiters++;
    if (!flight && isHeld(from)) {
      const { error_: error } = failure!;
      return keeper.look_().then(() => { // another tab may have been luckier
        if (keeper.live_() === from) throw error;
      });
    }
    return (flight = flight || fly(from, why).finally(() => {
      flight = undefined;
    }));
  }

  async function fly(from: Live, why: string) {
    const age = stopwatch();
    let how = "failed";
    waiters = 1;
    try {
      await activation();
      const patience = settings.forgiving_ ? lockPatience : attempts * (settings.timeout_ + longestPause);
      await locked("tandem " + settings.key_, patience, () => replace(from));
      how = keeper.live_() === from ? "given up" : "done";
      failure = undefined;
    } catch (error: any) {
      const live = keeper.live_();
      if (live && live !== from && (live.pair_.sessionId !== from.pair_.sessionId || isUsable(live))) return;
      if (isTemporary(error)) {
        const count = failure ? failure.count_ + 1 : 0;
        const backOff = Math.min(1000 * 2 ** count, longestBackOff) * (1 - Math.random() / 2);
        failure = { from_: live || from, age_: stopwatch(), wait_: Math.max(error.retryAfter, backOff), count_: count, error_: error };
        events.emit_("refreshFailed", { error });
      }
      how = error.message;
      throw error;
    } finally {
      settings.log_(`refresh: ${how} (${why}; ${waiters} waited, ${Math.round(age())} ms)`);
    }
  }

  // replace puts another pair in the place of from: a newer one of the store, or a fresh
  // one of the server. What may pass is tried again.
  async function replace(from: Live) {
    for (let attempt = 1; ; attempt++) {
      const presentation = await keeper.prepare_(from);
      if (!presentation) return;
      try {
        const next = await server.refresh_(presentation.pair_);
        await (next.sessionId === presentation.pair_.sessionId ? keeper.keep_(presentation, next) : keeper.begin_(next));
        events.emit_("refreshed", { sessionId: next.sessionId });
        return;
      } catch (error: any) {
        const ended = isEnded(error);
        if (ended || error instanceof StaleError) {
          await keeper.refused_(presentation, ended && error.reason);
          if (keeper.live_() !== presentation.then_ && keeper.live_()) return;
          throw ended ? keeper.notSignedIn_() : error;
        }
        if (attempt === attempts || error.retryAfter > longestPause) throw error;
        await pause(Math.max(error.retryAfter, 50 * 2 ** attempt) * (1 + Math.random() / 4));
      }
    }
  }

  return {
    refresh_: refresh,
    // ahead_ replaces a pair that is still good, in the background.
    ahead_(from: Live) {
      if (!flight && !isHeld(from)) refresh(from, "ahead of expiry").catch(() => {});
    },
    // forget_ forgets a failure: the network is back.
    forget_() {
      failure = undefined;
    },
  };
}

// activation waits until the page is shown, if it is being prerendered.
async function activation() {
  if (typeof document !== "undefined" && (document as any).prerendering) {
    await new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }));
  }
}
