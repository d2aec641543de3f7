// Where the session is kept: one record in IndexedDB, which all tabs of this browser
// share. (localStorage will not do: under a Web Lock, a tab can still read what another
// has overwritten. The tests measure it.)

import { within } from "./clock.js";
import type { Pair } from "./renewal.js";

// A change of the record's meaning gets the next number. Other tabs may run another
// version of this package: what has a higher number is neither read nor replaced.
export const format = 1;
const patience = 5_000; // ms; IndexedDB may never answer

// A Kept is what the store has: a pair, or why the last session ended.
export interface Kept {
  pair?: Pair;
  ended?: Ending;
  // Also stands in a cookie that the browser forgets when it is closed. Without the
  // cookie, the record counts no more.
  mark?: string;
}

export interface Ending {
  sessionId: string;
  reason: string;
}

export interface Store {
  // visit_ calls decide with what the store has, and stores what it returns, if
  // anything, in one transaction: no other tab writes in between. The promise is
  // rejected if the store could not be read, or not written.
  visit_(decide: (kept: Kept) => Kept | undefined | void, mode?: IDBTransactionMode): Promise<unknown>;
}

// newerVersion is why a store is not read: another version of this package has written.
export const newerVersion = new Error("the session was written by a newer version");

export function memoryStore(kept: Kept = {}): Store {
  return {
    async visit_(decide) {
      kept = decide(kept) || kept;
    },
  };
}

// indexedDBStore opens a connection for each visit. Visits are rare, and an open
// connection may keep a page out of the back/forward cache, or be closed by the browser.
export function indexedDBStore(key: string): Store {
  return {
    visit_: (decide, mode = "readonly") => within(patience, (signal) => open(key).then((database) =>
      new Promise<void>((resolve, reject) => {
        const transaction = database.transaction("kept", mode, { durability: "strict" });
        const records = transaction.objectStore("kept");
        records.get(0).onsuccess = (event) => {
          const { result } = event.target as IDBRequest;
          if (signal.aborted) return;
          if (result && result.format > format) return reject(newerVersion);
          const next = decide(isMarked(result) ? result : {});
          if (next) records.put({ ...next, format }, 0); // what was read may have another
        };
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error);
      }).finally(() => database.close()),
    )),
  };
}

function open(key: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(key);
    request.onupgradeneeded = () => request.result.createObjectStore("kept");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

// isMarked says whether the record counts still: where it ends with the browser, the
// browser has not been closed since. A worker has no cookies, but pages that it serves.
export function isMarked(kept?: Kept): boolean {
  return !!kept && (!kept.mark || typeof document === "undefined" || document.cookie.includes(kept.mark));
}

// newMark puts a mark into a cookie that the browser forgets when it is closed, and
// returns it; "" if it could not.
export function newMark(key: string): string {
  const mark = `${encodeURIComponent(key)}.open=${random()}`;
  document.cookie = mark + ";path=/;samesite=lax";
  return document.cookie.includes(mark) ? mark : "";
}

// random returns a name that nothing else has. It is no secret.
export const random = () => Math.random().toString(36).slice(2);
