// This is the file that replaces the template's token functions and its refresh code. The
// template kept { accessToken, refreshToken, expires } in localStorage, where expires is a
// date by the server's clock, and compared it with the browser's.

import { createAuth } from "@tandem-auth/browser";

const oldKey = "authorized-token";

export const auth = createAuth();

/** Takes over the session of users who have signed in with the old code. Await it before the app starts. */
export async function takeOver(): Promise<void> {
  await auth.ready;
  const text = localStorage.getItem(oldKey);
  localStorage.removeItem(oldKey);
  if (!text || auth.state.status === "signedIn") return;
  try {
    // Without the access token and its date: the first request refreshes, and from then on
    // the life of a token counts from its receipt, whatever the clocks say.
    const { refreshToken, username } = JSON.parse(text);
    await auth.adopt({ refreshToken, username });
  } catch {
    // What is there is no session: the user signs in.
  }
}
