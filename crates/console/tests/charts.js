// What the scripts of the charts compute, checked in a browser by charts.rs: gives what is wrong.
(async (seed) => {
  const load = (name) => import(`/static/${name}`);
  const { placeLabels, digitsOf, scale, ticks, widthOf } = await load("chart-scale.js");
  const { nearest, pieces, stairs, thin } = await load("chart-points.js");
  const { timeTicks } = await load("chart-time.js");
  const { fromWallClock, wallClock, zone } = await load("format.js");
  const wrong = [];
  const same = (what, found, expected) => {
    if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
  };
  const holds = (what, isTrue) => isTrue || wrong.push(what);
  /** Mulberry32: the same numbers for the same seed. */
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  // --- numbers ------------------------------------------------------------------------------
  same("shares", ticks(0, 0.173, 6), { step: 0.05, values: [0, 0.05, 0.1, 0.15] });
  same("a few things", ticks(0, 5, 3, true), { step: 2, values: [0, 2, 4] });
  same("no fractions of things", ticks(0, 2, 6, true).step, 1);
  same("nothing", ticks(3, 3, 5), { step: 1, values: [3] });
  same("digits", [0.05, 0.25, 1, 2.5, 200].map(digitsOf), [2, 2, 0, 1, 0]);
  for (let round = 0; round < 500; round += 1) {
    const span = 10 ** (random() * 12 - 6);
    const from = random() < 0.5 ? 0 : (random() - 0.5) * span * 1_000;
    const to = from + span;
    const most = 2 + Math.floor(random() * 8);
    const isWhole = random() < 0.3;
    const { step, values } = ticks(from, to, most, isWhole);
    const name = `ticks(${from}, ${to}, ${most}, ${isWhole}) are ${values}`;
    holds(name, values.length <= most + 1 && values.every((value) => value >= from - step * 1e-6 && value <= to + step * 1e-6));
    holds(name, values.slice(1).every((value, index) => Math.abs(value - values[index] - step) < step * 1e-6));
    holds(name, !isWhole || values.every(Number.isInteger));
    holds(name, isWhole || values.length > 0);
  }
  const across = scale(10, 20, 100, 50);
  same("a scale", [across.place(10), across.place(20), across.value(75), across.holds(9)], [100, 50, 15, false]);

  // --- labels -------------------------------------------------------------------------------
  holds("Korean is wider", widthOf("가나", 10) === 20 && widthOf("ab", 10) < 20);
  for (let round = 0; round < 200; round += 1) {
    const labels = Array.from({ length: 1 + Math.floor(random() * 30) }, () => ({ at: random() * 300, width: 5 + random() * 60 })).sort((a, b) => a.at - b.at);
    const placed = placeLabels(labels, 0, 300, 4);
    holds(`labels stand out: ${JSON.stringify(placed)}`, placed.every(({ at, width }) => at - width / 2 >= -1e-9 && at + width / 2 <= 300 + 1e-9));
    holds(`labels touch: ${JSON.stringify(placed)}`, placed.slice(1).every((label, index) =>
      label.at - label.width / 2 >= placed[index].at + placed[index].width / 2 + 4 - 1e-9));
    holds("the first label is left out", placed.length > 0);
  }

  // --- points -------------------------------------------------------------------------------
  const at = (x, y) => ({ x, y });
  same("gaps", pieces([at(0, 1), at(1, 2), at(5, 3), at(6, null), at(7, 4), at(8, 5)], 2).map((piece) => piece.length), [2, 1, 2]);
  same("without a gap", pieces([at(0, 1), at(9, 2)]).length, 1);
  same("stairs", stairs([at(0, 1), at(1, 5)]).map(({ x, y }) => [x, y]), [[0, 1], [1, 1], [1, 5]]);
  for (let round = 0; round < 50; round += 1) {
    const [count, pixels] = [Math.floor(random() * 20_000) + 1, 1 + Math.floor(random() * 900)];
    let x = 0;
    const all = Array.from({ length: count }, () => at((x += random() * random()), random() < 0.001 ? 1e6 * random() : random()));
    const kept = thin(all, pixels);
    const name = `${count} points on ${pixels} px`;
    holds(`${name}: ${kept.length} are left`, kept.length <= Math.max(4 * pixels, Math.min(count, 4 * pixels)));
    holds(`${name}: order`, kept.every((point, index) => index === 0 || point.x >= kept[index - 1].x));
    holds(`${name}: ends`, kept[0] === all[0] && kept.at(-1) === all.at(-1));
    const columnOf = (point) => Math.min(pixels - 1, Math.floor(((point.x - all[0].x) / (all.at(-1).x - all[0].x || 1)) * pixels));
    const extremes = (points) => {
      const found = new Map();
      for (const point of points) {
        const [low, high] = found.get(columnOf(point)) ?? [Infinity, -Infinity];
        found.set(columnOf(point), [Math.min(low, point.y), Math.max(high, point.y)]);
      }
      return JSON.stringify([...found]);
    };
    holds(`${name}: another picture`, extremes(all) === extremes(kept));
    const wanted = random() * x;
    const distance = (point) => Math.abs(point.x - wanted);
    holds(`${name}: nearest`, distance(all[nearest(all, wanted)]) === Math.min(...all.map(distance)));
  }
  same("nearest of none", nearest([], 3), -1);

  // --- times --------------------------------------------------------------------------------
  const [HOUR, DAY] = [3_600_000, 86_400_000];
  for (let round = 0; round < 300; round += 1) {
    const from = Date.UTC(2014, 9, 21) + Math.floor(random() * 15 * 365 * DAY);
    const wall = wallClock(from);
    // In the hour that is there twice in autumn it may be the other one.
    const back = fromWallClock(wall);
    holds(`${zone}: ${from} by the clock and back`, wallClock(back) === wall && Math.abs(back - from) <= HOUR);
    const to = from + Math.floor(10 ** (3.5 + random() * 7.5));
    const most = 2 + Math.floor(random() * 10);
    const found = timeTicks(from, to, most);
    const name = `${zone}: ticks of ${new Date(from).toISOString()} + ${to - from} ms, at most ${most}`;
    holds(`${name}: ${found.length}`, found.length <= most + 2);
    holds(`${name}: outside`, found.every((tick) => tick.at >= from && tick.at <= to));
    holds(`${name}: order`, found.every((tick, index) => index === 0 || tick.at > found[index - 1].at));
    holds(`${name}: names`, found.every((tick) => {
      const shown = new Date(wallClock(tick.at)).toISOString();
      return [shown.slice(11, 19), shown.slice(11, 16), shown.slice(5, 10), shown.slice(0, 7)].includes(tick.label);
    }));
    holds(`${name}: the same twice`, new Set(found.map((tick) => `${tick.label} ${tick.at}`)).size === found.length);
    if (to - from >= 4 * HOUR && to - from < 3_000 * DAY) holds(`${name}: none`, found.length > 0);
  }

  // --- small charts -------------------------------------------------------------------------
  const { bars, curve, interval } = await load("spark.js");
  const shapes = (drawn) => [...drawn.children].map((one) => one.getAttribute("d") ?? [one.getAttribute("x"), one.getAttribute("height"), one.getAttribute("class")].join(" "));
  same("a curve", shapes(curve([0, null, 4], "CPU")), ["M0 47L300 3L300 48L0 48Z", "M0 47L300 3"]);
  same("a curve of nothing", [shapes(curve([0, 0], "")), shapes(curve([3], ""))], [[], []]);
  same("bars", shapes(bars([0, 1, 1_000], "errors")), ["0 0.5 ", "4 2 ", "8 24 filling"]);
  same("an interval", shapes(interval({ low: 0.1, value: 0.2, high: 0.3 }, [0, 0.4], "CTR")),
    ["M32 12H88M32 8V16M88 8V16", "M60 12h0"]);
  same("no interval", shapes(interval({ low: null, value: null, high: null }, [0, 1], "")), []);
  same("the name of a small chart", interval({ low: 0, value: 0, high: 0 }, [0, 1], "CTR 0%").getAttribute("aria-label"), "CTR 0%");
  const kept = curve([1, 2], "CPU");
  const line = kept.lastChild;
  same("what has not changed stays", curve([1, 2], "CPU", kept).lastChild === line, true);
  return wrong;
})
