// The lock of all tabs around a refresh.

import { timedOut, within } from "./clock.js";

// locked runs work while no other tab does, and returns what it returns. A tab that
// has held the lock for longer than patience (ms) may be frozen, and would hold it until
// it is thawed: the lock is taken from it, so that one of the waiting tabs works at a
// time, and the next refresh waits for nobody. If the other tab was only slow, two
// refresh at once. Tandem's server copes with that, and with tabs that have no locks at
// all, as on a plain-http host.
export async function locked(name: string, patience: number, work: () => Promise<void>): Promise<void> {
  let working: Promise<void> | undefined;
  const begin = () => (working = working || work());
  try {
    const { locks } = navigator;
    const holder = async () => (await locks.query()).held!.filter((lock) => lock.name === name).map((lock) => lock.clientId)[0];
    for (let seen: string | undefined; !working;) {
      const before = seen;
      seen = await holder();
      // If another waiting tab has taken the lock meanwhile, it is that one's turn.
      const steal = !!before && before === seen;
      await (steal ? locks.request(name, { steal }, begin) : within(patience, (signal) => locks.request(name, { signal }, begin)))
        .catch((error) => {
          if (error.message !== timedOut) throw error;
        });
    }
  } catch {
    // There are no locks, another tab has taken this one, or work failed.
  }
  return working || begin();
}
