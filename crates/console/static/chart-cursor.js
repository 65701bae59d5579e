// What a pointer and the keys do on a chart: they go from stop to stop, mark a range, select.
//
// The cursor is a slider over the panes: a screen reader hands it the arrow keys and reads out what it
// stands on by itself.

import { dot } from "./chart-marks.js";
import { nearest } from "./chart-points.js";
import { formatTime, text } from "./format.js";
import { make } from "./page.js";
import { boxes, px, svg } from "./svg.js";

/** A pointer that moves less has clicked. */
const CLICK_PX = 5;
const PAGE = 10;
const TIP_GAP = 12;

/** What a stop says, with the spans and markers that it lies in. */
function sayingOf(spec, index) {
  const stop = spec.stops[index];
  const { title, lines } = stop.read();
  const notes = (spec.spans ?? []).filter(({ label, from, to }) => label && stop.x >= from && stop.x < to).map(({ label }) => label);
  const marked = (spec.markers ?? []).filter((marker) => nearest(spec.stops, marker.x) === index).map(({ label }) => label);
  return { title, lines, notes: [...new Set([...notes, ...marked])] };
}

/** Shows what a stop says, next to it. */
function fillTip(tip, { title, lines, notes }) {
  tip.replaceChildren(make("b", {}, title),
    make("dl", {}, ...lines.map(({ name, value, tone }) => make("div", { class: tone ? `key tone-${tone}` : "" }, make("dt", {}, name), make("dd", {}, value)))),
    ...notes.map((note) => make("p", {}, note)));
}

const readOut = ({ title, lines, notes }) =>
  [title, ...lines.map(({ name, value }) => `${name} ${value}`.trim()), ...notes].join(", ");

/** Adds the cursor to a chart; gives a function that takes what the chart shows now. */
export function addCursor(place) {
  const over = svg("svg", { class: "chart-over", "aria-hidden": "true" });
  const handle = make("div", { class: "chart-cursor", role: "slider", tabIndex: 0 });
  const hint = make("p", { class: "visually-hidden", id: `${place.id}-keys` });
  const tip = make("div", { class: "chart-tip", "aria-hidden": "true", hidden: true });
  place.append(over, handle, hint, tip);
  let [spec, frame] = [null, null];
  /** The stop under the cursor, and whether it is shown, and by keys. */
  let [at, isShown, isByKeys] = [-1, false, false];
  /** Where a range begins: the index of a stop, or a place on the screen. */
  let [anchor, pressed] = [null, null];
  /** The range that is being marked, [from, to]. */
  let range = null;

  function drawOver() {
    const stop = isShown ? spec.stops[at] : undefined;
    const { x, panes, top, bottom } = frame;
    const parts = [];
    if (range) parts.push(svg("path", { class: "range", d: boxes([[x.place(range[0]), top, x.place(range[1]), bottom]]) }));
    if (spec.selected !== undefined && x.holds(spec.selected)) {
      parts.push(svg("path", { class: "selected", d: `M${px(x.place(spec.selected))} ${top}V${bottom}` }));
    }
    if (stop?.box) {
      const { from, to, low, high } = stop.box;
      const { y } = panes[0];
      parts.push(svg("path", { class: "outline", d: boxes([[x.place(from), y.place(high), x.place(to), y.place(low)]]) }));
    } else if (stop) {
      parts.push(svg("path", { class: "rule", d: `M${px(x.place(stop.x))} ${top}V${bottom}` }),
        ...(stop.dots ?? []).map((mark) => svg("g", { class: `tone-${mark.tone ?? "accent"}` }, dot({ x: stop.x, y: mark.y }, { x, y: panes[mark.pane ?? 0].y }, "dot"))));
    }
    over.replaceChildren(...parts);
  }

  function placeTip(stop) {
    const { x, panes, width, top } = frame;
    const along = x.place(stop.x);
    const isLeft = along + TIP_GAP + tip.offsetWidth > width && along > width / 2;
    const left = isLeft ? along - TIP_GAP - tip.offsetWidth : along + TIP_GAP;
    const down = stop.y === undefined ? top : panes[0].y.place(stop.y) - tip.offsetHeight / 2;
    tip.style.left = `${Math.max(0, Math.min(width - tip.offsetWidth, left))}px`;
    tip.style.top = `${Math.max(0, Math.min(frame.height - tip.offsetHeight, down))}px`;
  }

  function tell() {
    const index = at < 0 ? spec.stops.length - 1 : at;
    const said = sayingOf(spec, index);
    const marked = range ? text("chart_range", { from: formatTime(Math.min(...range)), to: formatTime(Math.max(...range)) }) : "";
    handle.setAttribute("aria-valuenow", index);
    handle.setAttribute("aria-valuetext", [marked, readOut(said)].filter(Boolean).join(": "));
    tip.hidden = !isShown;
    if (isShown) {
      fillTip(tip, said);
      placeTip(spec.stops[index]);
    }
    drawOver();
  }

  function goTo(index) {
    at = Math.max(0, Math.min(spec.stops.length - 1, index));
    isShown = true;
    tell();
  }

  function leave() {
    [isShown, range, anchor, pressed] = [false, null, null, null];
    tell();
  }

  /** The stop above or below, on a chart whose stops are cells. */
  function inColumn(by) {
    const [here, next] = [spec.stops[at], spec.stops[at + by]];
    return here.y === undefined || next?.x === here.x ? at + by : at;
  }

  /** The same row one column further, on such a chart. */
  function inRow(by) {
    const here = spec.stops[at];
    if (here.y === undefined) return at + by;
    for (let index = at + by; index >= 0 && index < spec.stops.length; index += by) {
      if (spec.stops[index].y === here.y) return index;
    }
    return at;
  }

  function choose() {
    if (range && range[0] !== range[1]) {
      const [from, to] = [Math.min(...range), Math.max(...range)].map(Math.round);
      leave();
      spec.onZoom({ from, to });
    } else if (at >= 0 && isShown) spec.onSelect?.(spec.stops[at]);
  }

  function cancel() {
    if (range) {
      [range, anchor] = [null, null];
      tell();
    } else if (spec.isZoomed) spec.onZoom(null);
    else leave();
  }

  const KEYS = {
    ArrowLeft: () => inRow(-1), ArrowRight: () => inRow(1), ArrowDown: () => inColumn(-1), ArrowUp: () => inColumn(1),
    PageDown: () => at - PAGE, PageUp: () => at + PAGE, Home: () => 0, End: () => spec.stops.length - 1,
  };
  handle.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || spec.stops.length === 0) return;
    isByKeys = true;
    if (KEYS[event.key]) {
      const isMarking = event.shiftKey && spec.onZoom;
      if (at < 0) at = spec.stops.length - 1;
      anchor = isMarking ? anchor ?? at : null;
      const to = Math.max(0, Math.min(spec.stops.length - 1, KEYS[event.key]()));
      range = isMarking ? [spec.stops[anchor].x, spec.stops[to].x] : null;
      goTo(to);
    } else if (event.key === "Enter" || event.key === " ") choose();
    else if (event.key === "Escape" && (isShown || spec.isZoomed)) cancel();
    else return;
    event.preventDefault();
    // What the page does on these keys is not meant.
    event.stopPropagation();
  });
  handle.addEventListener("focus", () => {
    if (!handle.matches(":focus-visible") || pressed !== null) return;
    isByKeys = true;
    goTo(at < 0 ? spec.stops.length - 1 : at);
  });
  handle.addEventListener("blur", leave);

  /** Where a pointer is, in px of the chart. */
  const spot = (event) => {
    const box = place.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  function under([left, down]) {
    const { x, panes } = frame;
    const found = nearest(spec.stops, x.value(left));
    if (found < 0 || spec.stops[found].y === undefined) return found;
    const y = panes[0].y.value(down);
    const column = spec.stops.map((stop, index) => [stop, index]).filter(([stop]) => stop.x === spec.stops[found].x);
    return column.reduce((best, one) => (Math.abs(one[0].y - y) < Math.abs(best[0].y - y) ? one : best))[1];
  }
  handle.addEventListener("pointermove", (event) => {
    isByKeys = false;
    const here = spot(event);
    if (pressed !== null && spec.onZoom && Math.abs(here[0] - pressed) > CLICK_PX) {
      const ends = [pressed, here[0]].map((left) => frame.x.value(Math.max(frame.x.start, Math.min(frame.x.end, left))));
      range = ends;
    }
    goTo(under(here));
  });
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    [pressed] = spot(event);
    handle.setPointerCapture(event.pointerId);
    goTo(under(spot(event)));
  });
  handle.addEventListener("pointerup", () => {
    if (pressed === null) return;
    pressed = null;
    choose();
  });
  handle.addEventListener("pointercancel", () => {
    [pressed, range] = [null, null];
    tell();
  });
  // A finger that is lifted leaves what it has pointed at to be read.
  handle.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && !isByKeys && pressed === null && leave());
  handle.addEventListener("dblclick", () => spec.isZoomed && spec.onZoom(null));

  /** Stays on what it stood on, if that is still there. */
  return function show(newSpec, newFrame) {
    const before = spec?.stops[at];
    [spec, frame] = [newSpec, newFrame];
    at = before ? spec.stops.findIndex((stop) => stop.x === before.x && stop.y === before.y) : -1;
    if (at < 0 || (spec.onZoom === undefined && range)) [isShown, range, anchor] = [false, null, null];
    handle.hidden = spec.stops.length === 0;
    if (handle.hidden) {
      tip.hidden = true;
      over.replaceChildren();
      return;
    }
    handle.style.left = `${frame.x.start}px`;
    handle.style.width = `${frame.x.end - frame.x.start}px`;
    handle.style.top = `${frame.top}px`;
    handle.style.height = `${frame.bottom - frame.top}px`;
    handle.setAttribute("aria-label", spec.name);
    handle.setAttribute("aria-valuemin", 0);
    handle.setAttribute("aria-valuemax", spec.stops.length - 1);
    handle.setAttribute("aria-describedby", hint.id);
    hint.textContent = text(spec.onZoom ? "chart_keys_zoom" : "chart_keys");
    tell();
  };
}
