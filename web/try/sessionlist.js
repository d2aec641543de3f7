// The list of the user's sessions, each with a button that ends it.

import { moment, t } from "./i18n.js";

const mostPages = 20; // of one list

export function createSessionList({ auth, list, error, signOut }) {
  let sessions = [];
  let asked = 0; // so that an old answer does not overwrite a newer one

  async function reload() {
    const mine = ++asked;
    try {
      const listed = await all();
      if (mine !== asked) return;
      sessions = listed;
      error.textContent = "";
      show();
    } catch {
      if (mine === asked && auth.isSignedIn()) error.textContent = t("sessions.error");
    }
  }

  // all returns the sessions of all pages.
  async function all() {
    const listed = [];
    let after = "";
    for (let pages = 0; pages < mostPages; pages++) {
      const response = await auth.fetch(`/auth/sessions${after}`);
      if (!response.ok) throw new Error(`answered ${response.status}`);
      const answer = await response.json();
      listed.push(...answer.sessions);
      if (!answer.next) break;
      after = `?after=${encodeURIComponent(answer.next)}`;
    }
    return listed;
  }

  async function end(one, button) {
    if (one.current) {
      signOut();
      return;
    }
    button.disabled = true;
    try {
      const response = await auth.fetch(`/auth/sessions/${one.id}`, { method: "DELETE" });
      if (!response.ok && response.status !== 404) throw new Error(`answered ${response.status}`);
      await reload();
    } catch {
      button.disabled = false;
      if (auth.isSignedIn()) error.textContent = t("sessions.error");
    }
  }

  function show() {
    list.replaceChildren(...sessions.map(row));
  }

  function row(one) {
    const item = document.createElement("li");
    item.dataset.sessionId = one.id;
    const device = one.device || t("sessions.unnamed");
    const since = moment(one.createdAt);

    const name = document.createElement("strong");
    name.textContent = device;
    const where = document.createElement("p");
    where.append(name);
    if (one.current) {
      const badge = document.createElement("span");
      badge.className = "badge";
      badge.textContent = t("sessions.current");
      where.append(" ", badge);
    }
    const when = document.createElement("p");
    when.className = "when";
    when.textContent = t("sessions.when", { since, last: moment(one.lastRefreshAt) });

    const text = document.createElement("div");
    text.append(where, when);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "end quiet";
    button.textContent = t("sessions.end");
    button.setAttribute("aria-label", t("sessions.endLabel", { device, since }));
    button.addEventListener("click", () => end(one, button));
    item.append(text, button);
    return item;
  }

  return {
    reload,
    show,
    clear() {
      asked++;
      sessions = [];
      error.textContent = "";
      show();
    },
  };
}
