// Small charts without axes: curves and bars next to a figure, a dot with its interval in a row of a list.

import { along, px, svg } from "./svg.js";

/** A small drawing, stretched over its place, which is an <svg> that is there or a new one. */
function drawing(place, name, width, height, label) {
  const drawn = place ?? svg("svg");
  const shape = { class: `spark ${name}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" };
  for (const [attribute, value] of Object.entries(shape)) drawn.setAttribute(attribute, value);
  if (label) drawn.setAttribute("aria-label", label);
  return drawn;
}

/** Draws nothing again that is there already. */
function redraw(drawn, values, parts) {
  const shown = values.join();
  if (drawn.dataset.shown === shown) return drawn;
  drawn.dataset.shown = shown;
  drawn.replaceChildren(...parts());
  return drawn;
}

/**
 * A curve from 0 to the largest value, with its area; null is left out. Without any value above 0
 * nothing is drawn: a line at the bottom would look like a measurement.
 */
export function curve(values, label, place = null) {
  const [width, height] = [300, 48];
  const most = Math.max(0, ...values.filter((value) => value !== null));
  return redraw(drawing(place, "curve", width, height, label), values, () => {
    const points = values.map((value, index) => [(index / Math.max(1, values.length - 1)) * width, value])
      .filter(([, value]) => value !== null).map(([x, value]) => [x, height - 1 - (value / (most || 1)) * (height - 4)]);
    if (most === 0 || points.length < 2) return [];
    const line = along(points);
    const area = `${line}L${px(points.at(-1)[0])} ${height}L${px(points[0][0])} ${height}Z`;
    return [svg("path", { class: "area", d: area }), svg("path", { class: "line", d: line })];
  });
}

/** Bars, the last of which is still filling. */
export function bars(values, label, place = null) {
  const most = Math.max(1, ...values);
  return redraw(drawing(place, "bars", 4 * Math.max(1, values.length), 24, label), values, () => values.map((value, index) => {
    // A bar of one must be seen next to one of a thousand.
    const height = value === 0 ? 0.5 : Math.max(2, (value / most) * 24);
    return svg("rect", { x: index * 4, y: px(24 - height), width: 3, height: px(height), class: index === values.length - 1 ? "filling" : null });
  }));
}

/** A dot with its interval on a line from `from` to `to`, as one row of a list has it. */
export function interval({ low, value, high }, [from, to], label, place = null) {
  const at = (figure) => px(4 + (Math.max(0, Math.min(1, (figure - from) / (to - from || 1)))) * 112);
  return redraw(drawing(place, "interval", 120, 24, label), [low, value, high, from, to], () => (value === null ? [] : [
    svg("path", { class: "line", d: `M${at(low)} 12H${at(high)}M${at(low)} 8V16M${at(high)} 8V16` }),
    // A line of no length with round ends stays a circle however the drawing is stretched.
    svg("path", { class: "dot", d: `M${at(value)} 12h0` }),
  ]));
}
