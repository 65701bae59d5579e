// Times on an axis: at which moments of the page's time zone it is named, and how.

import { fromWallClock, wallClock } from "./format.js";

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14].map((count) => count * DAY),
];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];
const MONTH = 30.4 * DAY;
/** With so many moments wanted there is one in any span. */
const MANY = 20;
/** 5 January 1970, a Monday: weeks are counted from here. */
const MONDAY = 4 * DAY;

/** Moments by the clock on the wall, as ms of a clock that is never changed. */
function* moments(from, to, most) {
  const least = (to - from) / Math.max(1, most);
  const step = STEPS.find((one) => one >= least);
  if (step !== undefined) {
    const first = step % (7 * DAY) === 0 ? MONDAY : 0;
    for (let at = first + Math.ceil((from - first) / step) * step; at <= to; at += step) yield { at, step };
    return;
  }
  const months = MONTHS.find((count) => count * MONTH >= least) ?? MONTHS.at(-1);
  const start = new Date(from);
  const index = start.getUTCFullYear() * 12 + start.getUTCMonth();
  for (let month = Math.ceil(index / months) * months; ; month += months) {
    const at = Date.UTC(Math.floor(month / 12), month % 12);
    if (at > to) return;
    if (at >= from) yield { at, step: months * MONTH };
  }
}

/** How a moment reads: the time with its date below, or the date with its year below. */
function namesOf(at, step) {
  const text = new Date(at).toISOString();
  if (step < MINUTE) return [text.slice(11, 19), text.slice(5, 10)];
  if (step < DAY) return [text.slice(11, 16), text.slice(5, 10)];
  return step < MONTH ? [text.slice(5, 10), text.slice(0, 4)] : [text.slice(0, 7), ""];
}

/**
 * The moments that an axis from `from` to `to` names, about `most` of them at most, and one at least where
 * that can be: `at` in ms since the Unix epoch, a label, and what stands below it.
 */
export function timeTicks(from, to, most) {
  const found = named(from, to, most);
  return found.length > 0 || most > MANY ? found : timeTicks(from, to, most + 1);
}

function named(from, to, most) {
  const found = [];
  let below = null;
  for (const { at: wall, step } of moments(wallClock(from), wallClock(to), most)) {
    const at = fromWallClock(wall);
    // An hour that the clock leaves out in spring is not a moment.
    if (at < from || at > to || at <= (found.at(-1)?.at ?? -Infinity) || wallClock(at) !== wall) continue;
    const [label, under] = namesOf(wall, step);
    found.push({ at, label, below: under === below ? "" : under });
    below = under;
  }
  return found;
}
