// Numbers on an axis: where a value is, which round values are named, which names fit. Nothing here
// knows the page.

/** Between the values from `from` to `to` and the places from `start` to `end` on the screen. */
export function scale(from, to, start, end) {
  const perValue = (end - start) / (to - from || 1);
  return {
    from, to, start, end,
    place: (value) => start + (value - from) * perValue,
    value: (place) => from + (place - start) / perValue,
    holds: (value) => value >= from && value <= to,
  };
}

const ROUND = [1, 2, 2.5, 5, 10];

/**
 * Round values from `from` to `to`, about `most` of them at most, and the step between them. With
 * `isWhole` no value has a fraction, as of things that are counted.
 */
export function ticks(from, to, most, isWhole = false) {
  const least = (to - from) / Math.max(1, most);
  if (!(least > 0)) return { step: 1, values: [from] };
  const power = 10 ** Math.floor(Math.log10(least));
  const fits = (step) => step >= least * (1 - 1e-9) && (!isWhole || Number.isInteger(step));
  const step = ROUND.map((factor) => factor * power).find(fits) ?? 1;
  const values = [];
  for (let index = Math.ceil(from / step - 1e-9); index * step <= to + step * 1e-9; index += 1) {
    values.push(Number((index * step).toPrecision(12)));
  }
  return { step, values };
}

/** How many decimal places it takes to tell values of this step apart. */
export function digitsOf(step) {
  for (let digits = 0; digits < 12; digits += 1) {
    const shifted = step * 10 ** digits;
    if (Math.abs(shifted - Math.round(shifted)) < 1e-6) return digits;
  }
  return 12;
}

const WIDE = /[%MW@\u2e80-\uffff]/u;

/** About how wide a text is, in px, and never less: Korean letters are as wide as they are high. */
export function widthOf(text, size) {
  let width = 0;
  for (const letter of text) width += WIDE.test(letter) ? 1 : 0.65;
  return width * size;
}

/**
 * Puts labels, each with the middle `at` and a `width`, between two ends: one that would stand out
 * is moved in, and one that would touch the label before it is left out.
 */
export function placeLabels(labels, start, end, gap) {
  const placed = [];
  for (const label of labels) {
    const half = label.width / 2;
    const at = Math.max(start + half, Math.min(end - half, label.at));
    const last = placed.at(-1);
    if (!last || at - half - gap >= last.at + last.width / 2) placed.push({ ...label, at });
  }
  return placed;
}
