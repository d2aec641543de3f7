// Where the pair of tokens is kept: one JSON value in localStorage, so that all
// tabs of this browser share it and it is replaced as a whole or not at all.
//
// The value is a pair
//   { sessionId, username, revision, accessToken, refreshToken, receivedAt, expiresAt, refreshExpiresAt }
// (times in ms), or what is left of one: { ended: { sessionId, reason } }.

export const storeKey = "tandem.session";

export function openStore() {
  // The value, where localStorage has no room for it or there is none, and what
  // localStorage had in its place: { text, over }.
  let memory = null;

  function kept() {
    try {
      return localStorage.getItem(storeKey) ?? "";
    } catch {
      return "";
    }
  }

  function read() {
    const text = kept();
    if (memory && memory.over !== text) memory = null; // another tab has written since
    return memory ? memory.text : text;
  }

  // write reports whether localStorage has the text.
  function write(text) {
    try {
      localStorage.setItem(storeKey, text);
    } catch {
      return false;
    }
    if (kept() !== text) return false;
    memory = null;
    return true;
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

  // put replaces what there is, whatever it is. What cannot be written lasts as long
  // as this tab; what was there before must not come back all the same.
  function put(next) {
    const text = JSON.stringify(next);
    if (write(text)) return;
    try {
      localStorage.removeItem(storeKey);
    } catch {
      // Then it stays.
    }
    if (!write(text)) memory = { text, over: kept() };
  }

  return {
    load,

    // ending returns { sessionId, reason } of the session that was kept last.
    ending: () => value().ended ?? null,

    // begin keeps the first pair of a session.
    begin: put,

    // end keeps why the session ended, in place of its pair.
    end: (sessionId, reason) => put({ ended: { sessionId, reason } }),

    // swap replaces the pair, if the store still has the one with the refresh token
    // of used: "kept". Otherwise nothing changes: "lost" if the store has another, as
    // for the loser of a race, "unsaved" if it cannot be written.
    swap(used, next) {
      if (load()?.refreshToken !== used.refreshToken) return "lost";
      const text = JSON.stringify(next);
      if (write(text)) return "kept";
      if (!memory) return "unsaved";
      memory.text = text;
      return "kept";
    },

    // onChange calls back when another tab has written.
    onChange(callback) {
      addEventListener("storage", (event) => {
        if (event.key === storeKey || event.key === null) callback();
      });
    },
  };
}
