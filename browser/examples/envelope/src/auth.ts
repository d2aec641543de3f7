// This is the file that replaces the template's refresh code: the queue of requests that
// wait, the flag that says that a refresh is under way, and the store of the tokens. It
// says how this server speaks: every answer has status 200 and { code, data, msg }.

import { createAuth, EndedError, InvalidCredentialsError } from "@tandem-auth/browser";

export const auth = createAuth({
  url: "/envelope",
  headers: () => ({ "tenant-id": localStorage.getItem("tenant") || "1" }), // with sign-in and refresh, too
  read({ code, data }) {
    if (code === 0) return data;
    if (code === 401) throw new InvalidCredentialsError(); // of the sign-in
    if (code === 400 && data?.error === "invalid_grant") throw new EndedError(data.reason);
    return undefined; // "the system is being upgraded": temporary
  },
  isRefused: async (response) => (await response.json()).code === 401,
});
