// A copy of what the store has, without the refresh token, in localStorage: it can be
// read at once when a page opens. It may be out of date, and nothing is decided by it.

import { format, isMarked, type Kept } from "./store.js";

export function readMirror(key: string): Kept {
  try {
    const kept = JSON.parse(localStorage.getItem(key)!);
    if (kept.format === format && isMarked(kept)) return kept;
  } catch {
    // There is none.
  }
  return {};
}

export function writeMirror(key: string, kept: Kept) {
  const pair = kept.pair && { ...kept.pair, refreshToken: "" };
  try {
    localStorage.setItem(key, JSON.stringify({ ...kept, format, pair }));
  } catch {
    // There is no room; the copy of before misleads for a moment.
  }
}
