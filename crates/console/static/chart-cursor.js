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

/** The stop that a key leads to. */
const KEYS = {
  ArrowLeft: (cursor) => cursor.inRow(-1),
  ArrowRight: (cursor) => cursor.inRow(1),
  ArrowDown: (cursor) => cursor.inColumn(-1),
  ArrowUp: (cursor) => cursor.inColumn(1),
  PageDown: ({ at }) => at - PAGE,
  PageUp: ({ at }) => at + PAGE,
  Home: () => 0,
  End: ({ spec }) => spec.stops.length - 1,
};

class Cursor {
  spec = null;
  frame = null;
  /** The stop under the cursor, and whether it is shown, and by keys. */
  at = -1;
  isShown = false;
  isByKeys = false;
  /** Where a range begins: the index of a stop, or a place on the screen. */
  anchor = null;
  pressed = null;
  /** The range that is being marked, [from, to]. */
  range = null;

  constructor(place) {
    this.place = place;
    this.over = svg("svg", { class: "chart-over", "aria-hidden": "true" });
    this.handle = make("div", { class: "chart-cursor", role: "slider", tabIndex: 0 });
    this.hint = make("p", { class: "visually-hidden", id: `${place.id}-keys` });
    this.tip = make("div", { class: "chart-tip", "aria-hidden": "true", hidden: true });
    place.append(this.over, this.handle, this.hint, this.tip);
    this.listenToKeys();
    this.listenToPointer();
  }

  /** Takes what the chart shows now; stays on what it stood on, if that is still there. */
  show(spec, frame) {
    const before = this.spec?.stops[this.at];
    [this.spec, this.frame] = [spec, frame];
    this.at = before ? spec.stops.findIndex((stop) => stop.x === before.x && stop.y === before.y) : -1;
    if (this.at < 0 || (spec.onZoom === undefined && this.range)) [this.isShown, this.range, this.anchor] = [false, null, null];
    this.handle.hidden = spec.stops.length === 0;
    if (this.handle.hidden) {
      this.tip.hidden = true;
      this.over.replaceChildren();
      return;
    }
    const { x, top, bottom } = frame;
    Object.assign(this.handle.style, { left: `${x.start}px`, width: `${x.end - x.start}px`, top: `${top}px`, height: `${bottom - top}px` });
    this.handle.setAttribute("aria-label", spec.name);
    this.handle.setAttribute("aria-valuemin", 0);
    this.handle.setAttribute("aria-valuemax", spec.stops.length - 1);
    this.handle.setAttribute("aria-describedby", this.hint.id);
    this.hint.textContent = text(spec.onZoom ? "chart_keys_zoom" : "chart_keys");
    this.tell();
  }

  // --- what is shown -----------------------------------------------------------------------------

  drawOver() {
    const { range, spec } = this;
    const stop = this.isShown ? spec.stops[this.at] : undefined;
    const { x, panes, top, bottom } = this.frame;
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
    this.over.replaceChildren(...parts);
  }

  placeTip(stop) {
    const { tip } = this;
    const { x, panes, width, height, top } = this.frame;
    const along = x.place(stop.x);
    const isLeft = along + TIP_GAP + tip.offsetWidth > width && along > width / 2;
    const left = isLeft ? along - TIP_GAP - tip.offsetWidth : along + TIP_GAP;
    const down = stop.y === undefined ? top : panes[0].y.place(stop.y) - tip.offsetHeight / 2;
    tip.style.left = `${Math.max(0, Math.min(width - tip.offsetWidth, left))}px`;
    tip.style.top = `${Math.max(0, Math.min(height - tip.offsetHeight, down))}px`;
  }

  tell() {
    const { spec, range, handle, tip } = this;
    const index = this.at < 0 ? spec.stops.length - 1 : this.at;
    const said = sayingOf(spec, index);
    const marked = range ? text("chart_range", { from: formatTime(Math.min(...range)), to: formatTime(Math.max(...range)) }) : "";
    handle.setAttribute("aria-valuenow", index);
    handle.setAttribute("aria-valuetext", [marked, readOut(said)].filter(Boolean).join(": "));
    tip.hidden = !this.isShown;
    if (this.isShown) {
      fillTip(tip, said);
      this.placeTip(spec.stops[index]);
    }
    this.drawOver();
  }

  // --- what is done with it ----------------------------------------------------------------------

  goTo(index) {
    this.at = Math.max(0, Math.min(this.spec.stops.length - 1, index));
    this.isShown = true;
    this.tell();
  }

  leave() {
    [this.isShown, this.range, this.anchor, this.pressed] = [false, null, null, null];
    this.tell();
  }

  /** The stop above or below, on a chart whose stops are cells. */
  inColumn(by) {
    const [here, next] = [this.spec.stops[this.at], this.spec.stops[this.at + by]];
    return here.y === undefined || next?.x === here.x ? this.at + by : this.at;
  }

  /** The same row one column further, on such a chart. */
  inRow(by) {
    const { at, spec: { stops } } = this;
    if (stops[at].y === undefined) return at + by;
    for (let index = at + by; index >= 0 && index < stops.length; index += by) {
      if (stops[index].y === stops[at].y) return index;
    }
    return at;
  }

  choose() {
    const { range, spec } = this;
    if (range && range[0] !== range[1]) {
      const [from, to] = [Math.min(...range), Math.max(...range)].map(Math.round);
      this.leave();
      spec.onZoom({ from, to });
    } else if (this.at >= 0 && this.isShown) spec.onSelect?.(spec.stops[this.at]);
  }

  cancel() {
    if (this.range) {
      [this.range, this.anchor] = [null, null];
      this.tell();
    } else if (this.spec.isZoomed) this.spec.onZoom(null);
    else this.leave();
  }

  // --- keys --------------------------------------------------------------------------------------

  listenToKeys() {
    const { handle } = this;
    handle.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || this.spec.stops.length === 0) return;
      this.isByKeys = true;
      if (!this.isKeyUsed(event)) return;
      event.preventDefault();
      // What the page does on these keys is not meant.
      event.stopPropagation();
    });
    handle.addEventListener("focus", () => {
      if (!handle.matches(":focus-visible") || this.pressed !== null) return;
      this.isByKeys = true;
      this.goTo(this.at < 0 ? this.spec.stops.length - 1 : this.at);
    });
    handle.addEventListener("blur", () => this.leave());
  }

  /** Does what a key asks for; false when it asks for nothing here. */
  isKeyUsed({ key, shiftKey }) {
    if (KEYS[key]) this.moveBy(KEYS[key], shiftKey);
    else if (key === "Enter" || key === " ") this.choose();
    else if (key === "Escape" && (this.isShown || this.spec.isZoomed)) this.cancel();
    else return false;
    return true;
  }

  moveBy(move, isShift) {
    const { stops, onZoom } = this.spec;
    const isMarking = isShift && onZoom;
    if (this.at < 0) this.at = stops.length - 1;
    this.anchor = isMarking ? this.anchor ?? this.at : null;
    const to = Math.max(0, Math.min(stops.length - 1, move(this)));
    this.range = isMarking ? [stops[this.anchor].x, stops[to].x] : null;
    this.goTo(to);
  }

  // --- a pointer ---------------------------------------------------------------------------------

  listenToPointer() {
    const { handle } = this;
    handle.addEventListener("pointermove", (event) => {
      this.isByKeys = false;
      const here = this.spot(event);
      const { x } = this.frame;
      if (this.pressed !== null && this.spec.onZoom && Math.abs(here[0] - this.pressed) > CLICK_PX) {
        this.range = [this.pressed, here[0]].map((left) => x.value(Math.max(x.start, Math.min(x.end, left))));
      }
      this.goTo(this.under(here));
    });
    handle.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      [this.pressed] = this.spot(event);
      handle.setPointerCapture(event.pointerId);
      this.goTo(this.under(this.spot(event)));
    });
    handle.addEventListener("pointerup", () => {
      if (this.pressed === null) return;
      this.pressed = null;
      this.choose();
    });
    handle.addEventListener("pointercancel", () => {
      [this.pressed, this.range] = [null, null];
      this.tell();
    });
    // A finger that is lifted leaves what it has pointed at to be read.
    handle.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && !this.isByKeys && this.pressed === null && this.leave());
    handle.addEventListener("dblclick", () => this.spec.isZoomed && this.spec.onZoom(null));
  }

  /** Where a pointer is, in px of the chart. */
  spot(event) {
    const box = this.place.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The stop under a place in the chart. */
  under([left, down]) {
    const { x, panes } = this.frame;
    const { stops } = this.spec;
    const found = nearest(stops, x.value(left));
    if (found < 0 || stops[found].y === undefined) return found;
    const y = panes[0].y.value(down);
    const column = stops.map((stop, index) => [stop, index]).filter(([stop]) => stop.x === stops[found].x);
    return column.reduce((best, one) => (Math.abs(one[0].y - y) < Math.abs(best[0].y - y) ? one : best))[1];
  }
}

/** Adds the cursor to a chart; gives a function that takes what the chart shows now. */
export function addCursor(place) {
  const cursor = new Cursor(place);
  return (spec, frame) => cursor.show(spec, frame);
}
