// How latencies were distributed over the last hours: a matrix of buckets and times.

import { drawChart } from "./chart.js";
import { fillTable, showPanel, soFar } from "./chart-panel.js";
import { formatCount, formatDuration, formatTime, text } from "./format.js";
import { byId, show } from "./page.js";

const bucketName = (edges, bucket) =>
  (bucket < edges.length ? `≤ ${formatDuration(edges[bucket])}` : `> ${formatDuration(edges.at(-1))}`);

/** The columns of the range, also those without records: when they begin and what they hold. */
function columnsOf({ heat_map: { columns, step }, from, at }) {
  const known = new Map(columns);
  const first = Math.floor(from / step) * step;
  return Array.from({ length: Math.ceil((at - first) / step) }, (_, index) => first + index * step)
    .map((start) => ({ start, end: start + step, counts: known.get(start) ?? [], isFilling: start + step > at }));
}

/** What can be stood on in a column: what is seen of each of its cells. */
function stopsOf({ start, end, counts, isFilling }, edges, x) {
  const [from, to] = [Math.max(start, x.from), Math.min(end, x.to)];
  return [...edges, null].map((_, bucket) => ({
    x: (from + to) / 2, y: bucket + 0.5, box: { from, to, low: bucket, high: bucket + 1 },
    read: () => ({
      title: soFar(formatTime(start), isFilling),
      lines: [{ name: text("latency"), value: bucketName(edges, bucket) }, { name: text("records"), value: formatCount(counts[bucket] ?? 0) }],
    }),
  }));
}

function cellsOf(columns) {
  const most = Math.max(1, ...columns.flatMap(({ counts }) => counts));
  return columns.flatMap(({ start, end, counts }) => counts.map((count, bucket) => ({
    // A record in a thousand must be seen next to the others.
    from: start, to: end, low: bucket, high: bucket + 1, strength: count && 0.1 + 0.9 * (Math.log1p(count) / Math.log1p(most)),
  })).filter((cell) => cell.strength > 0));
}

/** Draws the matrix of a report over the times `x`; `more` is what it has in common with the other charts. */
export function drawHeat(report, x, more) {
  const { edges_ms: edges, columns: known, is_complete: isComplete } = report.heat_map;
  showPanel("heat", known.length === 0);
  show(byId("charts-span"), isComplete ? "" : text("ops_past_is_read"));
  if (known.length === 0) return;
  const sums = [...edges, null].map((_, bucket) => known.reduce((sum, [, counts]) => sum + counts[bucket], 0));
  fillTable("heat", [text("latency"), text("records")], sums.map((sum, bucket) => [bucketName(edges, bucket), formatCount(sum)]));
  const columns = columnsOf(report);
  const slow = report.charts.find((chart) => chart.signal === "latency")?.thresholds ?? [];
  const limits = slow.map((line) => edges.indexOf(line.value * 1_000)).filter((bucket) => bucket >= 0);
  drawChart(byId("chart-heat"), {
    ...more, x, name: text("ops_heat"),
    label: text("ops_heat_mostly", { bucket: bucketName(edges, sums.indexOf(Math.max(...sums))) }),
    panes: [{
      y: {
        from: 0, to: sums.length, isBare: true,
        ticks: edges.map((edge, bucket) => ({ at: bucket + 1, label: formatDuration(edge) })).filter((_, bucket) => bucket % 2 === 0),
      },
      marks: [
        { kind: "cells", cells: cellsOf(columns) },
        // The column that is still filling stands behind a dotted line.
        ...columns.filter(({ isFilling }) => isFilling).map(({ start }) => ({ kind: "border", x: start, tone: "muted" })),
        ...limits.map((bucket) => ({ kind: "limit", y: bucket + 1, tone: "warn" })),
      ],
    }],
    stops: columns.filter(({ start, end }) => end > x.from && start < x.to).flatMap((column) => stopsOf(column, edges, x)),
  });
}
