// The three charts, drawn by Plotly, and the same figures as tables.

import { formatCount, formatShare, formatTime, onAxis, text } from "./format.js";

export const CONFIG = { displayModeBar: false, displaylogo: false, responsive: true };
const TIME_FORMATS = { "1h": "%H:%M", "24h": "%m-%d %H:%M", "7d": "%m-%d", "30d": "%m-%d" };

let plotly;
let newest = null;
/** Spans of time, [from, to], whose figures a data test distrusts. */
let doubted = [];

/** Loads Plotly once; the page is useful before it is there. */
export function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/plotly.js";
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("no Plotly")));
    script.onerror = () => {
      script.remove();
      plotly = undefined;
      reject(new Error("plotly.js did not load"));
    };
    document.head.append(script);
  });
  return plotly;
}

/** The height of a chart is that of its place, which is kept free for it. */
export const heightOf = (id) => document.getElementById(`chart-${id}`).clientHeight;

/** Colours as the style sheet has them now. */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: colour("text"), muted: colour("muted"), line: colour("line"), surface: colour("surface"),
    accent: colour("accent"), band: colour("band"), doubt: colour("doubt"), font: getComputedStyle(document.body).fontFamily,
    size: Math.round(parseFloat(style.fontSize) * 0.86),
  };
}

export function layout(colours, more) {
  const axis = {
    gridcolor: colours.line, linecolor: colours.line, zerolinecolor: colours.line,
    tickfont: { color: colours.muted, size: colours.size }, automargin: true, fixedrange: true,
  };
  return {
    margin: { l: 8, r: 12, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, color: colours.text, size: colours.size },
    showlegend: false,
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { color: colours.text, family: colours.font } },
    // The nearest point or bar wherever in the chart the pointer is.
    hovermode: "x",
    dragmode: false,
    ...more,
    xaxis: { ...axis, showgrid: false, ...more.xaxis },
    yaxis: { ...axis, rangemode: "tozero", tickformat: ",.1~%", nticks: 6, ...more.yaxis },
  };
}

const hover = (name, row) =>
  `<b>${name}</b>${row.is_partial ? ` (${text("so_far")})` : ""}<br>${text("ctr")} ${formatShare(row.ctr)}` +
  `<br>${text("interval")} ${formatShare(row.low)} – ${formatShare(row.high)}` +
  `<br>${text("impressions")} ${formatCount(row.impressions)}<br>${text("clicks")} ${formatCount(row.clicks)}`;

/** Cuts the trend where windows without events lie between, so that no line is drawn over them. */
function segments(trend) {
  const gaps = trend.slice(1).map((point, index) => point.at - trend[index].at).sort((a, b) => a - b);
  const usual = gaps[Math.floor(gaps.length / 2)] ?? 0;
  const parts = [];
  for (const point of trend) {
    const part = parts.at(-1);
    if (part && point.at - part.at(-1).at <= usual * 1.5) part.push(point);
    else parts.push([point]);
  }
  return parts;
}

/** A last point that is still filling is no fact yet: it hangs on the others by a dotted line. */
function fillingTrace(trend, colours) {
  const last = trend.at(-1);
  if (!last?.is_partial) return [];
  const before = segments(trend).at(-1).slice(-2, -1);
  const points = [...before, last];
  return [{
    type: "scatter", mode: "lines+markers", cliponaxis: false, x: points.map((point) => onAxis(point.at)), y: points.map((point) => point.ctr),
    line: { color: colours.accent, width: 2, dash: "dot" },
    marker: { color: colours.surface, size: points.map((point) => (point === last ? 8 : 0)), line: { color: colours.accent, width: 2 } },
    customdata: points.map((point) => hover(formatTime(point.at), point)), hovertemplate: "%{customdata}<extra></extra>",
  }];
}

function trendTraces(trend, colours) {
  const parts = segments(trend.filter((point) => !point.is_partial));
  const band = { x: [], y: [] };
  const line = { x: [], y: [], hover: [], sizes: [] };
  for (const part of parts) {
    const back = [...part].reverse();
    if (part.length > 1) {
      band.x.push(...part.map((point) => onAxis(point.at)), ...back.map((point) => onAxis(point.at)), null);
      band.y.push(...part.map((point) => point.high), ...back.map((point) => point.low), null);
    }
    line.x.push(...part.map((point) => onAxis(point.at)), null);
    line.y.push(...part.map((point) => point.ctr), null);
    line.hover.push(...part.map((point) => hover(formatTime(point.at), point)), "");
    // A point without neighbours has no line: it needs a mark to be seen.
    line.sizes.push(...part.map(() => (part.length > 1 ? 0 : 7)), 0);
  }
  return [
    { type: "scatter", mode: "lines", x: band.x, y: band.y, fill: "toself", fillcolor: colours.band,
      line: { width: 0 }, hoverinfo: "skip" },
    { type: "scatter", mode: "lines+markers", x: line.x, y: line.y, connectgaps: false,
      line: { color: colours.accent, width: 2 }, marker: { color: colours.accent, size: line.sizes, line: { width: 0 } },
      customdata: line.hover, hovertemplate: "%{customdata}<extra></extra>" },
    ...fillingTrace(trend, colours),
  ];
}

function barTraces(rows, name, colours) {
  return [{
    type: "bar",
    x: rows.map((row) => String(row.code)),
    y: rows.map((row) => row.ctr),
    width: Math.min(0.5, 0.1 * rows.length + 0.1),
    marker: { color: colours.accent },
    error_y: {
      type: "data", symmetric: false, color: colours.text, thickness: 1.5, width: 5,
      array: rows.map((row) => row.high - row.ctr), arrayminus: rows.map((row) => row.ctr - row.low),
    },
    customdata: rows.map((row) => hover(`${name} ${row.code}`, row)),
    hovertemplate: "%{customdata}<extra></extra>",
  }];
}

function describe(id, rows, name) {
  const known = rows.filter((row) => row.ctr !== null);
  const rates = known.map((row) => row.ctr);
  const label = known.length === 0
    ? text("no_events_in_range")
    : `${name}: ${formatShare(Math.min(...rates))} – ${formatShare(Math.max(...rates))}`;
  const chart = document.getElementById(`chart-${id}`);
  chart.removeAttribute("aria-labelledby");
  chart.setAttribute("aria-label", label);
}

function fillTable(id, heading, rows, nameOf) {
  const head = document.createElement("tr");
  for (const name of [heading, text("impressions"), text("clicks"), text("ctr"), text("interval")]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = rows.map((row) => {
    const line = document.createElement("tr");
    const interval = `${formatShare(row.low)} – ${formatShare(row.high)}`;
    const cells = [nameOf(row), formatCount(row.impressions), formatCount(row.clicks), formatShare(row.ctr), interval];
    for (const shown of cells) {
      const cell = document.createElement("td");
      cell.textContent = shown;
      line.append(cell);
    }
    return line;
  });
  document.getElementById(`table-${id}`).replaceChildren(head, ...body);
}

function showOrHide(id, isEmpty) {
  const panel = document.getElementById(`panel-${id}`);
  panel.querySelector(".chart").hidden = isEmpty;
  panel.querySelector(".empty").hidden = !isEmpty;
  panel.querySelector("details").hidden = isEmpty;
}

const CHARTS = [
  { id: "trend", rows: (report) => report.trend, title: "ctr_over_time", heading: "time",
    nameOf: (row) => (row.is_partial ? `${formatTime(row.at)} (${text("so_far")})` : formatTime(row.at)) },
  { id: "device", rows: (report) => report.by_device, title: "ctr_by_device", heading: "device_type",
    nameOf: (row) => String(row.code) },
  { id: "banner", rows: (report) => report.by_banner, title: "ctr_by_banner", heading: "banner_pos",
    nameOf: (row) => String(row.code) },
];

/** Draws charts and tables of a report; the tables do not need Plotly. */
export async function draw(report) {
  newest = report;
  for (const { id, rows, title, heading, nameOf } of CHARTS) {
    showOrHide(id, rows(report).length === 0);
    fillTable(id, text(heading), rows(report), nameOf);
    describe(id, rows(report), text(title));
  }
  const Plotly = await loadPlotly();
  if (newest !== report) return;
  const colours = theme();
  const time = {
    type: "date", tickformat: TIME_FORMATS[report.range], nticks: window.innerWidth < 600 ? 4 : 10,
    tickangle: 0, // Where there is no older data at all, none is shown as missing.
    range: [Math.max(report.from, report.oldest - report.step), report.to].map(onAxis),
  };
  const drawn = CHARTS.filter(({ rows }) => rows(report).length > 0).map(({ id, rows, heading }) => {
    const isTrend = id === "trend";
    const traces = isTrend ? trendTraces(rows(report), colours) : barTraces(rows(report), text(heading), colours);
    const xaxis = isTrend ? time : { type: "category", title: { text: text(heading), font: { size: colours.size, color: colours.muted } } };
    const shapes = isTrend ? doubts(colours) : [];
    return Plotly.react(`chart-${id}`, traces, layout(colours, { xaxis, shapes, height: heightOf(id) }), CONFIG);
  });
  await Promise.all(drawn);
}

/** What is in doubt is hatched by a band behind the curve. */
const doubts = (colours) => doubted.map(([from, to]) => ({
  type: "rect", xref: "x", yref: "paper", x0: onAxis(from), x1: onAxis(to), y0: 0, y1: 1, layer: "below",
  fillcolor: colours.doubt, line: { color: colours.doubt, width: 1 } }));

/** Marks spans of time as in doubt. */
export function distrust(spans) {
  if (JSON.stringify(spans) === JSON.stringify(doubted)) return Promise.resolve();
  doubted = spans;
  return redraw();
}

/** Draws the same figures in the colours of now. */
export function redraw() {
  return newest ? draw(newest) : Promise.resolve();
}
