// What the data tests distrust of the figures in the charts: which tests fail, on which table, and
// for which times.

import { formatCount, text } from "./format.js";
import { byId, changed, get, make } from "./page.js";

const EVERY_MS = 60_000;
const [MINUTE, HOUR] = [60_000, 3_600_000];
const BAD = ["fail", "error"];

/** Tests that stand next to no table, and the table that they doubt. */
const DOUBTS = {
  minutes_match_hours: "realtime.metrics",
  minutes_match_days: "realtime.metrics",
  no_missing_hours: "realtime.metrics_hourly",
};

/** The table of a test, when the charts are made of it. */
function tableOf({ name, attached }) {
  if (DOUBTS[name]) return DOUBTS[name];
  const found = /\.(?:realtime\.|stg_)(metrics(?:_hourly)?)$/.exec(attached ?? "");
  return found && `realtime.${found[1]}`;
}

/** From when to when a failing row is about; null when it has no time. */
function timesOf(json, table) {
  let row;
  try {
    row = JSON.parse(json);
  } catch {
    return null;
  }
  const times = Object.values(row ?? {}).filter((value) => typeof value === "string" && /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d/.test(value))
    .map((value) => Date.parse(`${value.slice(0, 19).replace(" ", "T")}Z`)).filter((at) => !Number.isNaN(at));
  if (times.length === 0) return null;
  const from = Math.min(...times);
  return [from, Math.max(Math.max(...times), from + (table === "realtime.metrics" ? MINUTE : HOUR))];
}

async function spansOf(test) {
  const { rows } = await get(`/api/quality/failures?test=${encodeURIComponent(test.id)}`);
  return rows.filter((row) => row.resolved_at === null).map((row) => timesOf(row.row, test.table)).filter(Boolean);
}

/** Looks now and again; calls `show` with the spans of time that are in doubt. */
export function startTrust(show) {
  async function look() {
    try {
      const { tests } = await get("/api/quality");
      const doubted = tests.filter((test) => BAD.includes(test.runs.at(-1)?.status))
        .map((test) => ({ ...test, table: tableOf(test) })).filter((test) => test.table);
      const lines = doubted.map((test) => [test.table, test.name, test.id, test.open_rows]);
      changed(byId("distrust"), lines, () => byId("distrust-tests").replaceChildren(...lines.map(([table, name, id, rows]) =>
        make("li", {}, `${table}: `, make("a", { href: `/quality?test=${encodeURIComponent(id)}` }, name),
          rows ? ` (${text("distrust_rows", { count: formatCount(rows) })})` : ""))));
      byId("distrust").hidden = doubted.length === 0;
      show((await Promise.all(doubted.map(spansOf))).flat());
    } catch {
      // The page itself says that the console or the warehouse is gone.
      show(null);
    }
  }
  setInterval(() => !document.hidden && look(), EVERY_MS);
  return look();
}
