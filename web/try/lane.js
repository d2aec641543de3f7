// A lane: what happens to the requests of one client, in numbers and on a timeline.

import { t } from "./i18n.js";
import { createTimeline } from "./timeline.js";

const counted = "/api/"; // requests below it are the visitor's own
const refreshPath = "/auth/refresh-token";
const pace = 250; // ms between two looks at the clock

export function createLane(root, name, note) {
  const $ = (part) => root.querySelector(`[data-part="${part}"]`);
  const timeline = createTimeline($("timeline"));
  const counts = { answered: 0, lost: 0, refreshes: 0, signouts: 0 };
  const attempts = new Map(); // how often each address was sent
  let client;
  let token = { from: 0, until: undefined };
  let verdict = null; // { key, values, isGood }

  function count(kind) {
    counts[kind]++;
    const number = $(kind);
    number.textContent = counts[kind];
    number.parentElement.dataset.some = "";
  }

  // meteredFetch is a fetch that the lane watches.
  async function meteredFetch(input, init) {
    const { pathname, href } = new URL(input.url ?? input, location.href);
    if (pathname === refreshPath) return refresh(input, init);
    if (!pathname.startsWith(counted)) return fetch(input, init);
    const attempt = (attempts.get(href) ?? 0) + 1;
    attempts.set(href, attempt);
    if (attempt > 1) mark("replay");
    const response = await fetch(input, init);
    if (response.status === 401) mark("unauthorized");
    return response;
  }

  async function refresh(input, init) {
    const began = performance.now();
    timeline.refreshStarts();
    count("refreshes");
    try {
      const response = await fetch(input, init);
      const text = await response.clone().text(); // it may break off
      const isDone = response.ok && text.startsWith("{");
      timeline.refreshEnds(isDone ? "done" : response.status === 400 ? "refused" : "again");
      note(name, isDone ? "refreshed" : "refreshFailed", { ms: Math.round(performance.now() - began) });
      return response;
    } catch (error) {
      timeline.refreshEnds("again");
      note(name, "refreshFailed");
      throw error;
    }
  }

  function mark(kind) {
    timeline.mark(kind);
    note(name, kind, { counted: true });
  }

  // show puts on the page what depends on the time and the language.
  function show() {
    const isIn = client.isSignedIn();
    const until = isIn ? client.expiresAt() : undefined;
    if (until !== token.until) {
      if (token.until) timeline.tokenGone();
      token = { from: Date.now(), until };
      if (until) timeline.token(token.from, until);
    }
    const left = until - Date.now();
    root.dataset.state = isIn ? "signed-in" : "signed-out";
    root.dataset.expired = String(left <= 0);
    $("status").textContent = isIn ? t("lane.in", { name: client.username() }) : t("lane.out");
    $("life").textContent = !isIn ? "" : !until ? t("token.unknown") : left > 0 ? t("token.life", { n: Math.ceil(left / 1000) }) : t("token.expired");
    $("bar").style.transform = `scaleX(${isIn && left > 0 ? left / (until - token.from) : 0})`;
    $("verdict").textContent = verdict ? t(verdict.key, verdict.values) : "";
    $("verdict").dataset.good = String(Boolean(verdict?.isGood));
  }

  return {
    fetch: meteredFetch,
    show,

    // watch names the client whose lane this is.
    watch(its) {
      client = its;
      client.onChange(show);
      setInterval(show, pace);
    },

    // settled counts a request that is done: "answered", or how it was lost. One that was
    // stopped since another user has signed in is not lost.
    settled(outcome) {
      if (outcome === "stopped") return;
      count(outcome === "answered" ? "answered" : "lost");
      mark(outcome === "answered" ? "answered" : "failed");
    },

    sent: (n) => note(name, "request", { n }),

    signedOut() {
      count("signouts");
      timeline.tokenGone();
    },

    say(key, values, isGood) {
      verdict = key && { key, values, isGood };
      show();
    },
  };
}
