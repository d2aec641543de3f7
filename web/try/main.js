// The page: draws what the session says, and passes on what is clicked.

import { createSession, EndedError, InvalidCredentialsError } from "./session.js";
import { steady } from "./clock.js";
import { deviceName } from "./device.js";
import { lossyNetwork, steal } from "./experiments.js";
import { has, languageSwitch, t } from "./i18n.js";
import { createJournal } from "./journal.js";
import { createSessionList } from "./sessionlist.js";
import { createTimeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const page = document.body.dataset;

const counted = "/api/"; // requests below it are the visitor's own
const rounding = 1000; // ms: a token says its end in whole seconds, rounded up
const counts = { requests: 0, answered: 0, unauthorized: 0, refreshes: 0, replays: 0, failed: 0 };
const countOf = { request: "requests", answered: "answered", unauthorized: "unauthorized", replay: "replays", failed: "failed" };

const timeline = createTimeline($("timeline"));
const journal = createJournal($("events"), $("events-none"));
const network = lossyNetwork({ onLost: () => { setLosing(false); journal.note("lost"); lost = true; } });
const session = createSession({ onEvent, onEnd, send: network.send, device: deviceName(navigator.userAgent) });
const sessionList = createSessionList({
  session, list: $("sessions"), error: $("sessions-error"), signOut,
});

let lost = false; // the refresh attempt under way had its reply lost
let losing = false;
let refreshBegan = 0;
let numbered = 0; // requests so far
let said = null; // why the page is back at the form: the key of its text
let noted = null; // what the latest experiment said
let wrong = null; // what is wrong with the form: { key, values }

function onEvent(kind, detail) {
  if (countOf[kind]) {
    if (detail.path.startsWith(counted)) countRequest(kind);
    return;
  }
  switch (kind) {
    case "refreshing":
      refreshBegan = performance.now();
      timeline.refreshStarts();
      break;
    case "refreshed":
      count("refreshes");
      timeline.refreshEnds("done");
      journal.note("refreshed", { ms: Math.round(performance.now() - refreshBegan) });
      afterRefresh();
      break;
    case "refreshFailed":
      refreshFailed(detail.error);
      break;
    case "adopted":
      journal.note("adopted");
      draw();
      break;
    case "signedIn":
      journal.note(detail.elsewhere ? "signedInElsewhere" : "signedIn");
      enter();
      break;
    case "signedOut":
      journal.note("signedOut");
      leave(null);
      break;
  }
}

function countRequest(kind) {
  count(countOf[kind]);
  journal.note(kind, { counted: true });
  if (kind !== "request") timeline.mark(kind);
}

function count(name) {
  counts[name]++;
  const number = $(`count-${name}`);
  number.textContent = counts[name];
  number.parentElement.dataset.some = "";
}

function refreshFailed(error) {
  const isEnd = error instanceof EndedError;
  timeline.refreshEnds(isEnd ? "refused" : "again");
  if (isEnd) journal.note("refused");
  else if (!lost) journal.note(error.stale ? "stale" : "refreshFailed");
  lost = false;
}

function afterRefresh() {
  if (!session.state()) return;
  draw();
  sessionList.reload();
}

function onEnd(reason) {
  page.endings = Number(page.endings) + 1;
  journal.note("ended");
  leave(has(`ended.${reason}`) ? `ended.${reason}` : "ended.unknown");
}

// enter shows the page of somebody who is signed in.
function enter() {
  said = noted = wrong = null;
  $("signin-form").reset();
  setLosing(false);
  show();
  sessionList.clear();
  sessionList.reload();
}

// leave shows the form, and why; without a reason it was the visitor's own wish.
function leave(reason) {
  said = reason;
  timeline.tokenGone();
  sessionList.clear();
  setLosing(false);
  show();
  if (document.hasFocus()) $("username").focus();
}

// show puts everything on the page that depends on the state and the language.
function show() {
  const state = session.state();
  page.state = state ? "signed-in" : "signed-out";
  $("app").hidden = !state;
  $("signin-form").hidden = Boolean(state);
  $("account").hidden = !state;
  $("who").textContent = state ? t("signedInAs", { name: state.username }) : "";
  tell($("ended-reason"), said);
  tell($("experiment-note"), noted);
  $("signin-error").textContent = wrong ? t(wrong.key, wrong.values) : "";
  for (const n of [1, 20, 200]) $(`fire-${n}`).setAttribute("aria-label", t("fire.label", { n }));
  draw();
}

function tell(element, key) {
  element.textContent = key ? t(key) : "";
  element.hidden = !key;
}

// draw puts on the page what changes with time.
function draw() {
  const state = session.state();
  const endsAt = state ? state.expiresAt + rounding : 0;
  const left = endsAt - steady();
  const expired = String(Boolean(state) && left <= 0);
  if (state) {
    timeline.token(state.receivedAt, endsAt);
    if (expired === "true" && page.expired === "false") journal.note("expired");
    $("token-life").textContent = left > 0 ? t("token.life", { n: Math.floor(left / 1000) }) : t("token.expired");
    $("token-bar").style.transform = `scaleX(${Math.max(0, left / (endsAt - state.receivedAt))})`;
  }
  page.expired = expired;
}

async function fire(n) {
  journal.newGo();
  const results = await Promise.all(Array.from({ length: n }, fireOne));
  const answered = results.filter(Boolean).length;
  $("summary").textContent = t("summary.batch", { n, answered, failed: n - answered });
  page.batches = Number(page.batches) + 1;
}

// fireOne reports whether the request was answered.
async function fireOne() {
  try {
    const response = await session.fetch(`${counted}hello?n=${++numbered}`);
    await response.json();
    return response.ok;
  } catch {
    return false; // the session's events have said so
  }
}

async function signIn(event) {
  event.preventDefault();
  const username = $("username").value.trim();
  const password = $("password").value;
  wrong = null;
  if (!username || !password) {
    wrong = { key: "signin.missing" };
    show();
    $(username ? "password" : "username").focus();
    return;
  }
  const button = $("signin-submit");
  button.disabled = true;
  try {
    await session.signIn(username, password);
    $("fire-1").focus();
  } catch (error) {
    wrong = explain(error);
    show();
    $("password").select();
  } finally {
    button.disabled = false;
  }
}

function explain(error) {
  if (error instanceof InvalidCredentialsError) return { key: "signin.wrong" };
  if (error.status === 429) return { key: "signin.slow", values: { n: Math.max(1, Math.ceil(error.retryAfter / 1000)) } };
  return { key: "signin.down" };
}

async function signOut() {
  try {
    await session.signOut();
  } catch {
    if (session.state()) return;
    said = "left.untold";
    show();
  }
}

async function signOutEverywhere() {
  const button = $("signout-everywhere");
  button.disabled = true;
  try {
    await session.signOutEverywhere();
  } catch {
    if (session.state()) $("sessions-error").textContent = t("sessions.error");
  } finally {
    button.disabled = false;
  }
}

function setLosing(yes) {
  losing = yes;
  network.lose(yes);
  $("lose-reply").setAttribute("aria-pressed", String(yes));
  if (noted === "lose.armed" && !yes) noted = null;
  if (yes) noted = "lose.armed";
  tell($("experiment-note"), noted);
}

async function playThief() {
  const button = $("thief");
  button.disabled = true;
  const stolen = await steal();
  button.disabled = false;
  if (!session.state()) return;
  if (stolen) journal.note("thief");
  noted = stolen ? "thief.done" : "thief.failed";
  show();
}

$("signin-form").addEventListener("submit", signIn);
for (const n of [1, 20, 200]) $(`fire-${n}`).addEventListener("click", () => fire(n));
$("signout").addEventListener("click", signOut);
$("signout-everywhere").addEventListener("click", signOutEverywhere);
$("sessions-reload").addEventListener("click", () => sessionList.reload());
$("lose-reply").addEventListener("click", () => setLosing(!losing));
$("thief").addEventListener("click", playThief);

languageSwitch($("lang"), () => {
  show();
  sessionList.show();
  journal.translate();
  timeline.draw();
});
setInterval(draw, 250);
show();
if (session.state()) sessionList.reload();
