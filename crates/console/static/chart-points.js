// Points before they are drawn: cut at gaps, thinned out to what a screen can show, found again.

/** Cuts points, which are in order of x, where one has no value and where two are more than `gap` apart. */
export function pieces(points, gap = Infinity) {
  const found = [];
  let last = null;
  for (const point of points) {
    const isThere = point.y !== null && point.y !== undefined;
    if (isThere) {
      if (last !== null && point.x - last.x <= gap) found.at(-1).push(point);
      else found.push([point]);
    }
    last = isThere ? point : null;
  }
  return found;
}

/**
 * Thins points out to four a pixel: the first, the lowest, the highest and the last of each. A line
 * through them covers the same pixels as one through all.
 */
export function thin(points, pixels) {
  if (points.length <= 4 * pixels) return points;
  const [from, to] = [points[0].x, points.at(-1).x];
  const columnOf = (point) => Math.min(pixels - 1, Math.floor(((point.x - from) / (to - from || 1)) * pixels));
  const kept = [];
  for (let first = 0, end; first < points.length; first = end) {
    const column = columnOf(points[first]);
    let [low, high] = [first, first];
    for (end = first + 1; end < points.length && columnOf(points[end]) === column; end += 1) {
      if (points[end].y < points[low].y) low = end;
      if (points[end].y > points[high].y) high = end;
    }
    for (const index of new Set([first, Math.min(low, high), Math.max(low, high), end - 1])) kept.push(points[index]);
  }
  return kept;
}

/** Points of a value that holds until the next one: a staircase. */
export function stairs(points) {
  return points.flatMap((point, index) => (index ? [{ ...point, y: points[index - 1].y }, point] : [point]));
}

/** The index of what lies nearest to `x`, of things in order of their `x`; -1 of none. */
export function nearest(stops, x) {
  let [low, high] = [0, stops.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stops[middle].x < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - stops[low - 1].x < stops[low].x - x ? low - 1 : Math.min(low, stops.length - 1);
}
