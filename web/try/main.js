// The page: two clients in two lanes, the SDK and the tutorial's code, to which the same
// happens. This file passes on what is clicked, and shows who is signed in.

import { deviceName } from "./device.js";
import { createExperiments } from "./experiments.js";
import { has, languageSwitch, t } from "./i18n.js";
import { createJournal } from "./journal.js";
import { createLane } from "./lane.js";
import { createSDKClient } from "./sdk.js";
import { createSessionList } from "./sessionlist.js";
import { createTutorialClient } from "./tutorial.js";

const $ = (id) => document.getElementById(id);
const page = document.body.dataset;
const device = deviceName(navigator.userAgent);

const journal = createJournal($("events"), $("events-none"));
const tandem = createLane($("tandem"), "tandem", journal.note);
const tutorial = createLane($("tutorial"), "tutorial", journal.note);
const auth = createSDKClient({ fetch: tandem.fetch, device });
const old = createTutorialClient({ fetch: tutorial.fetch, device: `${device ?? "?"} (tutorial)`, onForcedOut: forcedOut });
tandem.watch(auth);
tutorial.watch(old);

const sessionList = createSessionList({ auth, list: $("sessions"), error: $("sessions-error"), signOut });
const experiments = createExperiments({
  list: $("experiments"), lanes: [{ lane: tandem, client: auth }, { lane: tutorial, client: old }], onChange: show, note: journal.note, newGo: journal.newGo,
});

let said = null; // why the page is back at the form: the key of its text
let wrong = null; // what is wrong with the form: { key, values }

auth.on("signedIn", ({ username }) => {
  journal.note("tandem", "signedIn", { username });
  said = wrong = null;
  $("signin-form").reset();
  sessionList.clear();
  sessionList.reload();
  show();
});
auth.on("userChanged", ({ username }) => journal.note("tandem", "userChanged", { username }));
auth.on("refreshed", () => sessionList.reload());
auth.on("signedOut", () => {
  journal.note("tandem", "signedOut");
  leave(null);
});
auth.on("ended", ({ reason }) => {
  page.endings = Number(page.endings) + 1;
  tandem.signedOut();
  journal.note("tandem", "ended");
  leave(has(`ended.${reason}`) ? `ended.${reason}` : "ended.unknown");
});
auth.on("problem", ({ message }) => {
  $("problem").textContent = message;
  $("problem").hidden = false;
});

// forcedOut is what the tutorial's code calls a redirect to the sign-in page.
function forcedOut() {
  tutorial.signedOut();
  journal.note("tutorial", "forcedOut");
  show();
}

// leave shows the form, and why; without a reason it was the visitor's own wish.
function leave(reason) {
  said = reason;
  old.signOut();
  sessionList.clear();
  show();
  if (document.hasFocus()) $("username").focus();
}

// show puts everything on the page that depends on the state and the language.
function show() {
  const isIn = auth.isSignedIn();
  page.state = isIn ? "signed-in" : "signed-out";
  $("app").hidden = !isIn;
  $("signin-form").hidden = isIn;
  $("account").hidden = !isIn;
  $("who").textContent = isIn ? t("signedInAs", { name: auth.username() }) : "";
  $("ended-reason").textContent = said ? t(said) : "";
  $("ended-reason").hidden = !said;
  $("signin-error").textContent = wrong ? t(wrong.key, wrong.values) : "";
  $("again").hidden = old.isSignedIn();
  for (const n of [1, 20, 200]) $(`fire-${n}`).setAttribute("aria-label", t("fire.label", { n }));
  for (const lane of [tandem, tutorial]) lane.show();
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
    await auth.signIn(username, password);
    await old.signIn(username, password);
    show();
    $("fire-20").focus();
  } catch (error) {
    wrong = explain(error);
    show();
    $("password").select();
  } finally {
    button.disabled = false;
  }
}

function explain(error) {
  if (error.code === "invalid_credentials") return { key: "signin.wrong" };
  if (error.retryAfter) return { key: "signin.slow", values: { n: Math.max(1, Math.ceil(error.retryAfter / 1000)) } };
  return { key: "signin.down" };
}

async function signOut() {
  try {
    await auth.signOut();
  } catch {
    said = "left.untold";
    show();
  }
}

async function signOutEverywhere() {
  const button = $("signout-everywhere");
  button.disabled = true;
  try {
    await auth.signOutEverywhere();
  } catch {
    if (auth.isSignedIn()) $("sessions-error").textContent = t("sessions.error");
  } finally {
    button.disabled = false;
  }
}

$("signin-form").addEventListener("submit", signIn);
for (const n of [1, 20, 200]) $(`fire-${n}`).addEventListener("click", () => experiments.fire(n));
$("signout").addEventListener("click", signOut);
$("signout-everywhere").addEventListener("click", signOutEverywhere);
$("sessions-reload").addEventListener("click", () => sessionList.reload());
$("again").addEventListener("click", () => experiments.signInAgain());
addEventListener("storage", show); // another tab has changed what the tutorial's code has

languageSwitch($("lang"), () => {
  show();
  experiments.show();
  sessionList.show();
  journal.translate();
});
show();
auth.ready.then(async () => {
  show();
  if (auth.isSignedIn()) sessionList.reload();
  page.ready = "true";
});
