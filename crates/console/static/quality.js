// The page "Data quality": tests with their history and failing rows, freshness of the sources.

import { NONE, formatCount, formatDuration, formatExactTime, formatTime, text } from "./format.js";
import { byId, changed, get, keepAddress, make, refresh, show } from "./page.js";

const EVERY_MS = 10_000;
const DAY_MS = 86_400_000;
const BAD = ["fail", "error"];

// --- sources --------------------------------------------------------------------------------

const days = (ms) => text("quality_days", { count: formatCount(ms / DAY_MS) });
const age = (ms) => (ms < 3 * DAY_MS ? formatDuration(ms) : days(ms));

function showSources(sources, at) {
  const cell = (label, shown) => make("td", { data: { label: text(label) } }, shown);
  const rows = sources.map((source) => {
    const judged = source.judged === "committed" ? source.newest_commit : source.newest_event;
    const expected = source.error_after === null
      ? text("quality_expect_warn", { warn: days(source.warn_after) })
      : text("quality_expect_error", { warn: days(source.warn_after), error: days(source.error_after) });
    return make("tr", {},
      make("td", { class: "name" }, source.table),
      make("td", {}, make("span", { class: "badge", data: { status: source.state } }, text(`quality_source_${source.state}`))),
      cell("quality_newest_event", formatTime(source.newest_event)),
      cell("quality_newest_commit", formatExactTime(source.newest_commit)),
      cell("quality_age", judged === null ? NONE : age(Math.max(0, at - judged))),
      make("td", { data: { label: text("quality_expected") } }, `${expected} `,
        make("span", { class: "by" }, text(`quality_by_${source.judged}`))));
  });
  byId("sources").replaceChildren(...rows);
}

// --- tests ----------------------------------------------------------------------------------

const newest = (test) => test.runs[test.runs.length - 1];
const statusName = (status) => text(`quality_status_${status}`);
/** `model.adpipe.mart_daily_ctr` without what every id has. */
const shortName = (id) => id.split(".").slice(2).join(".");

const runText = (run) => text(run.failures ? "quality_run_rows" : "quality_run", {
  time: formatTime(run.at), status: statusName(run.status), count: formatCount(run.failures),
});

function historyText(runs) {
  const isSame = runs.every((run) => run.status === runs[0].status);
  return isSame
    ? text("quality_history_same", { count: formatCount(runs.length), status: statusName(runs[0].status) })
    : text("quality_history", { count: formatCount(runs.length), runs: runs.map(runText).join("; ") });
}

function build(test) {
  const details = make("details", {},
    make("summary", {},
      make("span", { class: "state" }, make("span", { class: "badge" })),
      make("span", { class: "name" }, test.name, make("span", { class: "beside" })),
      make("span", { class: "open" }),
      make("span", { class: "marks", role: "img" })),
    make("div", { class: "body" }, make("p", { class: "hint ran" }), make("p", { class: "said" }), make("div", { class: "rows" })));
  const item = make("li", { data: { id: test.id } }, details);
  details.addEventListener("toggle", () => {
    if (details.open) loadRows(item);
    keepOpen();
  });
  return item;
}

function update(item, test) {
  const part = (name) => item.querySelector(name);
  const run = newest(test);
  const badge = part(".badge");
  badge.dataset.status = run.status;
  show(badge, statusName(run.status));
  const beside = [
    test.attached ? `${shortName(test.attached)}${test.column ? `.${test.column}` : ""}` : null,
    test.kind === "unit_test" ? text("quality_kind_unit") : null,
    test.severity === "warn" ? text("quality_only_warns") : null,
  ];
  show(part(".beside"), beside.filter(Boolean).join(" · "));
  show(part(".open"), test.open_rows ? text("quality_open", { count: formatCount(test.open_rows) }) : "");
  show(part(".ran"), text("quality_ran", {
    time: formatExactTime(run.at), engine: text(`quality_engine_${test.engine}`), took: formatDuration(run.seconds === null ? null : run.seconds * 1_000),
  }));
  show(part(".said"), test.message ?? "");
  const marks = part(".marks");
  changed(marks, test.runs, () => {
    marks.setAttribute("aria-label", historyText(test.runs));
    marks.replaceChildren(...test.runs.map((one) => make("i", { title: runText(one), data: { status: one.status } })));
  });
  // Rows can only have changed by another run.
  if (item.dataset.ran !== String(run.at)) {
    item.dataset.ran = String(run.at);
    if (part("details").open) loadRows(item);
  }
}

// --- the address ----------------------------------------------------------------------------

/** Tests that the address opens and that are not on the page yet. */
let asked = new URLSearchParams(location.search).getAll("test");

/** The address names the tests that are open: it can be sent to someone. */
function keepOpen() {
  const params = new URLSearchParams(location.search);
  params.delete("test");
  for (const item of document.querySelectorAll("#tests details[open]")) params.append("test", item.closest("li").dataset.id);
  history.replaceState(null, "", params.size ? `?${params}` : location.pathname);
}

function openAsked() {
  const [first] = asked;
  const items = asked.map((id) => [id, byId("tests").querySelector(`[data-id="${CSS.escape(id)}"]`)]);
  const missing = items.filter(([, item]) => item === null).map(([id]) => id);
  byId("no-test").hidden = missing.length === 0;
  show(byId("no-test"), missing.length ? text("quality_no_test", { test: missing.join(", ") }) : "");
  asked = [];
  for (const [id, item] of items.filter(([, item]) => item !== null)) {
    item.querySelector("details").open = true;
    if (id === first) item.scrollIntoView({ block: "start" });
  }
}

/** Keeps the element of each test, so that what is open stays open and the focus where it is. */
function showTests(tests) {
  const list = byId("tests");
  const known = new Map([...list.children].map((item) => [item.dataset.id, item]));
  const hasFocus = list.contains(document.activeElement);
  tests.forEach((test, index) => {
    const item = known.get(test.id) ?? build(test);
    known.delete(test.id);
    update(item, test);
    // Moving an element takes its focus away, so the order waits.
    if (!item.isConnected || (!hasFocus && list.children[index] !== item)) list.insertBefore(item, list.children[index] ?? null);
  });
  for (const gone of known.values()) gone.remove();
}

/** A row as its columns; one that is not an object as it is. */
function cells(json) {
  let row;
  try {
    row = JSON.parse(json);
  } catch {
    row = null;
  }
  if (row === null || typeof row !== "object" || Array.isArray(row)) return [json];
  return Object.entries(row).map(([name, value]) =>
    make("span", {}, make("b", {}, `${name} `), typeof value === "string" ? value : JSON.stringify(value)));
}

async function loadRows(item) {
  const place = item.querySelector(".rows");
  if (!place.hasChildNodes()) place.replaceChildren(make("p", { class: "hint" }, text("quality_loading")));
  let found;
  try {
    found = await get(`/api/quality/failures?test=${encodeURIComponent(item.dataset.id)}`);
  } catch (error) {
    delete place.dataset.shown;
    place.replaceChildren(make("p", { class: "banner" }, text("quality_rows_failed", { reason: error.message })));
    return;
  }
  changed(place, found, () => place.replaceChildren(...rowsTable(found)));
}

function rowsTable({ rows, is_complete: isComplete }) {
  if (rows.length === 0) return [make("p", { class: "hint" }, text("quality_no_rows"))];
  const columns = ["quality_row", "quality_first_seen", "quality_last_seen", "quality_resolved"];
  const cell = (label, shown) => make("td", { data: { label: text(label) } }, shown);
  const body = rows.map((failure) => make("tr", { data: failure.resolved_at === null ? {} : { resolved: "" } },
    make("td", { class: "cells" }, ...cells(failure.row)),
    cell("quality_first_seen", formatExactTime(failure.first_seen)),
    cell("quality_last_seen", formatExactTime(failure.last_seen)),
    cell("quality_resolved", failure.resolved_at === null ? text("quality_still") : formatExactTime(failure.resolved_at))));
  const table = make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map((key) => make("th", { scope: "col" }, text(key))))),
    make("tbody", {}, ...body));
  const scroll = make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": text("quality_rows") }, table);
  return isComplete ? [scroll] : [scroll, make("p", { class: "hint" }, text("quality_more_rows"))];
}

// --- the page -------------------------------------------------------------------------------

let quality = null;

function showTiles(tests) {
  const count = (...names) => tests.filter((test) => names.includes(newest(test).status)).length;
  const sum = (name) => tests.reduce((total, test) => total + test[name], 0);
  const note = (id, key, value) => show(byId(`note-${id}`), value ? text(key, { count: formatCount(value) }) : "");
  show(byId("passing"), formatCount(count("pass")));
  note("passing", "quality_note_tests", tests.length);
  show(byId("warning"), formatCount(count("warn")));
  note("warning", "quality_note_skipped", count("skipped"));
  show(byId("failing"), formatCount(count(...BAD)));
  note("failing", "quality_note_errors", count("error"));
  byId("tile-failing").classList.toggle("warn", count(...BAD) > 0);
  show(byId("rows"), formatCount(sum("open_rows")));
  note("rows", "quality_note_resolved", sum("all_rows") - sum("open_rows"));
  byId("tile-rows").classList.toggle("warn", sum("open_rows") > 0);
}

function draw() {
  if (quality === null) return;
  const { tests, freshness, at } = quality;
  showSources(freshness, at);
  const isEmpty = tests.length === 0;
  byId("none").hidden = !isEmpty;
  for (const id of ["tiles", "tests-panel"]) byId(id).hidden = isEmpty;
  show(byId("last-run"), isEmpty ? "" : text("quality_last_run", { time: formatExactTime(Math.max(...tests.map((test) => newest(test).at))) }));
  if (isEmpty) return;
  showTiles(tests);
  const shown = byId("only-bad").checked ? tests.filter((test) => newest(test).status !== "pass") : tests;
  byId("all-pass").hidden = shown.length > 0;
  show(byId("shown"), text("quality_shown", { count: formatCount(shown.length), all: formatCount(tests.length) }));
  showTests(shown);
  if (asked.length) openAsked();
}

refresh(async (isNewest) => {
  const found = await get("/api/quality");
  if (!isNewest()) return;
  quality = found;
  draw();
}, EVERY_MS, "quality_failed_load");
byId("only-bad").addEventListener("change", draw);
keepAddress();
