// A request's way: with the access token, and once more with the next one if that was
// refused.

import { stopwatch, unlessAborted } from "./clock.js";
import { BodyNotReplayableError, isEnded, isTemporary, UserChangedError } from "./errors.js";
import { isUsable, type Keeper, type Live } from "./keeper.js";
import type { Refresher } from "./refresh.js";
import type { Pair } from "./renewal.js";
import { absolute, mayHaveToken, type Settings } from "./settings.js";
import type { Auth, SendOptions } from "./types.js";

const refusalMemory = 10_000; // ms for which a refused fresh token is an API's last word

// A Beginning is what a request began with.
interface Beginning {
  pair_?: Pair; // tells whose request it is
  ends_: number; // how many sessions had ended
}

export function createTransport(settings: Settings, keeper: Keeper, refresher: Refresher) {
  const begin = async (): Promise<Beginning> => {
    await keeper.ready_;
    const live = keeper.live_();
    return { pair_: live && live.pair_, ends_: keeper.ends_() };
  };

  // credential returns a pair of the user who began, with another access token than the
  // refused one, that will be good for so many ms; after a refresh, whatever that brought.
  async function credential(begun: Beginning, why: string, refused?: Live, isGood = (live: Live) => isUsable(live)): Promise<Live> {
    for (let refreshes = 0; ; refreshes++) {
      if (!keeper.live_()) {
        await (begun.ends_ < keeper.ends_() ? keeper.ending_() : keeper.look_().catch((error) => {
          if (keeper.state_().status === "signedIn" || !isTemporary(error)) throw error;
        }));
      }
      const live = keeper.live_();
      if (!live) throw keeper.notSignedIn_();
      const { pair_: pair } = live;
      begun.pair_ = begun.pair_ || pair;
      if (begun.pair_.sessionId !== pair.sessionId && (!pair.username || begun.pair_.username !== pair.username)) {
        throw new UserChangedError();
      }
      if (refreshes || (!refused || refused.pair_.accessToken !== pair.accessToken) && isGood(live)) {
        if (live.age_() > live.ahead_) refresher.ahead_(live);
        return live;
      }
      try {
        await refresher.refresh_(live, why);
      } catch (error) {
        if (!isEnded(error)) throw error;
      }
    }
  }

  const isDue = (live: Live) => !isUsable(live) || live.age_() > live.ahead_;

  // noteRefusal makes the refusal of a fresh token an origin's last word for a while.
  function noteRefusal(live: Live, origin: string) {
    if (live.isFetched_ && isUsable(live)) live.refused_[origin] = stopwatch();
  }

  const send: Auth["send"] = async (attempt, { url, signal, replayable = true, session = true }) => {
    const target = absolute(url);
    if (!session || !mayHaveToken(settings, target)) return attempt(undefined, undefined);
    const { origin } = target;
    const begun = await begin();
    let live = await unlessAborted(credential(begun, "expired"), signal);
    if (!replayable && isDue(live)) {
      // What can be sent only once is not risked on a token that is about to expire.
      live = await unlessAborted(credential(begun, "before a stream", live).catch((error) => {
        if (isTemporary(error) && isUsable(live)) return live;
        throw error;
      }), signal);
    }
    const send = async ({ pair_: { accessToken } }: Live) => {
      const headers = new Headers(settings.headers && await settings.headers());
      headers.set("Authorization", "Bearer " + accessToken);
      return attempt(accessToken, headers);
    };
    const result = await send(live);
    if (!result.refused) return result;
    if (live.pair_ !== begun.pair_) noteRefusal(live, origin);
    const refusal = live.refused_[origin];
    if (refusal && refusal() < refusalMemory) return result;
    live = await unlessAborted(credential(begun, "401", live), signal);
    if (!replayable) throw new BodyNotReplayableError((result as any).response);
    const again = await send(live);
    if (again.refused) noteRefusal(live, origin);
    return again;
  };

  const fetchWithToken: Auth["fetch"] = async (input, init = {}) => {
    const { session, ...rest } = init;
    const request = typeof Request !== "undefined" && input instanceof Request ? new Request(input, rest) : undefined;
    const own = new Headers(request ? request.headers : rest.headers);
    const body: any = rest.body;
    const url = request ? request.url : input as string | URL;
    const options: SendOptions = {
      url, signal: request ? request.signal : rest.signal, session: session !== false && !own.has("Authorization"),
      replayable: !body || !(body.getReader || body[Symbol.asyncIterator]),
    };
    let refusal: Response | undefined;
    const { response } = await send(async (_, headers) => {
      if (!headers) return { refused: false, response: await settings.send_(request || url, rest) };
      if (refusal && refusal.body) refusal.body.cancel().catch(() => {}); // nobody will read it
      own.forEach((value, name) => headers.set(name, value));
      const response = await settings.send_(request ? request.clone() : url, { ...(request ? {} : rest), headers });
      refusal = response;
      // An answer from elsewhere is not believed: a redirect there loses the token.
      const isOthers = response.redirected && absolute(response.url).origin !== absolute(url).origin;
      return { response, refused: !isOthers && await isRefused(response) };
    }, options);
    return response;
  };

  // isRefused says whether an answer refuses the access token. An event stream does not,
  // and reading it would not end.
  const isRefused: Auth["isRefused"] = async (response) => {
    if (response.status === 401) return true;
    if (!settings.isRefused || /event-stream/.test(response.headers.get("Content-Type")!)) return false;
    try {
      return await settings.isRefused(response.clone());
    } catch {
      return false;
    }
  };

  const getAccessToken: Auth["getAccessToken"] = async ({ minValidity = 0, force, signal } = {}) => {
    const begun = await begin();
    const live = await unlessAborted(
      credential(begun, "asked for", force ? keeper.live_() : undefined, (each) => isUsable(each, minValidity * 1000)), signal);
    return live.pair_.accessToken;
  };

  return { send_: send, fetch_: fetchWithToken, isRefused_: isRefused, getAccessToken_: getAccessToken };
}
