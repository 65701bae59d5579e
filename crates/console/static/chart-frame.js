// The frame of a chart: where its panes are, the axes with their names, the spans behind the figures
// and the markers over them.

import { placeLabels, scale, ticks, widthOf } from "./chart-scale.js";
import { timeTicks } from "./chart-time.js";
import { boxes, px, svg } from "./svg.js";

/** Free at the right end, px. */
const MARGIN = 12;
let patterns = 0;

/** Names along the x axis: moments, or the middles of named places. */
function namesOf(x, across, size) {
  const place = (names, gap) => placeLabels(names.map((name) => ({
    ...name, mark: across.place(name.at), at: across.place(name.at), width: Math.max(widthOf(name.label, size), widthOf(name.below, size)),
  })), 0, across.end + MARGIN, gap);
  if (x.names) return place(x.names.map((label, index) => ({ at: index + 0.5, label, below: "" })), size / 2);
  // As many moments as have room, at equal distances: none of them is left out.
  for (let most = Math.floor((across.end - across.start) / (size * 4)); most > 1; most -= 1) {
    const moments = timeTicks(x.from, x.to, most);
    const placed = place(moments, size * 1.3);
    if (placed.length === moments.length) return placed;
  }
  return place(timeTicks(x.from, x.to, 1), size / 2);
}

function yAxis(y, height, size) {
  if (y.ticks) return y.ticks;
  const most = Math.max(2, Math.min(6, Math.floor(height / (size * 2.6))));
  const { step, values } = ticks(y.from, y.to, most, y.isWhole);
  return values.map((at) => ({ at, label: y.format(at, step) }));
}

/** Where everything is in a chart of this size; `top` is kept free above the panes. */
export function layOut(spec, { width, height, size, top }) {
  const title = spec.x.title ? size * 1.8 : 0;
  const below = spec.x.names ? size * 1.7 : size * 3;
  const [first, last] = [top + size * 0.6, Math.max(top + size * 2, height - below - title)];
  const shares = spec.panes.reduce((sum, pane) => sum + (pane.share ?? 1), 0);
  // The names at two panes' axes must not touch.
  const gap = size * 1.5;
  const free = last - first - gap * (spec.panes.length - 1);
  let at = first;
  const rows = spec.panes.map((pane) => {
    const row = { pane, top: at, bottom: at + (free * (pane.share ?? 1)) / shares };
    at = row.bottom + gap;
    return { ...row, ticks: yAxis(pane.y, row.bottom - row.top, size) };
  });
  const left = Math.ceil(Math.max(...rows.flatMap((row) => row.ticks.map((tick) => widthOf(tick.label, size))), 0)) + 8;
  const [from, to] = spec.x.names ? [0, spec.x.names.length] : [spec.x.from, spec.x.to];
  const x = scale(from, to, left, Math.max(left + 1, width - MARGIN));
  return {
    x, width, height, size, top: first, bottom: last,
    names: namesOf(spec.x, x, size),
    panes: rows.map((row) => ({ ...row, y: scale(row.pane.y.from, row.pane.y.to, row.bottom, row.top) })),
  };
}

const words = (shown, x, y, name, anchor) => svg("text", { x: px(x), y: px(y), class: name, "text-anchor": anchor }, shown);

/** Grid and names of the axes. */
export function drawAxes(spec, frame) {
  const { x, size, bottom } = frame;
  const parts = frame.panes.flatMap(({ pane, y, ticks: values }) => values.flatMap(({ at, label }) => [
    pane.y.isBare ? null : svg("path", { class: at === pane.y.from ? "base" : "grid", d: `M${x.start} ${px(y.place(at))}H${x.end}` }),
    words(label, x.start - 6, y.place(at) + size * 0.35, "name", "end"),
  ]));
  for (const { at, mark, label, below } of frame.names) {
    if (!spec.x.names) parts.push(svg("path", { class: "base", d: `M${px(mark)} ${bottom}v4` }));
    parts.push(words(label, at, bottom + size * 1.4, "name", "middle"));
    if (below) parts.push(words(below, at, bottom + size * 2.6, "name", "middle"));
  }
  if (spec.x.title) parts.push(words(spec.x.title, (x.start + x.end) / 2, bottom + size * 3, "name", "middle"));
  return svg("g", { class: "axes" }, ...parts);
}

/** Spans of time whose figures are incomplete (grey) or in doubt (hatched), behind the figures. */
export function drawSpans({ spans = [] }, { x, panes }) {
  const inside = spans.filter(({ from, to }) => to > x.from && from < x.to);
  if (inside.length === 0) return null;
  patterns += 1;
  const hatch = `hatch-${patterns}`;
  const parts = inside.map(({ from, to, kind }) => svg("path", {
    class: `span-${kind}`, fill: kind === "doubt" ? `url(#${hatch})` : null,
    d: boxes(panes.map(({ top, bottom }) => {
      const left = x.place(Math.max(from, x.from));
      return [left, top, Math.max(left + 2, x.place(Math.min(to, x.to))), bottom];
    })),
  }));
  const lines = svg("path", { d: "M-2 2l4-4M0 8l8-8M6 10l4-4" });
  return svg("g", { class: "spans" },
    svg("defs", {}, svg("pattern", { id: hatch, class: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse" }, lines)), ...parts);
}

/** Moments at which something happened, over the figures. */
export function drawMarkers({ markers = [] }, { x, top, bottom }) {
  const inside = markers.filter((marker) => x.holds(marker.x));
  return svg("g", { class: "markers" }, ...inside.map((marker) => {
    const at = px(x.place(marker.x));
    return svg("g", { class: `marker tone-${marker.tone ?? "muted"}` }, svg("path", { class: "stem", d: `M${at} ${px(top)}V${px(bottom)}` }),
      svg("path", { class: "flag", d: `M${at - 5} ${px(top - 6)}h10l-5 8Z` }));
  }));
}
