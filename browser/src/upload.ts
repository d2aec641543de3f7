// Uploads by the upload components of Element Plus (http-request), Ant Design and Ant
// Design Vue (customRequest), with the session.

import { isRefused } from "./answer.js";
import type { Auth } from "./index.js";

/** What these components hand over. */
export interface UploadOptions {
  /** The address. */
  action: string;
  /** Defaults to POST. */
  method?: string;
  /** The name of the file's field in the form. Defaults to "file". */
  filename?: string;
  file: string | Blob;
  /** Further fields of the form; a list is several fields. */
  data?: Record<string, any>;
  headers?: Headers | Record<string, any>;
  withCredentials?: boolean;
  onProgress?: (event: any) => void;
  /** Gets the answer's JSON, or its text. */
  onSuccess?: (body: any, request: any) => void;
  onError?: (error: any, body?: any) => void;
}

/**
 * The function that uploads for such a component, with the access token, and once more with
 * the next one if that was refused. The result is the request: its abort() ends the upload,
 * during a refresh too. onError gets an error of the session, or one with the answer's
 * status (0 if there is none).
 */
export function uploadWith(auth: Auth): (options: UploadOptions) => XMLHttpRequest {
  return (options) => {
    const { action, onSuccess = () => {}, onError = () => {} } = options;
    const request = new XMLHttpRequest();
    const controller = new AbortController();
    request.abort = () => {
      controller.abort();
      XMLHttpRequest.prototype.abort.call(request);
    };
    const own = headersOf(options.headers);
    const authorization = own.get("Authorization");
    auth.send(async (_, headers = new Headers()) => {
      own.forEach((value, name) => name === "authorization" && headers.has(name) || headers.set(name, value));
      await send(request, options, headers);
      const contentType = request.getResponseHeader("Content-Type") || "";
      return {
        refused: await isRefused(auth, action, request.responseURL, request.status, { "Content-Type": contentType }, request.responseText),
      };
    }, {
      url: action,
      signal: controller.signal,
      // The app may have set the session's token.
      session: !authorization || authorization === "Bearer " + auth.accessToken,
    }).then(() => {
      const { status, responseText } = request;
      if (status >= 200 && status < 300) {
        onSuccess(parse(responseText), request);
      } else {
        onError(failure("the server answered " + status, status), parse(responseText));
      }
    }, (error) => controller.signal.aborted || onError(error));
    return request;
  };
}

// send sends the request, which may have been sent before.
function send(request: XMLHttpRequest, options: UploadOptions, headers: Headers): Promise<void> {
  const { action, method = "POST", filename = "file", file, data, withCredentials, onProgress = () => {} } = options;
  const form = new FormData();
  for (const name of Object.keys(data || {})) {
    ([] as any[]).concat(data![name]).forEach((value) => form.append(name, value));
  }
  form.append(filename, file);
  request.open(method, action);
  request.withCredentials = !!withCredentials;
  headers.forEach((value, name) => request.setRequestHeader(name, value));
  request.upload.onprogress = (event: any) => {
    event.percent = event.total ? event.loaded / event.total * 100 : 0;
    onProgress(event);
  };
  return new Promise((resolve, reject) => {
    request.onload = () => resolve();
    request.onerror = request.onabort = () => reject(failure("the upload was cut off", 0));
    request.send(form);
  });
}

function headersOf(headers: any = {}): Headers {
  if (headers instanceof Headers) return headers;
  return new Headers(Object.keys(headers).filter((name) => headers[name] != null).map((name) => [name, String(headers[name])]));
}

const failure = (message: string, status: number) => Object.assign(new Error(message), { status });

function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
