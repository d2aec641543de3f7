// What the page says, in two languages. A text with "|" has a form for one and
// one for any other number n.

const messages = {
  "intro.title": { en: "Sign in once. Stay signed in.", zh: "登录一次，一直在线" },
  "intro.step1": {
    en: "Sign in. Two clients start on this page: Tandem's SDK, and the code that the tutorials show. Their access tokens live for seconds only.",
    zh: "登录后，页面上会有两个客户端：Tandem 的 SDK，以及常见教程里的代码。两者的访问令牌都只有几十秒寿命。",
  },
  "intro.step2": {
    en: "Choose what goes wrong: a reply that is lost, a server that is busy, another user in another tab. The same happens to both.",
    zh: "选一种故障：响应丢失、服务器繁忙、另一个标签页换人登录……两边遭遇完全相同。",
  },
  "intro.step3": {
    en: "Compare: which requests are lost, how often each refreshes, and who is signed out although nobody wanted that.",
    zh: "对比结果：丢了多少请求、刷新了几次、谁在没人想退出的时候被退出了登录。",
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

  "short.tandem": { en: "Tandem", zh: "Tandem" },
  "short.tutorial": { en: "Tutorial", zh: "教程" },
  "short.both": { en: "Both", zh: "两边" },
  "lane.tandem": { en: "Tandem's SDK", zh: "Tandem 的 SDK" },
  "lane.tutorial": { en: "The tutorials' code", zh: "教程里的代码" },
  "about.tandem": { en: "createAuth() and auth.fetch, as in any app.", zh: "createAuth() 和 auth.fetch，与普通应用的用法一样。" },
  "about.tutorial": { en: "Two tokens in localStorage, one shared refresh promise.", zh: "两个令牌放在 localStorage，共用一个刷新 Promise。" },
  "lane.in": { en: "signed in as {name}", zh: "已登录：{name}" },
  "lane.out": { en: "signed out", zh: "已退出登录" },
  "again": { en: "Sign in again", zh: "重新登录" },
  "tab": { en: "Open another tab", zh: "再打开一个标签页" },

  "token.life": { en: "Access token: {n} second left|Access token: {n} seconds left", zh: "访问令牌：剩余 {n} 秒" },
  "token.expired": { en: "Access token: expired. The next request renews it.", zh: "访问令牌：已过期，下一个请求会自动换新" },
  "token.unknown": { en: "Access token: this code does not know when it runs out.", zh: "访问令牌：这段代码不知道它何时过期" },

  "fire.title": { en: "Requests to send at once", zh: "同时发送的请求数" },
  "fire.label": { en: "Send {n} request|Send {n} requests at once", zh: "同时发送 {n} 个请求" },
  "count.answered": { en: "Answered", zh: "成功" },
  "count.lost": { en: "Lost", zh: "丢失" },
  "count.refreshes": { en: "Refreshes", zh: "刷新" },
  "count.signouts": { en: "Sign-outs", zh: "被退出" },

  "timeline.tandem": {
    en: "Timeline of the SDK's access tokens, requests and refreshes. The list below says the same in words.",
    zh: "SDK 的访问令牌、请求与刷新的时间线，下方的列表以文字说明同样的内容。",
  },
  "timeline.tutorial": {
    en: "Timeline of the access tokens, requests and refreshes of the tutorials' code. The list below says the same in words.",
    zh: "教程代码的访问令牌、请求与刷新的时间线，下方的列表以文字说明同样的内容。",
  },
  "timeline.token": { en: "Access token", zh: "访问令牌" },
  "timeline.answered": { en: "Answered", zh: "成功响应" },
  "timeline.unauthorized": { en: "Refused (401)", zh: "被拒 (401)" },
  "timeline.refresh": { en: "Refresh", zh: "刷新" },
  "timeline.replay": { en: "Sent again", zh: "重发" },
  "timeline.failed": { en: "Lost", zh: "丢失" },
  "timeline.now": { en: "now", zh: "现在" },
  "timeline.ago": { en: "{n} s ago", zh: "{n} 秒前" },

  "experiments.title": { en: "What goes wrong", zh: "选一种故障" },
  "experiments.text": {
    en: "Each button does the same to both: the server stops taking the access token, requests are sent, and the refresh that they need meets the fault.",
    zh: "每个按钮对两边做同样的事：服务器不再接受访问令牌，随后发出请求，而它们所需要的那次刷新会遇到故障。",
  },
  "do.expired": { en: "No fault: the token runs out", zh: "没有故障：令牌过期" },
  "about.expired": { en: "200 requests at once are refused with 401. One refresh serves them all.", zh: "200 个请求同时收到 401，一次刷新就够它们共用。" },
  "do.unavailable": { en: "The server is busy: 503", zh: "服务器繁忙：503" },
  "about.unavailable": { en: "The refresh is answered with 503 once, as during a deployment.", zh: "刷新收到一次 503，就像发布新版本的那一刻。" },
  "do.lost": { en: "The reply is lost", zh: "响应丢失" },
  "about.lost": { en: "The server rotates the tokens, and its answer breaks off on the way.", zh: "服务器已经轮换令牌，响应却在途中断掉了。" },
  "do.page": { en: "A proxy answers with a page", zh: "代理返回网页" },
  "about.page": { en: "Status 200 and HTML, where tokens were expected.", zh: "本该是令牌的地方，来的是状态码 200 的 HTML。" },
  "do.slow": { en: "The refresh takes four seconds", zh: "刷新耗时四秒" },
  "about.slow": { en: "Requests wait. None should be lost.", zh: "请求需要等待，但不应丢失。" },
  "do.another": { en: "Another user in another tab", zh: "另一个标签页换人登录" },
  "about.another": {
    en: "Somebody else signs in while requests wait for the refresh. They must not go out in that name, nor undo that sign-in.",
    zh: "此时还有请求在等待刷新。它们不能以新用户的名义发出，也不能冲掉新用户的登录。",
  },
  "do.thief": { en: "A thief copies the token", zh: "小偷复制刷新令牌" },
  "about.thief": {
    en: "And uses it elsewhere. Eleven seconds later the next refresh gives the thief away: the server ends the session.",
    zh: "并在别处使用。十一秒后，你的下一次刷新就会让它暴露：服务器终止双方的会话。",
  },

  "verdict.running": { en: "Under way …", zh: "进行中……" },
  "verdict.good": { en: "{answered} of {n} answered. Nobody noticed anything.", zh: "{n} 个请求成功 {answered} 个，用户毫无察觉。" },
  "verdict.lost": { en: "{answered} of {n} answered, {lost} lost.", zh: "{n} 个请求成功 {answered} 个，丢失 {lost} 个。" },
  "verdict.out": {
    en: "{answered} of {n} answered, {lost} lost. The user is signed out, although the session lives.",
    zh: "{n} 个请求成功 {answered} 个，丢失 {lost} 个。会话明明还在，用户却被退出了登录。",
  },
  "verdict.stopped": {
    en: "{stopped} of {n} requests of the earlier user were stopped, and none was sent in the other's name.",
    zh: "前一位用户的 {n} 个请求有 {stopped} 个被拦下，没有一个以新用户的名义发出。",
  },
  "verdict.overwritten": {
    en: "{next} signed in, and the late refresh has undone it: the tokens are {before}'s again.",
    zh: "{next} 已经登录，却被迟到的刷新冲掉：令牌又变回 {before} 的了。",
  },
  "verdict.mixed": { en: "Requests of {before} were sent in the name of {next}.", zh: "{before} 的请求以 {next} 的名义发了出去。" },
  "verdict.wait": { en: "The thief is ahead. The next refresh comes in {n} s.", zh: "小偷已抢先一步，{n} 秒后进行下一次刷新。" },
  "verdict.thief": { en: "The server has noticed, and ended the session for both.", zh: "服务器已发现，并终止了双方的会话。" },
  "verdict.noThief": { en: "The server did not let the thief in. Try again in a moment.", zh: "服务器没有放行小偷，请稍后再试。" },
  "verdict.error": { en: "That did not work. Try again in a moment.", zh: "操作未成功，请稍后重试。" },

  "events.title": { en: "What happened", zh: "发生了什么" },
  "events.none": { en: "Nothing yet. Send a few requests.", zh: "暂无记录，先发几个请求吧。" },
  "event.signedIn": { en: "Signed in as {username}", zh: "已登录：{username}" },
  "event.userChanged": { en: "Another user has signed in: {username}", zh: "换人登录：{username}" },
  "event.request": { en: "{n} request sent|{n} requests sent", zh: "发出 {n} 个请求" },
  "event.answered": { en: "{n} request answered|{n} requests answered", zh: "{n} 个请求成功响应" },
  "event.unauthorized": { en: "{n} request refused with 401|{n} requests refused with 401", zh: "{n} 个请求收到 401" },
  "event.replay": { en: "{n} request sent again with the new token|{n} requests sent again with the new token", zh: "用新令牌重发 {n} 个请求" },
  "event.failed": { en: "{n} request lost|{n} requests lost", zh: "{n} 个请求丢失" },
  "event.refreshed": { en: "New pair of tokens, in {ms} ms", zh: "已换回一对新令牌，用时 {ms} 毫秒" },
  "event.refreshFailed": { en: "The refresh has failed", zh: "刷新失败" },
  "event.forcedOut": { en: "Signed out, on the way to the sign-in page", zh: "被退出登录，跳转到登录页" },
  "event.thief": { en: "A thief has copied and used the refresh token", zh: "小偷复制并使用了刷新令牌" },
  "event.ended": { en: "The session has ended", zh: "会话已终止" },
  "event.signedOut": { en: "Signed out", zh: "已退出登录" },
  "event.experiment.expired": { en: "The access token has run out", zh: "访问令牌过期" },
  "event.experiment.unavailable": { en: "The next refresh is answered with 503", zh: "下一次刷新将收到 503" },
  "event.experiment.lost": { en: "The reply to the next refresh gets lost", zh: "下一次刷新的响应将丢失" },
  "event.experiment.page": { en: "A proxy answers the next refresh with a page", zh: "代理将用网页响应下一次刷新" },
  "event.experiment.slow": { en: "The next refresh takes four seconds", zh: "下一次刷新将耗时四秒" },
  "event.experiment.another": { en: "Somebody else signs in in another tab", zh: "另一个标签页换人登录" },
  "event.experiment.thief": { en: "A thief is about", zh: "小偷来了" },

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
