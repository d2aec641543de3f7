// How much time has gone by. performance.now() runs evenly but may stand still while the
// computer sleeps; the wall clock may be set. Neither is believed alone.

export const clockTolerance = 60_000; // ms by which the wall clock may have been set back

export type Stopwatch = () => number;

// stopwatch returns a function that says how many ms have gone since, or since age ms
// before: the more of what the two clocks say. It is infinite once the wall clock has
// been set back, for then nobody knows how long the computer slept.
export function stopwatch(age = 0): Stopwatch {
  const even = performance.now();
  const wall = Date.now();
  return () => {
    const byWall = Date.now() - wall;
    return byWall < -clockTolerance ? Infinity : age + Math.max(performance.now() - even, byWall);
  };
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const timedOut = "timed out";

// within gives work so many ms: then its signal aborts, and the error's message is
// timedOut.
export function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(timedOut));
      controller.abort();
    }, Math.min(ms, 2 ** 31 - 1)); // a longer one would go off at once
    work(controller.signal).then(resolve, reject).then(() => clearTimeout(timer));
  });
}

// unlessAborted lets a caller who gives up leave at once; what it waited for goes on.
export function unlessAborted<T>(promise: Promise<T>, signal?: AbortSignal | null): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason || new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", leave);
    if (signal.aborted) leave();
    promise.then(resolve, reject).then(() => signal.removeEventListener("abort", leave));
  });
}
