// axios with the session.

import { type AxiosAdapter, AxiosError, type AxiosInstance, type AxiosResponse, getAdapter, type InternalAxiosRequestConfig } from "axios";
import { isRefused } from "./answer.js";
import type { Auth } from "./index.js";

declare module "axios" {
  interface AxiosRequestConfig<D = any, P = any> {
    /** false: a public call, or one with credentials of its own. It is sent as it is. */
    session?: boolean;
  }
}

/**
 * Has an instance send its requests with the access token, and a refused request once more
 * with the next one. This happens below the interceptors: they see each request and its
 * final answer once. A request with credentials of its own, or to an origin that gets no
 * token, is sent as it is. Returns the instance.
 *
 * The session's errors become AxiosErrors: isEnded, isTemporary and isUserChanged tell them
 * apart, and `cause` is the original one. `config.timeout` is the time limit of one
 * attempt, without the wait for a refresh.
 */
export function attach<T extends AxiosInstance>(auth: Auth, instance: T): T {
  const { adapter } = instance.defaults;
  instance.defaults.adapter = (config) => send(auth, instance.getUri(config), getAdapter(adapter, config), config);
  return instance;
}

interface Outcome {
  refused: boolean;
  response?: AxiosResponse;
  error?: AxiosError;
}

async function send(auth: Auth, url: string, adapter: AxiosAdapter, config: InternalAxiosRequestConfig): Promise<AxiosResponse> {
  const { data, cancelToken } = config;
  const controller = new AbortController();
  const leave = () => controller.abort();
  if (cancelToken) cancelToken.subscribe(leave);
  const own = config.headers.get("Authorization");
  let outcome: Outcome | undefined;
  try {
    outcome = await auth.send(async (_, headers) => {
      const refusal: any = outcome && outcome.response;
      if (refusal && refusal.data && refusal.data.destroy) refusal.data.destroy(); // a stream that nobody will read
      return outcome = await attempt(auth, url, adapter, config, headers);
    }, {
      url,
      signal: config.signal as AbortSignal | undefined || controller.signal,
      // The app's interceptor may have set the session's token.
      session: config.session !== false && !config.auth && (!own || own === "Bearer " + auth.accessToken),
      replayable: !data || !(data.pipe || data.getReader || data[Symbol.asyncIterator]),
    });
  } catch (error: any) {
    // It has no response: the app might take a 401 for the end of the session.
    throw AxiosError.from(error, error.code, config);
  } finally {
    if (cancelToken) cancelToken.unsubscribe(leave);
  }
  if (outcome.error) throw outcome.error;
  return outcome.response!;
}

// attempt sends a request once. The answer and the error have the app's config: an app that
// sends it again sends no old token, and one that logs it logs no token.
async function attempt(
  auth: Auth, url: string, adapter: AxiosAdapter, config: InternalAxiosRequestConfig, headers?: Headers,
): Promise<Outcome> {
  let { headers: all } = config;
  if (headers) {
    all = all.concat({ Authorization: headers.get("Authorization") }) as typeof all;
    headers.forEach((value, name) => all.set(name, value, false));
  }
  const outcome: Outcome = { refused: false };
  try {
    outcome.response = await adapter(Object.assign({}, config, { headers: all }));
  } catch (error: any) {
    outcome.error = error;
    outcome.response = error.response;
    error.config = config;
  }
  const { response } = outcome;
  if (response) {
    const { data, request, status } = response;
    response.config = config;
    const isReadable = typeof data === "string" || data instanceof Blob || data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    outcome.refused = !!headers && await isRefused(
      auth, url, request && request.responseURL, status, new Headers(response.headers as any), isReadable ? data as BodyInit : undefined);
  }
  return outcome;
}
