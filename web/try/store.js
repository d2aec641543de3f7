// Where the pair of tokens is kept: one JSON value in localStorage, so that all
// tabs of this browser share it and it is replaced as a whole or not at all.
//
// The value is a pair
//   { sessionId, username, accessToken, refreshToken, receivedAt, expiresAt }
// (times in ms), or what is left of one: { ended: { sessionId, reason } }.

export const storeKey = "tandem.session";

export function openStore() {
  let fallback = null; // the value, where there is no localStorage or no room in it

  function read() {
    if (fallback !== null) return fallback;
    try {
      return localStorage.getItem(storeKey) ?? "";
    } catch {
      return "";
    }
  }

  function write(text) {
    try {
      localStorage.setItem(storeKey, text);
      fallback = null;
    } catch {
      fallback = text;
    }
  }

  function value() {
    try {
      return JSON.parse(read()) ?? {};
    } catch {
      return {};
    }
  }

  // load returns the pair, or null.
  function load() {
    const pair = value();
    return pair.accessToken && pair.refreshToken && pair.sessionId ? pair : null;
  }

  return {
    load,

    // ending returns { sessionId, reason } of the session that was kept last.
    ending: () => value().ended ?? null,

    save: (pair) => write(JSON.stringify(pair)),

    // swap replaces the pair, if the store still has the one with the refresh
    // token of used, and reports whether it had: the loser of a race changes
    // nothing.
    swap(used, next) {
      if (load()?.refreshToken !== used.refreshToken) return false;
      write(JSON.stringify(next));
      return true;
    },

    // onChange calls back when another tab has written.
    onChange(callback) {
      addEventListener("storage", (event) => {
        if (event.key === storeKey || event.key === null) callback();
      });
    },
  };
}
