// The last minute, drawn: the lives of the access tokens, and under them what
// happened to the requests. However many there are, a row has one column for
// each few pixels.

import { t } from "./i18n.js";

const span = 60_000; // ms shown
const columnWidth = 4; // px
const pace = 50; // ms between two pictures
const tall = 200; // requests in a column of full height
const rows = ["token", "answered", "unauthorized", "refresh", "replay", "failed"];
const colours = {
  token: "--token", answered: "--accent", unauthorized: "--warn", refresh: "--ink", replay: "--accent-soft", failed: "--bad",
};

export function createTimeline(canvas) {
  const context = canvas.getContext("2d");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let tokens = []; // { from, until }
  let refreshes = []; // { from, until, outcome }
  let marks = []; // { at, kind, n }

  // mark notes one request's fate. Those at the same moment share an entry.
  function mark(kind) {
    const at = Math.floor(Date.now() / 50) * 50;
    const last = marks.findLast((m) => m.kind === kind);
    if (last?.at === at) last.n++;
    else marks.push({ at, kind, n: 1 });
  }

  function forget(now) {
    const since = now - span - 1000;
    tokens = tokens.filter((token) => token.until > since);
    refreshes = refreshes.filter((refresh) => (refresh.until ?? now) > since);
    marks = marks.filter((m) => m.at > since);
  }

  function draw() {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (width === 0) return;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);

    const now = Date.now();
    forget(now);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    context.font = `12px ${style.fontFamily}`;
    const left = Math.ceil(Math.max(...rows.map((row) => context.measureText(t(`timeline.${row}`)).width))) + 14;
    const axis = 22;
    const area = {
      left, right: width - 4, row: (height - axis) / rows.length,
      x: (time) => left + (1 - (now - time) / span) * (width - 4 - left),
      top: (row) => rows.indexOf(row) * ((height - axis) / rows.length),
    };
    drawGrid(context, area, height, now, colour);
    context.save();
    context.beginPath();
    context.rect(area.left, 0, area.right - area.left, height);
    context.clip();
    drawTokens(context, area, tokens, now, colour);
    drawMarks(context, area, marks, colour);
    drawRefreshes(context, area, refreshes, now, colour);
    context.restore();
  }

  function loop() {
    draw();
    setTimeout(() => requestAnimationFrame(loop), calm.matches ? 1000 : pace);
  }
  loop();
  new ResizeObserver(draw).observe(canvas);

  return {
    mark,
    draw,

    // token notes the life of the access token that is in use.
    token(from, until) {
      const last = tokens.at(-1);
      if (last?.from === from) return;
      if (last && last.until > from) last.until = from;
      tokens.push({ from, until });
    },

    // tokenGone notes that there is none any more.
    tokenGone() {
      const last = tokens.at(-1);
      if (last) last.until = Math.min(last.until, Date.now());
    },

    refreshStarts: () => refreshes.push({ from: Date.now() }),

    // refreshEnds takes "done", "again" or "refused".
    refreshEnds(outcome) {
      const last = refreshes.at(-1);
      if (last && !last.until) Object.assign(last, { until: Date.now(), outcome });
    },
  };
}

function drawGrid(context, area, height, now, colour) {
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (const row of rows) {
    const top = area.top(row);
    context.fillStyle = colour("--muted");
    context.fillText(t(`timeline.${row}`), 0, top + area.row / 2 + 2);
    context.fillStyle = colour("--line");
    context.fillRect(area.left, Math.round(top + area.row) - 1, area.right - area.left, 1);
  }
  const step = area.right - area.left < 420 ? 30 : 10;
  for (let ago = 0; ago <= 60; ago += step) {
    const x = Math.round(area.x(now - ago * 1000));
    context.fillStyle = colour("--line");
    if (ago > 0) context.fillRect(x, 0, 1, height - 18);
    context.fillStyle = colour("--muted");
    context.textAlign = ago === 0 ? "right" : ago === 60 ? "left" : "center";
    context.fillText(ago === 0 ? t("timeline.now") : t("timeline.ago", { n: ago }), x, height - 8);
  }
}

function drawTokens(context, area, tokens, now, colour) {
  const top = area.top("token") + area.row * 0.3;
  for (const { from, until } of tokens) {
    const x = area.x(from);
    const end = area.x(Math.min(until, now));
    context.fillStyle = colour(colours.token);
    context.beginPath();
    context.roundRect(x, top, Math.max(end - x - 2, 2), area.row * 0.45, 4);
    context.fill();
    if (until <= now) {
      context.fillStyle = colour("--muted");
      context.fillRect(end - 2, top - 3, 2, area.row * 0.45 + 6);
    }
  }
}

// drawMarks draws columns as tall as there were requests, by their root, so that
// one is seen beside two hundred.
function drawMarks(context, area, marks, colour) {
  const columns = new Map();
  const duration = (columnWidth / (area.right - area.left)) * span;
  for (const { at, kind, n } of marks) {
    const key = `${kind} ${Math.floor(at / duration)}`;
    columns.set(key, (columns.get(key) ?? 0) + n);
  }
  for (const [key, n] of columns) {
    const [kind, column] = key.split(" ");
    const room = area.row - 8;
    const high = Math.min(Math.max(room * Math.sqrt(n / tall), 4), room);
    context.fillStyle = colour(colours[kind]);
    context.fillRect(area.x(column * duration), area.top(kind) + area.row - 1 - high, columnWidth - 0.5, high);
  }
}

function drawRefreshes(context, area, refreshes, now, colour) {
  const top = area.top("refresh") + area.row / 2 + 1;
  for (const { from, until, outcome } of refreshes) {
    const x = area.x(from);
    const wide = area.x(until ?? now) - x;
    const name = outcome === "refused" ? "--bad" : outcome === "again" ? "--warn" : colours.refresh;
    context.fillStyle = colour(name);
    context.beginPath();
    context.roundRect(x - 3.5, top - 3.5, Math.max(wide, 0) + 7, 7, 3.5);
    context.fill();
  }
}
