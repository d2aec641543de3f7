// The experiments: each does the same to both lanes, and says what became of the requests.

import { arrange, expire, steal } from "./faults.js";
import { t } from "./i18n.js";

const password = "demo"; // of all users of this server
const users = ["demo", "ann", "bob"];
const batch = 20; // requests of an experiment
const leeway = 11_000; // ms after which the server takes a token for stolen, and not for late

export function createExperiments({ list, lanes, onChange, note, newGo }) {
  const page = document.body.dataset;
  let numbered = 0; // requests so far

  const all = (act) => Promise.all(lanes.map(act));

  // send sends requests in a lane and returns how many had which outcome.
  async function send({ lane, client }, n) {
    lane.sent(n);
    const outcomes = { answered: 0, stopped: 0 };
    const names = new Set(); // whom the server took the requests for
    await Promise.all(Array.from({ length: n }, async () => {
      let outcome = "failed";
      try {
        const response = await client.fetch(`/api/hello?n=${++numbered}`);
        if (response.ok) {
          names.add((await response.json()).subject);
          outcome = "answered";
        }
      } catch (error) {
        outcome = client.outcomeOf(error);
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      lane.settled(outcome);
    }));
    return { n, ...outcomes, lost: n - outcomes.answered - outcomes.stopped, names };
  }

  // tell says what became of the requests of a lane.
  function tell({ lane, client }, { n, answered, stopped, lost }) {
    const isIn = client.isSignedIn();
    const key = stopped ? "verdict.stopped" : !lost ? "verdict.good" : isIn ? "verdict.lost" : "verdict.out";
    lane.say(key, { n, answered, lost, stopped }, !lost);
  }

  async function fire(n) {
    await run(null, async () => all(async (each) => tell(each, await send(each, n))));
  }

  // whenExpired sends requests whose token the server refuses, and meets the faults.
  async function whenExpired(faults, n = batch) {
    await all(({ client }) => arrange(client, faults));
    await all(({ client }) => expire(client));
    await all(async (each) => tell(each, await send(each, n)));
  }

  // another signs somebody else in while requests wait for a refresh.
  async function another() {
    await all(({ client }) => arrange(client, [{ kind: "slow", delay: 1500 }]));
    await all(({ client }) => expire(client));
    await all(async (each) => {
      const { lane, client } = each;
      const before = client.username();
      const sending = send(each, batch);
      await new Promise((resolve) => setTimeout(resolve, 600)); // the refresh is under way
      const next = users.find((name) => name !== before);
      await client.signInElsewhere(next, password);
      const result = await sending;
      const { names } = await send(each, 1);
      if (result.stopped) tell(each, result);
      else lane.say([...names].every((name) => result.names.has(name)) ? "verdict.overwritten" : "verdict.mixed", { before, next }, false);
    });
  }

  async function thief() {
    const stolen = await all(({ client }) => steal(client));
    if (!stolen.every(Boolean)) {
      lanes.forEach(({ lane }) => lane.say("verdict.noThief", {}, false));
      return;
    }
    note("tandem", "thief");
    note("tutorial", "thief");
    for (let left = leeway; left > 0; left -= 1000) {
      lanes.forEach(({ lane }) => lane.say("verdict.wait", { n: Math.round(left / 1000) }, true));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    await all(({ client }) => expire(client));
    await all(async (each) => {
      await send(each, 1);
      each.lane.say("verdict.thief", {}, true);
    });
  }

  const experiments = {
    expired: () => whenExpired([], 200),
    unavailable: () => whenExpired([{ kind: "unavailable", delay: 0 }]),
    lost: () => whenExpired([{ kind: "lost", delay: 0 }]),
    page: () => whenExpired([{ kind: "page", delay: 0 }]),
    slow: () => whenExpired([{ kind: "slow", delay: 4000 }]),
    another,
    thief,
  };

  // run does one thing at a time, with both lanes signed in.
  async function run(id, act) {
    if (page.running) return;
    page.running = id ?? "fire";
    newGo();
    buttons.forEach((button) => (button.disabled = true));
    lanes.forEach(({ lane }) => lane.say("verdict.running", {}, true));
    try {
      await all(async ({ client }) => client.isSignedIn() || client.signIn(lanes[0].client.username() ?? users[0], password));
      if (id) note("both", `experiment.${id}`);
      await act();
    } catch {
      lanes.forEach(({ lane, client }) => lane.say(client.isSignedIn() ? "verdict.error" : null, {}, false));
    } finally {
      delete page.running;
      buttons.forEach((button) => (button.disabled = false));
      page.batches = Number(page.batches) + 1;
      onChange();
    }
  }

  const buttons = [...document.querySelectorAll("[data-fires]")];
  for (const id of Object.keys(experiments)) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const text = document.createElement("p");
    button.type = "button";
    button.id = `do-${id}`;
    button.dataset.i18n = `do.${id}`;
    text.id = `about-${id}`;
    text.dataset.i18n = `about.${id}`;
    button.setAttribute("aria-describedby", text.id);
    button.addEventListener("click", () => run(id, experiments[id]));
    buttons.push(button);
    item.append(button, text);
    list.append(item);
  }

  function show() {
    for (const element of list.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  }
  show();

  return {
    fire,
    show,
    // signInAgain signs the second lane in again.
    async signInAgain() {
      const { lane, client } = lanes[1];
      await client.signIn(lanes[0].client.username() ?? users[0], password).catch(() => lane.say("verdict.error", {}, false));
      onChange();
    },
  };
}
