// The open errors over time, and the same as a table.

import { drawChart } from "./chart.js";
import { countAxis, fillTable, showPanel } from "./chart-panel.js";
import { formatCount, formatTime, text } from "./format.js";
import { byId } from "./page.js";

/** The states of an open error, from the bottom of the chart. */
const STATES = [["exhausted", "warn"], ["pending", "accent"], ["retrying", "muted"]];
/** An axis of less has the same label many times. */
const SHORTEST_MS = 600_000;
/** Rows of the table; the newest come first. */
const MOST_ROWS = 100;
/** Above the highest value a little is left free. */
const HEADROOM = 1.05;

let shown = null;
/** The part that someone looks at; null for all of it. */
let zoom = null;

const nameOf = (state) => text(`dlq_status_${state}`);

/** The states one on top of the other: how many are open in each and in those below it. */
function layersOf(points) {
  const low = points.map(() => 0);
  return STATES.map(([state, tone]) => {
    const layer = points.map((point, index) => ({ x: point.at, low: low[index], high: low[index] + point[state], y: low[index] + point[state] }));
    layer.forEach((point, index) => {
      low[index] = point.high;
    });
    return [
      { kind: "band", points: layer, tone, isStepped: true, isSolid: true },
      { kind: "line", points: layer, tone, isStepped: true },
    ];
  });
}

function stopOf(point) {
  return {
    x: point.at,
    read: () => ({ title: formatTime(point.at), lines: STATES.map(([state, tone]) => ({ name: nameOf(state), value: formatCount(point[state]), tone })) }),
  };
}

export function drawBacklog(report, isChosen) {
  shown = [report, isChosen];
  const { points } = report;
  showPanel("backlog", points.length === 0);
  fillTable("backlog", [text("time"), ...STATES.map(([state]) => nameOf(state))],
    points.slice(-MOST_ROWS).reverse().map((point) => [formatTime(point.at), ...STATES.map(([state]) => formatCount(point[state]))]));
  if (points.length === 0) return;
  // Of what was measured, unless a range was asked for.
  const from = isChosen ? report.from : Math.max(report.from, Math.min(points[0].at - 60_000, report.at - SHORTEST_MS));
  const x = zoom ?? { from, to: report.at };
  const openIn = (point) => STATES.reduce((sum, [state]) => sum + point[state], 0);
  const seen = points.filter((point) => point.at >= x.from && point.at <= x.to).map(openIn);
  drawChart(byId("chart-backlog"), {
    name: text("dlq_backlog"), label: text("dlq_backlog_now", { count: formatCount(openIn(points.at(-1))) }), x,
    // The last layer first: what is below lies over it.
    panes: [{ y: countAxis(HEADROOM * Math.max(0, ...seen)), marks: layersOf(points).reverse().flat() }],
    stops: points.map(stopOf),
    legend: STATES.map(([state, tone]) => ({ name: nameOf(state), tone })),
    isZoomed: zoom !== null,
    onZoom: (range) => {
      zoom = range;
      drawBacklog(...shown);
    },
  });
}

/** Shows all of the range again, as after another one was asked for. */
export function forgetBacklogZoom() {
  zoom = null;
}
