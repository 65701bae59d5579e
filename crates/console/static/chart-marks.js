// What a chart shows of its figures: each kind of mark as SVG. Values become places here and nowhere else.

import { pieces, stairs, thin } from "./chart-points.js";
import { along, between, boxes, px, svg } from "./svg.js";

/** Line ends are not cut off at the edge of a pane. */
const EDGE = 2;

const onScreen = ({ x, y }) => (point) => [x.place(point.x), y.place(point.y)];

/** Whole pieces of a line, thinned out to the screen's pixels. */
function drawnPieces(mark, points, { x }) {
  return pieces(points, mark.gap).map((piece) => {
    const pixels = Math.max(1, Math.ceil(Math.abs(x.place(piece.at(-1).x) - x.place(piece[0].x))));
    const drawn = thin(piece, pixels);
    return mark.isStepped ? stairs(drawn) : drawn;
  });
}

function line(mark, axes) {
  const found = drawnPieces(mark, mark.points, axes);
  const long = found.filter((piece) => piece.length > 1).map((piece) => piece.map(onScreen(axes)));
  const dash = mark.dash ? ` ${mark.dash}` : "";
  const base = axes.y.place(Math.max(0, axes.y.from));
  return [
    mark.isFilled ? svg("path", { class: "fill", d: long.map((piece) => between(piece, [[piece[0][0], base], [piece.at(-1)[0], base]])).join("") }) : null,
    svg("path", { class: `stroke${dash}`, d: long.map(along).join("") }),
    // A point without neighbours has no line: it needs a dot to be seen.
    ...found.filter((piece) => piece.length === 1).map(([point]) => dot(point, axes, "dot")),
  ];
}

function band(mark, axes) {
  const side = (name) => drawnPieces(mark, mark.points.map((point) => ({ x: point.x, y: point[name] })), axes)
    .filter((piece) => piece.length > 1).map((piece) => piece.map(onScreen(axes)));
  const lows = side("low");
  return [svg("path", { class: mark.isSolid ? "solid" : "fill", d: side("high").map((upper, index) => between(upper, lows[index])).join("") })];
}

function bars(mark, { x, y }) {
  const base = y.place(Math.max(0, y.from));
  const sides = mark.points.filter((point) => point.y !== null).map((point) => {
    const [left, right] = [x.place(point.x), x.place(point.x + mark.span)];
    const gap = right - left > 4 ? 1 : 0;
    return [left, y.place(point.y), Math.max(left + 0.6, right - gap), base];
  });
  return [svg("path", { class: "solid", d: boxes(sides) })];
}

function intervals(mark, { x, y }) {
  const cap = 3;
  const paths = mark.points.filter((point) => point.low !== null).map((point) => {
    const [at, low, high] = [x.place(point.x), y.place(point.low), y.place(point.high)].map(px);
    return `M${at} ${low}V${high}M${at - cap} ${low}h${2 * cap}M${at - cap} ${high}h${2 * cap}`;
  });
  return [svg("path", { class: "stroke thin", d: paths.join("") })];
}

function cells(mark, { x, y }) {
  return mark.cells.map((cell) => {
    const [left, top] = [x.place(cell.from), y.place(cell.high)];
    const [wide, high] = [x.place(cell.to) - left, y.place(cell.low) - top];
    return svg("rect", {
      class: "cell", x: px(left), y: px(top), width: px(Math.max(0.5, wide - (wide > 3 ? 1 : 0))), height: px(Math.max(0.5, high - (high > 3 ? 1 : 0))),
      "fill-opacity": Math.round(cell.strength * 100) / 100,
    });
  });
}

function limit(mark, { x, y }) {
  return [svg("path", { class: "stroke limit", d: `M${x.start} ${px(y.place(mark.y))}H${x.end}` })];
}

/** A border between two times, as before what is still filling. */
function border(mark, { x, y }) {
  return [svg("path", { class: "stroke dotted thin", d: `M${px(x.place(mark.x))} ${y.start}V${y.end}` })];
}

const KINDS = { line, band, bars, intervals, cells, limit, border };

/** A dot where a point is; `name` says which kind of dot. */
export function dot(point, { x, y }, name) {
  if (point.y === null || !x.holds(point.x) || !y.holds(point.y)) return null;
  return svg("circle", { class: name, cx: px(x.place(point.x)), cy: px(y.place(point.y)), r: 3.5 });
}

/** A pane: its marks, cut off at its edge, and the dots, which are not. */
export function drawPane({ pane, y }, { x }) {
  const axes = { x, y };
  const group = (mark, parts) => svg("g", { class: `mark ${mark.kind} tone-${mark.tone ?? "accent"}` }, ...parts);
  const box = { x: x.start, y: y.end - EDGE, width: x.end - x.start, height: y.start - y.end + 2 * EDGE };
  const cut = svg("svg", { ...box, viewBox: `${box.x} ${box.y} ${box.width} ${box.height}`, "data-low": y.from, "data-high": y.to },
    ...pane.marks.filter((mark) => KINDS[mark.kind]).map((mark) => group(mark, KINDS[mark.kind](mark, axes))));
  const dots = pane.marks.filter((mark) => mark.kind === "dots").map((mark) =>
    group(mark, mark.points.map((point) => dot(point, axes, mark.isHollow ? "dot hollow" : "dot"))));
  return svg("g", { class: "pane" }, cut, ...dots);
}
