// The list of what happened, in words, each line with the lane that it is about. What
// happens to many requests in one go is one line with a number, not many lines.

import { clock, t } from "./i18n.js";

const together = 1500; // ms: what follows within it belongs to the same go
const most = 80; // lines

export function createJournal(list, none) {
  let open = new Map(); // the lines of this go, by lane and kind
  let latest = 0;
  let lines = []; // newest first: { lane, kind, at, values, element }

  // note adds to the list. Kinds that are counted add up; others get a line each.
  function note(lane, kind, { counted = false, ...values } = {}) {
    const now = Date.now();
    if (now - latest > together) open = new Map();
    latest = now;
    const key = `${lane} ${kind}`;
    const known = counted && open.get(key);
    if (known) {
      known.values.n++;
      show(known);
      return;
    }
    const line = { lane, kind, at: now, values: { n: 1, ...values }, element: document.createElement("li") };
    if (counted) open.set(key, line);
    lines.unshift(line);
    lines.splice(most).forEach((old) => old.element.remove());
    show(line);
    list.prepend(line.element);
    none.hidden = true;
  }

  function show({ lane, kind, at, values, element }) {
    const time = document.createElement("time");
    time.textContent = clock(at);
    const who = document.createElement("b");
    who.textContent = t(`short.${lane}`);
    const text = document.createElement("span");
    text.textContent = t(`event.${kind}`, values);
    element.dataset.kind = kind;
    element.dataset.lane = lane;
    element.replaceChildren(time, who, text);
  }

  return {
    note,

    // newGo ends what belongs together, so that what follows has lines of its own.
    newGo: () => (open = new Map()),

    translate: () => lines.forEach(show),
  };
}
