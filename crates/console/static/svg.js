// Elements of SVG, and paths through points. Colours are not set here: classes do that, so that light
// and dark need no second drawing.

const SVG = "http://www.w3.org/2000/svg";

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A length to a tenth of a px. */
export const px = (length) => Math.round(length * 10) / 10;

/** The path along points that are [x, y] on the screen. */
export const along = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${px(x)} ${px(y)}`).join("");

/** The path around what lies between two lines of points. */
export const between = (upper, lower) => `${along(upper)}${along([...lower].reverse()).replace("M", "L")}Z`;

/** The path around rectangles, each [left, top, right, bottom]. */
export const boxes = (sides) => sides.map(([left, top, right, bottom]) =>
  `M${px(left)} ${px(bottom)}V${px(top)}H${px(right)}V${px(bottom)}Z`).join("");
