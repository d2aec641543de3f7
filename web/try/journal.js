// The list of what happened, in words. What happens to many requests in one go is
// one line with a number, not many lines.

import { steady } from "./clock.js";
import { clock, has, t } from "./i18n.js";

const together = 1500; // ms: what follows within it belongs to the same go
const most = 60; // lines

export function createJournal(list, none) {
  let open = new Map(); // the lines of this go, by kind
  let latest = 0;
  let lines = []; // newest first: { kind, at, values, element }

  // note adds to the list. Kinds that are counted add up; others get a line each.
  function note(kind, { counted = false, ...values } = {}) {
    const now = steady();
    if (now - latest > together) open = new Map();
    latest = now;
    const known = counted && open.get(kind);
    if (known) {
      known.values.n++;
      show(known);
      return;
    }
    const line = { kind, at: Date.now(), values: { n: 1, ...values }, element: document.createElement("li") };
    if (counted) open.set(kind, line);
    lines.unshift(line);
    lines.splice(most).forEach((old) => old.element.remove());
    show(line);
    list.prepend(line.element);
    none.hidden = true;
  }

  function show({ kind, at, values, element }) {
    const time = document.createElement("time");
    time.textContent = clock(at);
    const text = document.createElement("span");
    text.textContent = t(`event.${kind}`, values);
    element.dataset.kind = kind;
    element.replaceChildren(time, text);
  }

  return {
    note,

    // newGo ends what belongs together, so that what follows has lines of its own.
    newGo: () => { open = new Map(); },

    translate: () => lines.filter(({ kind }) => has(`event.${kind}`)).forEach(show),
  };
}
