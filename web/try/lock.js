// The lock of all tabs around a refresh.

import { storeKey } from "./store.js";

const patience = 5_000; // ms; a refresh seldom takes so long
const apart = 2_000; // ms; so that not all tabs lose their patience at once

// locked runs work while no other tab refreshes, and returns what it returns. A tab
// that holds the lock for too long may be frozen: the lock is taken from it. Where
// there is no lock to be had, as on a plain-http host, tabs may refresh at once.
// The server copes with both.
export async function locked(work) {
  if (!navigator.locks) return work();
  let done; // what work returns, once it runs
  const begin = () => (done ??= work());
  const take = (options) => navigator.locks.request(storeKey, options, begin);
  try {
    await take({ signal: AbortSignal.timeout(patience + Math.random() * apart) });
  } catch {
    // The patience is over, another tab has taken the lock, or work failed.
    if (!done) await take({ steal: true }).catch(() => {});
  }
  return done ?? begin();
}
