// What the panels of charts have in common: the table with the same figures, the place where there is
// nothing to draw, how values read on an axis.

import { digitsOf } from "./chart-scale.js";
import { text } from "./format.js";
import { byId, changed, make } from "./page.js";

const language = document.documentElement.lang;
const compact = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 3 });

/** A share on an axis, with as many digits as its step needs. */
export function axisShare(share, step) {
  const digits = digitsOf(step * 100);
  return new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
}

/** A count on an axis, in thousands or millions where it is long. */
export const axisCount = (count) => compact.format(count);

/** The axis of what is counted, for up to `most`: of few it would be counted in fractions. */
export const countAxis = (most) => ({ from: 0, to: Math.max(5, most), isWhole: true, format: axisCount });

/** The axis of a share, for up to `most`. */
export const shareAxis = (most) => ({ from: 0, to: most > 0 ? most : 1, format: axisShare });

/** A time with what is to be said about it while it is not over. */
export const soFar = (shown, isFilling) => (isFilling ? `${shown} (${text("so_far")})` : shown);

/** Shows a panel's chart and table, or that there is nothing. */
export function showPanel(id, isEmpty) {
  const panel = byId(`panel-${id}`);
  panel.querySelector(".chart").hidden = isEmpty;
  panel.querySelector(".empty").hidden = !isEmpty;
  panel.querySelector("details").hidden = isEmpty;
}

/** Fills a panel's table with texts. */
export function fillTable(id, head, rows) {
  const table = byId(`table-${id}`);
  changed(table, [head, rows], () => table.replaceChildren(
    make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name))),
    ...rows.map((cells) => make("tr", {}, ...cells.map((shown) => make("td", {}, shown))))));
}
