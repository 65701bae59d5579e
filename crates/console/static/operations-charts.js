// The charts of the page "Operations": what the monitor measured, the lines that must not be
// crossed. How latencies were distributed is in operations-heat.js.

import { drawChart } from "./chart.js";
import { axisShare, countAxis, fillTable, showPanel, soFar } from "./chart-panel.js";
import { NONE, formatCount, formatDuration, formatShare, formatTime, text } from "./format.js";
import { drawHeat } from "./operations-heat.js";
import { byId, get, make, show, showProblem } from "./page.js";

const EVERY_MS = 15_000;
/** A monitor measures more often than this. */
const UNSENT_MS = 60_000;
/** Rows of a table; the newest come first. */
const MOST_ROWS = 100;
/** A gap of so many steps, and of so many ms, is one: nothing was measured. */
const GAP_STEPS = 2.5;
const GAP_MS = 90_000;
/** Above the highest value a little is left free. */
const HEADROOM = 1.15;

const seconds = (value) => formatDuration(value * 1_000);
const plainAxis = (format) => (most) => ({ from: 0, to: most > 0 ? most : 1, format });
const count = { show: formatCount, axis: countAxis };
const CHARTS = [
  { id: "throughput", title: "throughput", signals: ["throughput"], ...count },
  { id: "error_share", title: "error_rate", signals: ["error_share"], show: formatShare, axis: plainAxis(axisShare) },
  { id: "latency", title: "latency", signals: ["latency"], show: seconds, axis: plainAxis(seconds) },
  { id: "lag", title: "lag", signals: ["lag"], ...count },
  { id: "dlq_open", title: "dlq_title", signals: ["dlq_open", "dlq_exhausted"], ...count },
];
/** One signal after the other in a chart. */
const TONES = ["accent", "warn"];

let newest = null;
let range = "24h";
/** The part that someone looks at, in all charts; null for all of it. */
let zoom = null;

const seriesOf = (report, signals) => signals.flatMap((signal) => {
  const chart = report.charts.find((one) => one.signal === signal);
  return (chart?.series ?? []).map((series) => ({ ...series, signal }));
});
const thresholdsOf = (report, signals) => signals.flatMap((signal) =>
  report.charts.find((one) => one.signal === signal)?.thresholds ?? [])
  // "More than 0 exhausted" is the axis itself.
  .filter((line) => line.value > 0);

/** The oldest time at which anything was measured. */
const oldestOf = (report) => Math.min(report.at, ...report.charts.flatMap((chart) =>
  chart.series.map((series) => series.points[0]?.[0] ?? report.at)));

/** Off the scale is what is beyond this many times the most of all but the highest points. */
const FAR = 4;

/** The highest points: so large a share of all, and no fewer than one minute may have. */
const HIGHEST_SHARE = 0.05;
const HIGHEST_POINTS = 6;

/**
 * The top of an axis. A few moments far above all others, as when history is loaded, do not press
 * the rest down to the bottom: they leave the chart at its top, and the line above it says so.
 */
function scaleOf(series, thresholds) {
  const values = series.flatMap((one) => one.points.map(([, value]) => value));
  const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
  const peak = sorted.at(-1) ?? 0;
  const highest = Math.max(Math.ceil(sorted.length * HIGHEST_SHARE), HIGHEST_POINTS);
  const usual = sorted[sorted.length - 1 - highest] ?? peak;
  const lines = Math.max(0, ...thresholds.map((line) => line.value));
  const isFar = sorted.length >= 20 && peak > FAR * Math.max(usual, lines);
  return { top: isFar ? 2 * Math.max(usual, lines) : Math.max(peak, lines), peak, isFar };
}

/** The last point, while its time is not over. */
const isFilling = (report, points) => points.length > 1 && points.at(-1)[0] + report.step > report.at;

function showLines(id, lines) {
  const place = byId(`panel-${id}`).querySelector(".lines");
  place.replaceChildren(...lines.map((line) => make("span", { class: line.kind }, line.shown)));
}

/** Every time at which one of the series was measured, with their values: [[time, [values]]]. */
function rowsOf(series) {
  const rows = new Map();
  series.forEach((one, index) => one.points.forEach(([at, value]) => {
    if (!rows.has(at)) rows.set(at, []);
    rows.get(at)[index] = value;
  }));
  return [...rows].sort(([a], [b]) => a - b);
}

/** A curve; what is still filling is not final yet: it hangs on the rest by a dotted line. */
function marksOf(report, one, index) {
  const tone = TONES[index];
  const gap = Math.max(GAP_STEPS * report.step, GAP_MS);
  const points = one.points.map(([x, y]) => ({ x, y }));
  if (!isFilling(report, one.points)) return [{ kind: "line", points, gap, tone, isFilled: index === 0 }];
  return [
    { kind: "line", points: points.slice(0, -1), gap, tone, isFilled: index === 0 },
    { kind: "line", points: points.slice(-2), gap, tone, dash: "dotted" },
    { kind: "dots", points: points.slice(-1), tone, isHollow: true },
  ];
}

function drawCurve(report, x, more, { id, title, signals, show: shown, axis }) {
  const series = seriesOf(report, signals);
  const isEmpty = series.every((one) => one.points.length === 0);
  showPanel(id, isEmpty);
  if (isEmpty) return;
  const thresholds = thresholdsOf(report, signals);
  const isLast = (at) => series.some((one) => isFilling(report, one.points) && one.points.at(-1)[0] === at);
  const nameOf = (one) => (signals.length > 1 ? text(`ops_signal_${one.signal}`) : text(title));
  const valueOf = (value) => (value === undefined ? NONE : shown(value));
  const rows = rowsOf(series);
  fillTable(id, [text("time"), ...series.map(nameOf)], rows.slice(-MOST_ROWS).reverse().map(([at, values]) =>
    [soFar(formatTime(at), isLast(at)), ...series.map((_, index) => valueOf(values[index]))]));
  const seen = series.map((one) => ({ ...one, points: one.points.filter(([at]) => at >= x.from && at <= x.to) }));
  const { top, peak, isFar } = scaleOf(seen, thresholds);
  showLines(id, [
    ...thresholds.map((line) => ({ kind: "limit", shown: `${line.rule} ${line.side === "above" ? ">" : "<"} ${shown(line.value)}` })),
    ...(isFar ? [{ kind: "far", shown: text("ops_peak_beyond", { value: shown(peak) }) }] : []),
  ]);
  const last = series[0].points.at(-1);
  drawChart(byId(`chart-${id}`), {
    ...more, x, name: text(title),
    label: [`${text(title)}: ${last ? shown(last[1]) : NONE}`, ...thresholds.map((line) => `${line.rule} ${shown(line.value)}`)].join(", "),
    panes: [{
      y: axis(top * HEADROOM),
      marks: [...series.flatMap((one, index) => marksOf(report, one, index)), ...thresholds.map((line) => ({ kind: "limit", y: line.value, tone: "warn" }))],
    }],
    stops: rows.map(([at, values]) => ({
      x: at, dots: values.map((y, index) => ({ y, tone: TONES[index] })),
      read: () => ({ title: soFar(formatTime(at), isLast(at)), lines: series.map((one, index) => ({ name: nameOf(one), value: valueOf(values[index]), tone: TONES[index] })) }),
    })),
    legend: series.length > 1 ? series.map((one, index) => ({ name: nameOf(one), tone: TONES[index] })) : [],
  });
}

// --- all of them ----------------------------------------------------------------------------

function showUnsent(report) {
  const points = report.charts.find((chart) => chart.signal === "notifications_waiting")?.series[0]?.points ?? [];
  // A monitor that sends nothing measures nothing: what it measured before Slack was removed is over.
  const [at, value] = points.at(-1) ?? [0, null];
  const seconds = report.at - at < 2 * report.step + UNSENT_MS ? value : null;
  show(byId("note-unsent"), seconds === null && !report.slack ? text("ops_unsent_off") : "");
  show(byId("unsent"), seconds === null ? NONE : seconds === 0 ? text("ops_unsent_none") : formatDuration(seconds * 1_000));
  const limit = report.charts.find((chart) => chart.signal === "notifications_waiting")?.thresholds[0]?.value ?? Infinity;
  byId("tile-unsent").classList.toggle("warn", seconds !== null && seconds > limit);
}

function draw(report) {
  newest = report;
  showUnsent(report);
  const from = isChosen() ? report.from : Math.max(report.from, oldestOf(report) - report.step);
  const x = zoom ?? { from, to: report.at };
  const more = {
    isZoomed: zoom !== null,
    onZoom: (marked) => {
      zoom = marked;
      draw(newest);
    },
  };
  for (const chart of CHARTS) drawCurve(report, x, more, chart);
  drawHeat(report, x, more);
}

/** Whether someone asked for a range; else it is what was measured. */
const isChosen = () => new URLSearchParams(location.search).has("range");

/** The shortest range that holds all that was measured. */
function fitting(report) {
  const span = report.at - oldestOf(report);
  return span <= 3_600_000 ? "1h" : span <= 6 * 3_600_000 ? "6h" : "24h";
}

let requests = 0;
async function load() {
  const mine = ++requests;
  let report;
  try {
    report = await get(`/api/operations/charts?range=${range}`);
  } catch (error) {
    // A console that is gone is already shown in the status line.
    if (!(error instanceof TypeError)) showProblem("charts", text("ops_charts_failed", { reason: error.message }));
    return;
  }
  if (mine !== requests) return;
  if (!isChosen() && fitting(report) !== range && range === "24h") {
    mark(fitting(report));
    await load();
    return;
  }
  showProblem("charts", "");
  draw(report);
}

function select(name) {
  mark(name);
  load();
}

function mark(name) {
  range = name;
  zoom = null;
  for (const link of document.querySelectorAll(".ranges a")) {
    if (link.dataset.range === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function rangeOfAddress() {
  const named = new URLSearchParams(location.search).get("range") ?? "";
  return document.querySelector(`.ranges [data-range="${CSS.escape(named)}"]`) ? named : "24h";
}

/** Draws them, and again every now and then. */
export function startCharts() {
  document.querySelector(".ranges").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", `?range=${link.dataset.range}`);
    select(link.dataset.range);
  });
  addEventListener("popstate", () => select(rangeOfAddress()));
  select(rangeOfAddress());
  setInterval(() => !document.hidden && load(), EVERY_MS);
  document.addEventListener("visibilitychange", () => !document.hidden && load());
}
