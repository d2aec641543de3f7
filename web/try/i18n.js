// What the page says, in two languages. A text with "|" has a form for one and
// one for any other number n.

const messages = {
  "intro.title": { en: "Sign in once. Stay signed in.", zh: "登录一次，一直在线" },
  "intro.step1": {
    en: "Sign in and send requests. Each carries an access token that lives for seconds only.",
    zh: "登录后发送请求，每个请求都携带一个寿命以秒计的访问令牌。",
  },
  "intro.step2": {
    en: "Let it run out and send 200 at once: all are refused with 401, one single refresh fetches a new pair of tokens, and all 200 are sent again.",
    zh: "等令牌过期后同时发出 200 个请求：它们都会收到 401，但只刷新一次就换回一对新令牌，随后 200 个请求全部自动重发。",
  },
  "intro.step3": {
    en: "Nothing fails and you stay signed in. Watch it on the timeline, then try the two experiments.",
    zh: "没有请求失败，你也始终保持登录，这就是无感刷新。先看时间线，再试试两个实验。",
  },

  "signin.title": { en: "Sign in", zh: "登录" },
  "signin.username": { en: "Username", zh: "用户名" },
  "signin.password": { en: "Password", zh: "密码" },
  "signin.submit": { en: "Sign in", zh: "登录" },
  "signin.hint": { en: "To try it out:", zh: "体验账号：" },
  "signin.missing": { en: "Enter a username and a password.", zh: "请输入用户名和密码。" },
  "signin.wrong": { en: "Wrong username or password.", zh: "用户名或密码错误。" },
  "signin.slow": {
    en: "Too many attempts. Try again in {n} second.|Too many attempts. Try again in {n} seconds.",
    zh: "尝试次数过多，请在 {n} 秒后重试。",
  },
  "signin.down": { en: "The server did not answer as expected. Try again in a moment.", zh: "服务器暂时没有正常响应，请稍后重试。" },

  "ended.signed_out": { en: "You were signed out in another place.", zh: "你已在其他地方退出登录。" },
  "ended.revoked": { en: "This session was ended from another of your sessions.", zh: "此会话已被你的另一个会话终止。" },
  "ended.reuse_detected": {
    en: "Two parties were using this session, so it was ended to protect you. Sign in again: whoever copied the token is locked out.",
    zh: "检测到有两方在使用同一个会话，为保护你的账号，会话已终止。请重新登录，复制令牌的人已被拒之门外。",
  },
  "ended.expired": { en: "This session has reached its end of life. Please sign in again.", zh: "会话已到期，请重新登录。" },
  "ended.unknown": { en: "The server does not know this session any more. Please sign in again.", zh: "服务器已找不到此会话，请重新登录。" },
  "left.untold": {
    en: "You are signed out here, but the server could not be told: the session ends there by itself later.",
    zh: "你已在此处退出登录，但未能通知服务器，服务器上的会话稍后会自行到期。",
  },

  "token.title": { en: "Access token", zh: "访问令牌" },
  "token.life": { en: "{n} second left|{n} seconds left", zh: "剩余 {n} 秒" },
  "token.expired": { en: "Expired. The next request renews it.", zh: "已过期，下一个请求会自动换新" },

  "fire.title": { en: "Requests to send at once", zh: "同时发送的请求数" },
  "fire.label": { en: "Send {n} request|Send {n} requests at once", zh: "同时发送 {n} 个请求" },
  "count.requests": { en: "Requests", zh: "请求" },
  "count.answered": { en: "Answered", zh: "成功响应" },
  "count.unauthorized": { en: "Refused (401)", zh: "被拒 (401)" },
  "count.refreshes": { en: "Refreshes", zh: "刷新" },
  "count.replays": { en: "Sent again", zh: "重发" },
  "count.failed": { en: "Failed", zh: "失败" },

  "timeline.title": { en: "The last 60 seconds", zh: "最近 60 秒" },
  "timeline.label": {
    en: "Timeline of access tokens, requests, refusals, refreshes and replays. The list below says the same in words.",
    zh: "访问令牌、请求、401、刷新与重发的时间线，下方的列表以文字说明同样的内容。",
  },
  "timeline.token": { en: "Access token", zh: "访问令牌" },
  "timeline.answered": { en: "Answered", zh: "成功响应" },
  "timeline.unauthorized": { en: "Refused (401)", zh: "被拒 (401)" },
  "timeline.refresh": { en: "Refresh", zh: "刷新" },
  "timeline.replay": { en: "Sent again", zh: "重发" },
  "timeline.failed": { en: "Failed", zh: "失败" },
  "timeline.now": { en: "now", zh: "现在" },
  "timeline.ago": { en: "{n} s ago", zh: "{n} 秒前" },

  "events.title": { en: "What happened", zh: "发生了什么" },
  "events.none": { en: "Nothing yet. Send a few requests.", zh: "暂无记录，先发几个请求吧。" },
  "event.signedIn": { en: "Signed in", zh: "已登录" },
  "event.signedInElsewhere": { en: "Signed in in another tab", zh: "已在另一个标签页登录" },
  "event.expired": { en: "The access token has run out", zh: "访问令牌已过期" },
  "event.request": { en: "{n} request sent|{n} requests sent", zh: "发出 {n} 个请求" },
  "event.answered": { en: "{n} request answered|{n} requests answered", zh: "{n} 个请求成功响应" },
  "event.unauthorized": { en: "{n} request refused with 401|{n} requests refused with 401", zh: "{n} 个请求收到 401" },
  "event.replay": { en: "{n} request sent again with the new token|{n} requests sent again with the new token", zh: "用新令牌重发 {n} 个请求" },
  "event.failed": { en: "{n} request failed|{n} requests failed", zh: "{n} 个请求失败" },
  "event.refreshed": { en: "New pair of tokens, in {ms} ms", zh: "已换回一对新令牌，用时 {ms} 毫秒" },
  "event.refreshFailed": { en: "Refresh failed for now; the session lives, it is tried again", zh: "本次刷新未成功，会话仍然有效，稍后重试" },
  "event.lost": { en: "The reply to the refresh was lost on its way", zh: "刷新的响应在途中丢失" },
  "event.stale": {
    en: "Refresh refused as a delayed duplicate (409); the session lives",
    zh: "刷新被视为迟到的重复请求 (409)，会话仍然有效",
  },
  "event.refused": { en: "Refresh refused for good: the session has ended", zh: "刷新被彻底拒绝：会话已终止" },
  "event.adopted": { en: "Another tab has refreshed; its tokens are used here too", zh: "另一个标签页已完成刷新，此处直接沿用新令牌" },
  "event.thief": { en: "A thief has copied and used your refresh token", zh: "小偷复制并使用了你的刷新令牌" },
  "event.ended": { en: "The session has ended", zh: "会话已终止" },
  "event.signedOut": { en: "Signed out", zh: "已退出登录" },
  "summary.batch": {
    en: "{n} requests done: {answered} answered, {failed} failed.",
    zh: "{n} 个请求已完成：{answered} 个成功，{failed} 个失败。",
  },

  "experiments.title": { en: "Two experiments", zh: "两个实验" },
  "lose.button": { en: "Lose the next refresh reply", zh: "丢掉下一次刷新的响应" },
  "lose.text": {
    en: "The server rotates, the answer never arrives. The same refresh token simply gets through a second time: no false logout.",
    zh: "服务器已经轮换令牌，响应却没有送达。用同一个刷新令牌再试一次即可成功：不会误退登录。",
  },
  "lose.armed": {
    en: "Armed. Send a request once the access token has run out: the first reply to the refresh gets lost, and you notice nothing.",
    zh: "已就绪。等访问令牌过期后发一个请求：第一次刷新的响应会丢失，而你不会有任何感觉。",
  },
  "thief.button": { en: "Play the thief", zh: "扮演小偷" },
  "thief.text": {
    en: "Copies your refresh token and uses it behind your back. Your next refresh, ten seconds later or more, gives it away: the session ends for both.",
    zh: "复制你的刷新令牌并在背后使用。十秒之后，你的下一次刷新就会让它暴露：双方的会话同时终止。",
  },
  "thief.done": {
    en: "The thief now holds tokens of your session. Wait until the access token has run out, then send a request. (Within ten seconds the server takes yours for a delayed duplicate and says 409; after that, the session ends.)",
    zh: "小偷已拿到你会话的令牌。等访问令牌过期后再发一个请求。（十秒之内，服务器会把你的刷新当作迟到的重复请求并返回 409；十秒之后，会话即告终止。）",
  },
  "thief.failed": { en: "The server did not let the thief in. Try again in a moment.", zh: "服务器没有放行小偷，请稍后再试。" },

  "sessions.title": { en: "Your sessions", zh: "你的会话" },
  "sessions.reload": { en: "Reload", zh: "重新加载" },
  "sessions.current": { en: "this one", zh: "当前会话" },
  "sessions.when": { en: "signed in {since}, last refresh {last}", zh: "登录于 {since}，最近刷新 {last}" },
  "sessions.unnamed": { en: "Unnamed device", zh: "未命名设备" },
  "sessions.end": { en: "End", zh: "终止" },
  "sessions.endLabel": { en: "End the session on {device}, signed in {since}", zh: "终止 {device} 上 {since} 登录的会话" },
  "sessions.error": { en: "That did not work. Try again in a moment.", zh: "操作未成功，请稍后重试。" },
  "signout": { en: "Sign out", zh: "退出登录" },
  "signout.everywhere": { en: "Sign out everywhere", zh: "退出所有会话" },
  "signedInAs": { en: "Signed in as {name}", zh: "当前用户：{name}" },
};

const storeKey = "tandem.language";
const names = { en: "English", zh: "中文" };
const tags = { en: "en", zh: "zh-CN" };

let language = remembered() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

function remembered() {
  try {
    const kept = localStorage.getItem(storeKey);
    return kept in names ? kept : null;
  } catch {
    return null;
  }
}

// t returns the text of a key, with {name} replaced by what values has.
export function t(key, values = {}) {
  const forms = messages[key][language].split("|");
  const form = values.n === 1 ? forms[0] : forms[forms.length - 1];
  return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// has says whether there is a text for a key.
export function has(key) {
  return Object.hasOwn(messages, key);
}

// clock returns a time of day, in the language of the page.
export function clock(time) {
  return new Date(time).toLocaleTimeString(tags[language], { hour12: false });
}

// moment returns a time of day, with its date unless that is today.
export function moment(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock(date) : `${date.toLocaleDateString(tags[language])} ${clock(date)}`;
}

// translate puts the language into every element that names its text.
export function translate(root = document) {
  document.documentElement.lang = tags[language];
  for (const element of root.querySelectorAll("[data-i18n]")) {
    element.textContent = t(element.dataset.i18n);
  }
  for (const element of root.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  }
}

// languageSwitch makes a button change the language, and remembers the choice.
export function languageSwitch(button, onChange) {
  const other = () => (language === "en" ? "zh" : "en");
  const label = () => {
    button.textContent = names[other()];
    button.lang = tags[other()];
  };
  button.addEventListener("click", () => {
    language = other();
    try {
      localStorage.setItem(storeKey, language);
    } catch {
      // Then it lasts until the page is left.
    }
    label();
    translate();
    onChange();
  });
  label();
  translate();
}
