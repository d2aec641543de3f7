// This is the file that replaces the template's refresh code. The codes of the server's
// envelopes come from the environment, as strings.

import { createAuth, EndedError, InvalidCredentialsError } from "@tandem-auth/browser";

const env = import.meta.env;
const expired = env.VITE_EXPIRED_CODES.split(",");
const ended = env.VITE_ENDED_CODES.split(",");

export const auth = createAuth({
  url: "/coded",
  read({ code, data }) {
    if (code === env.VITE_SUCCESS_CODE) return data;
    if (expired.includes(code)) throw new InvalidCredentialsError(); // this server says so of a wrong password, too
    if (ended.includes(code)) throw new EndedError(data?.reason);
    return undefined;
  },
  isRefused: async (response) => expired.includes((await response.json()).code),
});
