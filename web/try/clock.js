// The time of this page, in ms since 1970. It runs evenly from the moment at which
// the page was opened, also when somebody sets the computer's clock; it may stand
// still while the computer sleeps.

export const steady = () => performance.timeOrigin + performance.now();

// stopwatch returns a function that says how many ms have gone since. Both clocks
// are asked: the one may stand still, the other may have been set back.
export function stopwatch() {
  const [even, wall] = [steady(), Date.now()];
  return () => Math.max(steady() - even, Date.now() - wall);
}
