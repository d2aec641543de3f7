import assert from "node:assert/strict";
import { test } from "node:test";
import { stopwatch, within } from "../src/clock.js";

test("a stopwatch believes neither clock alone", (t) => {
  let [wall, even] = [1_000_000, 0];
  t.mock.method(Date, "now", () => wall);
  t.mock.method(performance, "now", () => even);
  const age = stopwatch(5);
  even += 1000;
  assert.equal(age(), 1005); // the wall clock stands
  wall += 3_600_000;
  assert.equal(age(), 3_600_005); // the computer has slept
  wall -= 3_600_000 + 30_000;
  assert.equal(age(), 1005); // the clock was put right a little
  wall -= 3_600_000;
  assert.equal(age(), Infinity); // it was set back: nobody knows
});

test("a limit that no timer can hold is none that is over at once", async () => {
  assert.equal(await within(2 ** 40, async () => "done"), "done");
  await assert.rejects(within(1, () => new Promise(() => {})), /timed out/);
});
