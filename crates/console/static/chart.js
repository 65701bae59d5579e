// A chart: draws what it is given, again when its place gets another size, and follows pointer and keys.
//
// drawChart(place, spec), where spec is:
//   name      what the chart is called
//   label     what it shows, in one line, for those who do not see it
//   x         { from, to } in ms, or { names, title }: the first name lies from 0 to 1, the next from 1 to 2
//   panes     one above the other on the same x axis: [{ share, y, marks }]
//     y       { from, to, format(value, step), isWhole, isBare } or, of rows with names, { from, to, ticks: [{ at, label }] }
//     marks   see chart-marks.js: line, band, bars, intervals, dots, cells, limit, border; each with a tone
//   stops     what the cursor can stand on, in order of x: [{ x, y, dots, box, read() }];
//             read gives { title, lines: [{ name, value, tone }] }
//   legend    [{ name, tone, dash }], where there are several lines
//   spans     [{ from, to, kind: "incomplete" | "doubt", label }] behind the figures
//   markers   [{ x, label, tone }] over them
//   selected  the x of the stop that is selected
//   onSelect  takes a stop that was clicked, or on which Enter was pressed
//   onZoom    takes a range { from, to } that was marked, or null for the whole; isZoomed says which it is
//
// A tone is a class of charts.css: accent, warn, muted, good, or one to five of lines side by side.

import { addCursor } from "./chart-cursor.js";
import { drawAxes, drawMarkers, drawSpans, layOut } from "./chart-frame.js";
import { drawPane } from "./chart-marks.js";
import { text } from "./format.js";
import { make } from "./page.js";
import { svg } from "./svg.js";

/** The charts that are there, by their places. */
const charts = new WeakMap();

const fillLegend = (legend, entries) => legend.replaceChildren(...entries.map(({ name, tone, dash }) =>
  make("span", { class: `key tone-${tone} ${dash ?? ""}` }, name)));

function create(place) {
  const drawing = svg("svg", { class: "chart-drawing", role: "img" });
  const legend = make("div", { class: "chart-legend", "aria-hidden": "true" });
  const whole = make("button", { type: "button", class: "chart-whole" }, text("chart_whole_range"));
  place.replaceChildren(drawing);
  const showCursor = addCursor(place);
  place.append(legend, whole);
  const chart = { place, drawing, legend, whole, showCursor, spec: null, drawnFor: "" };
  whole.addEventListener("click", () => chart.spec.onZoom(null));
  // Also when a place that was hidden is shown.
  new ResizeObserver(() => {
    if (chart.drawnFor !== sizeOf(place)) render(chart);
  }).observe(place);
  charts.set(place, chart);
  return chart;
}

const sizeOf = (place) => `${place.clientWidth} ${place.clientHeight}`;

function render(chart) {
  const { place, drawing, legend, whole, spec } = chart;
  const [width, height] = [place.clientWidth, place.clientHeight];
  if (width === 0 || height === 0) return;
  chart.drawnFor = sizeOf(place);
  legend.hidden = !spec.legend?.length;
  whole.hidden = !spec.isZoomed;
  if (!legend.hidden) fillLegend(legend, spec.legend);
  const top = Math.max(legend.hidden ? 0 : legend.offsetHeight, whole.hidden ? 0 : whole.offsetHeight);
  const frame = layOut(spec, { width, height, size: parseFloat(getComputedStyle(place).fontSize), top });
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, "aria-label": spec.label, "data-from": frame.x.from, "data-to": frame.x.to })) {
    drawing.setAttribute(name, value);
  }
  const parts = [drawSpans(spec, frame), drawAxes(spec, frame), ...frame.panes.map((row) => drawPane(row, frame)), drawMarkers(spec, frame)];
  drawing.replaceChildren(...parts.filter(Boolean));
  const stops = spec.stops.filter((stop) => frame.x.holds(stop.x));
  chart.showCursor({ ...spec, stops }, frame);
}

/** Draws a chart into its place, an element with an id whose size the style sheet gives. */
export function drawChart(place, spec) {
  const chart = charts.get(place) ?? create(place);
  chart.spec = spec;
  render(chart);
}
