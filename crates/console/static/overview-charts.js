// The three charts of the overview, and the same figures as tables.

import { drawChart } from "./chart.js";
import { fillTable, shareAxis, showPanel, soFar } from "./chart-panel.js";
import { formatCount, formatShare, formatTime, text } from "./format.js";
import { byId } from "./page.js";

/** Above the highest value a little is left free. */
const HEADROOM = 1.05;

let newest = null;
/** Spans of time, [from, to], whose figures a data test distrusts. */
let doubted = [];
/** The part of the trend that someone looks at; null for all of it. */
let zoom = null;

const CHARTS = [
  { id: "trend", rows: (report) => report.trend, title: "ctr_over_time", heading: "time",
    nameOf: (row) => soFar(formatTime(row.at), row.is_partial) },
  { id: "device", rows: (report) => report.by_device, title: "ctr_by_device", heading: "device_type",
    nameOf: (row) => String(row.code) },
  { id: "banner", rows: (report) => report.by_banner, title: "ctr_by_banner", heading: "banner_pos",
    nameOf: (row) => String(row.code) },
];

const intervalOf = (row) => `${formatShare(row.low)} – ${formatShare(row.high)}`;

const readOf = (title, row) => () => ({
  title,
  lines: [
    { name: text("ctr"), value: formatShare(row.ctr) }, { name: text("interval"), value: intervalOf(row) },
    { name: text("impressions"), value: formatCount(row.impressions) }, { name: text("clicks"), value: formatCount(row.clicks) },
  ],
});

function labelOf(rows, title) {
  const rates = rows.map((row) => row.ctr).filter((ctr) => ctr !== null);
  if (rates.length === 0) return text("no_events_in_range");
  return `${title}: ${formatShare(Math.min(...rates))} – ${formatShare(Math.max(...rates))}`;
}

const highest = (rows) => HEADROOM * Math.max(0, ...rows.map((row) => row.high ?? 0));

/** Points that are further apart have windows without events between them: no line is drawn over those. */
function gapOf(trend) {
  const steps = trend.slice(1).map((point, index) => point.at - trend[index].at).sort((a, b) => a - b);
  return (steps[Math.floor(steps.length / 2)] ?? 0) * 1.5;
}

/** The curve with its band. A last point that is still filling is not final yet: it hangs on the others by a dotted line. */
function curveOf(trend) {
  const gap = gapOf(trend);
  const whole = trend.filter((point) => !point.is_partial).map(({ at, ctr, low, high }) => ({ x: at, y: ctr, low, high }));
  const last = trend.at(-1);
  const marks = [{ kind: "band", points: whole, gap }, { kind: "line", points: whole, gap }];
  if (!last?.is_partial) return marks;
  const filling = { x: last.at, y: last.ctr };
  return [...marks, { kind: "line", points: [...whole.slice(-1), filling], gap, dash: "dotted" }, { kind: "dots", points: [filling], isHollow: true }];
}

/** What is behind the curve: the times in doubt, and what is not complete. */
function spansOf(report) {
  const last = report.trend.at(-1);
  const doubts = doubted.map(([from, to]) => ({ from, to, kind: "doubt", label: text("in_doubt") }));
  return last?.is_partial ? [...doubts, { from: last.at, to: last.at + report.step, kind: "incomplete" }] : doubts;
}

function drawTrend(report, title) {
  const { trend } = report;
  // Where there is no older data at all, none is shown as missing.
  const whole = { from: Math.max(report.from, report.oldest - report.step), to: report.to };
  const x = zoom ?? whole;
  const seen = trend.filter((point) => point.at >= x.from && point.at <= x.to);
  drawChart(byId("chart-trend"), {
    name: title, label: labelOf(seen, title), x,
    panes: [{ y: shareAxis(highest(seen)), marks: curveOf(trend) }],
    stops: trend.filter((point) => point.ctr !== null).map((point) => ({
      x: point.at, dots: [{ y: point.ctr }], read: readOf(soFar(formatTime(point.at), point.is_partial), point) })),
    spans: spansOf(report),
    isZoomed: zoom !== null,
    onZoom: (range) => {
      zoom = range;
      redraw();
    },
  });
}

function drawBars(id, rows, title, heading) {
  const width = Math.min(0.5, 0.1 * rows.length + 0.1);
  drawChart(byId(`chart-${id}`), {
    name: title, label: labelOf(rows, title),
    x: { names: rows.map((row) => String(row.code)), title: heading },
    panes: [{
      y: shareAxis(highest(rows)),
      marks: [
        { kind: "bars", span: width, points: rows.map((row, index) => ({ x: index + 0.5 - width / 2, y: row.ctr })) },
        { kind: "intervals", points: rows.map((row, index) => ({ x: index + 0.5, low: row.low, high: row.high })) },
      ],
    }],
    stops: rows.map((row, index) => ({ x: index + 0.5, read: readOf(`${heading} ${row.code}`, row) })),
  });
}

/** Draws charts and tables of a report. */
export function draw(report) {
  newest = report;
  for (const { id, rows: rowsOf, title, heading, nameOf } of CHARTS) {
    const rows = rowsOf(report);
    showPanel(id, rows.length === 0);
    fillTable(id, [heading, "impressions", "clicks", "ctr", "interval"].map((key) => text(key)),
      rows.map((row) => [nameOf(row), formatCount(row.impressions), formatCount(row.clicks), formatShare(row.ctr), intervalOf(row)]));
    if (rows.length === 0) continue;
    if (id === "trend") drawTrend(report, text(title));
    else drawBars(id, rows, text(title), text(heading));
  }
}

function redraw() {
  if (newest) draw(newest);
}

/** Marks spans of time as in doubt. */
export function distrust(spans) {
  if (JSON.stringify(spans) === JSON.stringify(doubted)) return;
  doubted = spans;
  redraw();
}

/** Shows all of the trend again, as after another range was asked for. */
export function forgetZoom() {
  zoom = null;
}
