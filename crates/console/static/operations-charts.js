// The charts of the page "Operations": what the monitor measured, the lines that must not be
// crossed, and how latencies were distributed.

import { CONFIG, heightOf, layout, loadPlotly, theme } from "./charts.js";
import { NONE, formatCount, formatDuration, formatShare, formatTime, onAxis, text } from "./format.js";
import { byId, get, make, show, showProblem } from "./page.js";

const EVERY_MS = 15_000;
/** A monitor measures more often than this. */
const UNSENT_MS = 60_000;
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
      x.push(onAxis(points[index - 1][0] + step));
      y.push(null);
    }
    x.push(onAxis(at));
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

function prepareCurve(report, { id, title, signals, show: shown }) {
  const series = seriesOf(report, signals);
  const isEmpty = series.every((one) => one.points.length === 0);
  showOrHide(id, isEmpty);
  if (isEmpty) return false;
  const last = series[0].points.at(-1);
  const lines = thresholdsOf(report, signals).map((line) => `${line.rule} ${shown(line.value)}`);
  describe(id, [`${text(title)}: ${last ? shown(last[1]) : NONE}`, ...lines].join(", "));
  const { isFar, peak } = scaleOf(series, thresholdsOf(report, signals));
  showLines(id, [
    ...thresholdsOf(report, signals).map((line) => ({ kind: "limit", shown: `${line.rule} ${line.side === "above" ? ">" : "<"} ${shown(line.value)}` })),
    ...(isFar ? [{ kind: "far", shown: text("ops_peak_beyond", { value: shown(peak) }) }] : []),
  ]);
  const values = new Map();
  series.forEach((one, index) => one.points.forEach(([at, value]) => {
    if (!values.has(at)) values.set(at, []);
    values.get(at)[index] = value;
  }));
  const rows = [...values].sort(([a], [b]) => b - a).slice(0, MOST_ROWS).map(([at, found]) =>
    [series.some((one) => isFilling(report, one.points) && one.points.at(-1)[0] === at) ? `${formatTime(at)} (${text("so_far")})` : formatTime(at), ...series.map((_, index) => (found[index] === undefined ? NONE : shown(found[index])))]);
  fillTable(id, [text("time"), ...series.map((one) => (signals.length > 1 ? text(`ops_signal_${one.signal}`) : text(title)))], rows);
  return true;
}

function drawCurve(Plotly, report, colours, { id, signals, show: shown, axis }) {
  const series = seriesOf(report, signals);
  const thresholds = thresholdsOf(report, signals);
  const curve = (one, index, points, more) => ({
    type: "scatter", mode: points.length === 1 ? "markers" : "lines", connectgaps: false,
    name: signals.length > 1 ? text(`ops_signal_${one.signal}`) : "",
    ...broken(points, report.step), line: { color: index ? colours.warn : colours.accent, width: 1.8 },
    fill: index ? "none" : "tozeroy", fillcolor: colours.band,
    customdata: broken(points, report.step).y.map((value) => (value === null ? "" : shown(value))),
    hovertemplate: signals.length > 1 ? "%{customdata}" : "%{customdata}<extra></extra>",
    ...more,
  });
  // What is still filling is no fact yet: it hangs on the rest by a dotted line.
  const filling = (one, index) => {
    const colour = index ? colours.warn : colours.accent;
    return curve(one, index, one.points.slice(-2), {
      mode: "lines+markers", cliponaxis: false, line: { color: colour, width: 1.8, dash: "dot" }, fill: "none", showlegend: false,
      marker: { color: colours.surface, size: [0, 7], line: { color: colour, width: 1.8 } },
      customdata: ["", `${shown(one.points.at(-1)[1])} (${text("so_far")})`],
    });
  };
  const traces = series.flatMap((one, index) => (isFilling(report, one.points)
    ? [curve(one, index, one.points.slice(0, -1)), filling(one, index)]
    : [curve(one, index, one.points)]));
  const most = scaleOf(series, thresholds).top;
  return Plotly.react(`chart-${id}`, traces, layout(colours, {
    height: heightOf(id), hovermode: "x unified", showlegend: signals.length > 1,
    legend: { orientation: "h", x: 0, y: 1.15, font: { size: colours.size } },
    shapes: thresholds.map((line) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: line.value, y1: line.value, line: { color: colours.warn, width: 1.5, dash: "dash" } })),
    xaxis: timeAxis(report),
    // Of few records the axis would count in thousandths.
    yaxis: axis === count.axis && most < 5 ? { range: [0, 5], dtick: 1, tickformat: ",d" } : { ...axis, range: [0, most > 0 ? most * 1.15 : 1] },
  }), CONFIG);
}

const timeAxis = (report) => ({
  type: "date", tickformat: FORMATS[report.range], tickangle: 0, nticks: innerWidth < 600 ? 4 : 7, range: [isChosen() ? report.from : Math.max(report.from, oldestOf(report) - report.step), report.at].map(onAxis),
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
    `${formatTime(starts[index])}${starts[index] + step > report.at ? ` (${text("so_far")})` : ""}<br>${bucketName(edges, bucket)}<br>${text("records")} ${formatCount(value ?? 0)}`));
  const slow = report.charts.find((chart) => chart.signal === "latency")?.thresholds ?? [];
  const isOpen = starts.length > 0 && starts.at(-1) + step > report.at;
  // The column that is still filling stands behind a dotted line.
  const filling = isOpen ? [{
    type: "line", yref: "paper", y0: 0, y1: 1, x0: onAxis(starts.at(-1)), x1: onAxis(starts.at(-1)), line: { color: colours.muted, width: 1, dash: "dot" } }] : [];
  const shapes = filling.concat(slow.map((line) => edges.indexOf(line.value * 1_000)).filter((index) => index >= 0).map((index) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: index + 0.5, y1: index + 0.5, line: { color: colours.warn, width: 1.5, dash: "dash" } })));
  return Plotly.react("chart-heat", [{
    type: "heatmap", x: starts.map((at) => onAxis(at + step / 2)), y: cells.map((_, index) => index), z: strength, text: names,
    hovertemplate: "%{text}<extra></extra>", showscale: false, xgap: 1, ygap: 1, zmin: 0,
    colorscale: [[0, colours.faint], [1, colours.accent]],
  }], layout(colours, {
    height: heightOf("heat"), hovermode: "closest", shapes, xaxis: timeAxis(report),
    yaxis: {
      rangemode: "normal", tickformat: "", range: [-0.5, edges.length + 0.5], showgrid: false, zeroline: false,
      tickmode: "array", tickvals: edges.map((_, index) => index + 0.5).filter((_, index) => index % 2 === 0), ticktext: edges.filter((_, index) => index % 2 === 0).map(edge),
    },
  }), CONFIG);
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

/** Whether somebody asked for a range; else it is what was measured. */
const isChosen = () => new URLSearchParams(location.search).has("range");

/** The shortest range that holds all that was measured. */
function fitting(report) {
  const span = report.at - oldestOf(report);
  return span <= 3_600_000 ? "1h" : span <= 6 * 3_600_000 ? "6h" : "24h";
}

let requests = 0;
async function load() {
  const mine = ++requests;
  try {
    const report = await get(`/api/operations/charts?range=${range}`);
    if (mine !== requests) return;
    if (!isChosen() && fitting(report) !== range && range === "24h") {
      mark(fitting(report));
      await load();
      return;
    }
    await draw(report);
    showProblem("charts", "");
  } catch (error) {
    if (!(error instanceof TypeError)) showProblem("charts", text("ops_charts_failed", { reason: error.message }));
  }
}

function select(name) {
  mark(name);
  load();
}

function mark(name) {
  range = name;
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
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => newest && draw(newest).catch(() => {}));
  select(rangeOfAddress());
  setInterval(() => !document.hidden && load(), EVERY_MS);
  document.addEventListener("visibilitychange", () => !document.hidden && load());
}
