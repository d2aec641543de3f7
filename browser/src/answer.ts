// What the adapters of clients other than fetch ask of an answer.

import type { Auth } from "./index.js";

// isRefused says whether an answer refuses the access token. It does not believe one from
// elsewhere: a redirect there loses the token. responseURL is "" if it is not known.
export async function isRefused(
  auth: Auth, url: string, responseURL: string, status: number, headers: HeadersInit, body?: BodyInit,
): Promise<boolean> {
  if (responseURL && new URL(responseURL).origin !== new URL(url, location.href).origin) return false;
  try {
    return await auth.isRefused(new Response(body || null, { status, headers }));
  } catch {
    return false; // no Response has such a status
  }
}
