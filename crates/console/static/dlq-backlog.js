// The open errors over time, drawn by Plotly, and the same as a table.

import { CONFIG, heightOf, layout, loadPlotly, theme } from "./charts.js";
import { formatCount, formatTime, onAxis, text } from "./format.js";
import { byId, make } from "./page.js";

const FORMATS = { "6h": "%H:%M", "24h": "%m-%d %H:%M", "7d": "%m-%d" };
const CURVES = [["exhausted", "warn"], ["pending", "accent"], ["retrying", "muted"]];
/** An axis of less has the same label many times. */
const SHORTEST_MS = 600_000;
/** Rows of the table; the newest come first. */
const MOST_ROWS = 100;

let newest = null;

function fillTable(points) {
  const head = make("tr", {}, ...["time", ...CURVES.map(([name]) => `dlq_status_${name}`)].map((key) =>
    make("th", { scope: "col" }, text(key))));
  const row = (point) => make("tr", {}, make("td", {}, formatTime(point.at)),
    ...CURVES.map(([name]) => make("td", {}, formatCount(point[name]))));
  byId("table-backlog").replaceChildren(head, ...points.slice(-MOST_ROWS).reverse().map(row));
}

export async function drawBacklog(report, range, isChosen) {
  newest = [report, range, isChosen];
  const isEmpty = report.points.length === 0;
  byId("chart-backlog").hidden = isEmpty;
  byId("backlog-details").hidden = isEmpty;
  byId("backlog-empty").hidden = !isEmpty;
  fillTable(report.points);
  if (isEmpty) return;
  const Plotly = await loadPlotly();
  if (newest[0] !== report) return;
  const colours = theme();
  colours.warn = getComputedStyle(document.documentElement).getPropertyValue("--warn").trim();
  const at = report.points.map((point) => onAxis(point.at));
  const traces = CURVES.map(([name, colour]) => ({
    type: "scatter", mode: at.length === 1 ? "markers" : "lines", stackgroup: "open", name: text(`dlq_status_${name}`),
    x: at, y: report.points.map((point) => point[name]), line: { color: colours[colour], width: 1.5, shape: "hv" },
    hovertemplate: "%{y:,}",
  }));
  const open = report.points.map((point) => CURVES.reduce((sum, [name]) => sum + point[name], 0));
  const most = Math.max(...open);
  const place = byId("chart-backlog");
  place.removeAttribute("aria-labelledby");
  place.setAttribute("aria-label", text("dlq_backlog_now", {
    count: formatCount(open.at(-1)),
  }));
  await Plotly.react(place, traces, layout(colours, {
    height: heightOf("backlog"), hovermode: "x unified", showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.15, font: { size: colours.size } },
    xaxis: { type: "date", tickformat: FORMATS[range], tickangle: 0, nticks: innerWidth < 600 ? 4 : 10,
      // Of what was measured, unless a range was asked for.
      range: [isChosen ? report.from : Math.max(report.from, Math.min(report.points[0].at - 60_000, report.at - SHORTEST_MS)), report.at].map(onAxis) },
    // Of few errors the axis would count in thousandths.
    yaxis: most < 5 ? { range: [0, 5], dtick: 1, tickformat: ",d" } : { tickformat: ",~s" },
  }), CONFIG);
}

export const redrawBacklog = () => (newest ? drawBacklog(...newest) : Promise.resolve());
