// Two things that go wrong in the world, on demand: a reply that is lost on its
// way, and a thief.

import { refreshPath } from "./authserver.js";
import { openStore } from "./store.js";

// lossyNetwork returns a stand-in for fetch that loses the reply to the next
// refresh once lose has been called: the server has acted, and nobody hears of it.
export function lossyNetwork({ onLost }) {
  let losing = false;
  return {
    lose: (yes) => { losing = yes; },

    async send(path, options) {
      const lost = losing && path === refreshPath;
      if (lost) losing = false;
      const response = await fetch(path, options);
      if (!lost) return response;
      await response.body?.cancel();
      onLost();
      throw new TypeError("the reply was lost");
    },
  };
}

// steal copies the refresh token that this browser keeps and uses it elsewhere,
// then uses what it got for it: now the thief is ahead. It reports whether the
// server went along.
export async function steal() {
  let token = openStore().load()?.refreshToken;
  for (let uses = 0; uses < 2 && token; uses++) {
    token = await use(token);
  }
  return Boolean(token);
}

async function use(refreshToken) {
  try {
    const response = await fetch(refreshPath, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refreshToken }),
      credentials: "omit",
    });
    return response.ok ? (await response.json()).refreshToken : null;
  } catch {
    return null;
  }
}
