// The charts of the page "Operations": what the monitor measured, the lines that must not be
// crossed, and how latencies were distributed.

import { CONFIG, layout, loadPlotly, theme } from "./charts.js";
import { NONE, formatCount, formatDuration, formatShare, formatTime, text } from "./format.js";
import { byId, get, make, show, showProblem } from "./page.js";

const EVERY_MS = 15_000;
const FORMATS = { "1h": "%H:%M", "6h": "%H:%M", "24h": "%m-%d %H:%M" };
/** Rows of a table; the newest come first. */
const MOST_ROWS = 100;
/** A gap of so many steps, and of so many ms, is one: nothing was measured. */
const GAP_STEPS = 2.5;
const GAP_MS = 90_000;

const count = { show: formatCount, axis: { tickformat: ",~s" } };
const CHARTS = [
  { id: "throughput", title: "throughput", signals: ["throughput"], ...count },
  { id: "error_share", title: "error_rate", signals: ["error_share"], show: formatShare, axis: { tickformat: ",.2~%" } },
  { id: "latency", title: "latency", signals: ["latency"], show: (seconds) => formatDuration(seconds * 1_000), axis: { tickformat: ",~g", ticksuffix: " s" } },
  { id: "lag", title: "lag", signals: ["lag"], ...count },
  { id: "dlq_open", title: "dlq_title", signals: ["dlq_open", "dlq_exhausted"], ...count },
];

let newest = null;
let range = "24h";

/** Breaks the line where nothing was measured. */
function broken(points, step) {
  const [x, y] = [[], []];
  points.forEach(([at, value], index) => {
    if (index && at - points[index - 1][0] > Math.max(GAP_STEPS * step, GAP_MS)) {
      x.push(points[index - 1][0] + step);
      y.push(null);
    }
    x.push(at);
    y.push(value);
  });
  return { x, y };
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const seriesOf = (report, signals) => signals.flatMap((signal) => {
  const chart = report.charts.find((one) => one.signal === signal);
  return (chart?.series ?? []).map((series) => ({ ...series, signal }));
});
const thresholdsOf = (report, signals) => signals.flatMap((signal) =>
  report.charts.find((one) => one.signal === signal)?.thresholds ?? [])
  // "More than 0 exhausted" is the axis itself.
  .filter((line) => line.value > 0);

function showOrHide(id, isEmpty) {
  const panel = byId(`panel-${id}`);
  panel.querySelector(".chart").hidden = isEmpty;
  panel.querySelector(".empty").hidden = !isEmpty;
  panel.querySelector("details").hidden = isEmpty;
}

function describe(id, label) {
  const chart = byId(`chart-${id}`);
  chart.removeAttribute("aria-labelledby");
  chart.setAttribute("aria-label", label);
}

function fillTable(id, head, rows) {
  byId(`table-${id}`).replaceChildren(
    make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name))),
    ...rows.map((cells) => make("tr", {}, ...cells.map((shown) => make("td", {}, shown)))));
}

function prepareCurve(report, { id, title, signals, show: shown }) {
  const series = seriesOf(report, signals);
  const isEmpty = series.every((one) => one.points.length === 0);
  showOrHide(id, isEmpty);
  if (isEmpty) return false;
  const last = series[0].points.at(-1);
  const lines = thresholdsOf(report, signals).map((line) => `${line.rule} ${shown(line.value)}`);
  describe(id, [`${text(title)}: ${last ? shown(last[1]) : NONE}`, ...lines].join(", "));
  const values = new Map();
  series.forEach((one, index) => one.points.forEach(([at, value]) => {
    if (!values.has(at)) values.set(at, []);
    values.get(at)[index] = value;
  }));
  const rows = [...values].sort(([a], [b]) => b - a).slice(0, MOST_ROWS).map(([at, found]) =>
    [formatTime(at), ...series.map((_, index) => (found[index] === undefined ? NONE : shown(found[index])))]);
  fillTable(id, [text("time"), ...series.map((one) => (signals.length > 1 ? text(`ops_signal_${one.signal}`) : text(title)))], rows);
  return true;
}

function drawCurve(Plotly, report, colours, { id, signals, show: shown, axis }) {
  const series = seriesOf(report, signals);
  const thresholds = thresholdsOf(report, signals);
  const traces = series.map((one, index) => ({
    type: "scatter", mode: one.points.length === 1 ? "markers" : "lines", connectgaps: false,
    name: signals.length > 1 ? text(`ops_signal_${one.signal}`) : "",
    ...broken(one.points, report.step), line: { color: index ? colours.warn : colours.accent, width: 1.8 },
    fill: index ? "none" : "tozeroy", fillcolor: colours.band,
    customdata: broken(one.points, report.step).y.map((value) => (value === null ? "" : shown(value))),
    hovertemplate: signals.length > 1 ? "%{customdata}" : "%{customdata}<extra></extra>",
  }));
  const most = Math.max(...series.flatMap((one) => one.points.map(([, value]) => value)), ...thresholds.map((line) => line.value), 0);
  return Plotly.react(`chart-${id}`, traces, layout(colours, {
    height: colours.size * 17, hovermode: "x unified", showlegend: signals.length > 1,
    legend: { orientation: "h", x: 0, y: 1.15, font: { size: colours.size } },
    shapes: thresholds.map((line) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: line.value, y1: line.value, line: { color: colours.warn, width: 1.5, dash: "dash" } })),
    annotations: thresholds.map((line) => ({
      xref: "paper", x: 1, y: line.value, xanchor: "right", yanchor: "bottom", showarrow: false, bgcolor: colours.surface, opacity: 0.85,
      text: `${line.rule} ${line.side === "above" ? "&gt;" : "&lt;"} ${shown(line.value)}`, font: { size: colours.size, color: colours.warn } })),
    xaxis: timeAxis(report),
    // Of few records the axis would count in thousandths.
    yaxis: axis === count.axis && most < 5 ? { range: [0, 5], dtick: 1, tickformat: ",d" } : { ...axis, range: [0, most > 0 ? most * 1.15 : 1] },
  }), CONFIG);
}

const timeAxis = (report) => ({
  type: "date", tickformat: FORMATS[report.range], tickangle: 0, nticks: innerWidth < 600 ? 4 : 7, range: [report.from, report.at],
});

// --- the heat map ---------------------------------------------------------------------------

const edge = (ms) => formatDuration(ms);
const bucketName = (edges, index) => (index < edges.length ? `≤ ${edge(edges[index])}` : `> ${edge(edges.at(-1))}`);

function prepareHeat({ edges_ms: edges, columns, is_complete: isComplete }) {
  showOrHide("heat", columns.length === 0);
  show(byId("charts-span"), isComplete ? "" : text("ops_past_is_read"));
  if (columns.length === 0) return false;
  const sums = [...edges, null].map((_, index) => columns.reduce((sum, [, counts]) => sum + counts[index], 0));
  const usual = sums.indexOf(Math.max(...sums));
  describe("heat", text("ops_heat_mostly", { bucket: bucketName(edges, usual) }));
  fillTable("heat", [text("latency"), text("records")], sums.map((sum, index) => [bucketName(edges, index), formatCount(sum)]));
  return true;
}

function drawHeat(Plotly, report, colours) {
  const { edges_ms: edges, columns, step } = report.heat_map;
  const known = new Map(columns);
  const first = Math.floor(report.from / step) * step;
  const starts = Array.from({ length: Math.ceil((report.at - first) / step) }, (_, index) => first + index * step);
  const cells = [...edges, null].map((_, bucket) => starts.map((at) => known.get(at)?.[bucket] || null));
  // A record in a thousand must be seen beside the others.
  const strength = cells.map((row) => row.map((value) => (value === null ? null : Math.log10(1 + value))));
  const names = cells.map((row, bucket) => row.map((value, index) =>
    `${formatTime(starts[index])}<br>${bucketName(edges, bucket)}<br>${text("records")} ${formatCount(value ?? 0)}`));
  const slow = report.charts.find((chart) => chart.signal === "latency")?.thresholds ?? [];
  const shapes = slow.map((line) => edges.indexOf(line.value * 1_000)).filter((index) => index >= 0).map((index) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: index + 0.5, y1: index + 0.5, line: { color: colours.warn, width: 1.5, dash: "dash" } }));
  return Plotly.react("chart-heat", [{
    type: "heatmap", x: starts.map((at) => at + step / 2), y: cells.map((_, index) => index), z: strength, text: names,
    hovertemplate: "%{text}<extra></extra>", showscale: false, xgap: 1, ygap: 1, zmin: 0,
    colorscale: [[0, colours.faint], [1, colours.accent]],
  }], layout(colours, {
    height: colours.size * 17, hovermode: "closest", shapes, xaxis: timeAxis(report),
    yaxis: {
      rangemode: "normal", tickformat: "", range: [-0.5, edges.length + 0.5], showgrid: false, zeroline: false,
      tickmode: "array", tickvals: edges.map((_, index) => index + 0.5).filter((_, index) => index % 2 === 0), ticktext: edges.filter((_, index) => index % 2 === 0).map(edge),
    },
  }), CONFIG);
}

// --- all of them ----------------------------------------------------------------------------

function showUnsent(report) {
  const points = report.charts.find((chart) => chart.signal === "notifications_waiting")?.series[0]?.points ?? [];
  const seconds = points.at(-1)?.[1] ?? null;
  show(byId("unsent"), seconds === null ? NONE : seconds === 0 ? text("ops_unsent_none") : formatDuration(seconds * 1_000));
  const limit = report.charts.find((chart) => chart.signal === "notifications_waiting")?.thresholds[0]?.value ?? Infinity;
  byId("tile-unsent").classList.toggle("warn", seconds !== null && seconds > limit);
}

async function draw(report) {
  newest = report;
  showUnsent(report);
  const drawn = CHARTS.filter((chart) => prepareCurve(report, chart));
  const hasHeat = prepareHeat(report.heat_map);
  if (drawn.length === 0 && !hasHeat) return;
  const Plotly = await loadPlotly();
  if (newest !== report) return;
  const colours = { ...theme(), warn: colour("warn"), faint: colour("sunken") };
  await Promise.all([...drawn.map((chart) => drawCurve(Plotly, report, colours, chart)), ...(hasHeat ? [drawHeat(Plotly, report, colours)] : [])]);
}

let requests = 0;
async function load() {
  const mine = ++requests;
  try {
    const report = await get(`/api/operations/charts?range=${range}`);
    if (mine !== requests) return;
    await draw(report);
    showProblem("charts", "");
  } catch (error) {
    if (!(error instanceof TypeError)) showProblem("charts", text("ops_charts_failed", { reason: error.message }));
  }
}

function select(name) {
  range = name;
  for (const link of document.querySelectorAll(".ranges a")) {
    if (link.dataset.range === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  load();
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
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => newest && draw(newest).catch(() => {}));
  select(rangeOfAddress());
  setInterval(() => !document.hidden && load(), EVERY_MS);
  document.addEventListener("visibilitychange", () => !document.hidden && load());
}
