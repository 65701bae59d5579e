// The first page of the dead-letter queue: figures, bulk actions, causes, the backlog.

import { formatCount, formatDuration, text } from "./format.js";
import { drawBacklog, redrawBacklog } from "./dlq-backlog.js";
import { editMany } from "./dlq-edit.js";
import { loadJobs } from "./dlq-jobs.js";
import { badge, current, move, showTime, start, startJob, startKeys } from "./dlq-shared.js";
import { byId, get, keyed, make, refresh, show, showProblem } from "./page.js";

const EVERY_MS = 3_000;
const BACKLOG_EVERY_MS = 20_000;
const OPEN = ["pending", "retrying", "exhausted"];
const SVG = "http://www.w3.org/2000/svg";

let range = "6h";
let summary = null;

function showTiles({ statuses, counts, resolved_today: resolved, oldest, at, waiting }) {
  const count = Object.fromEntries(statuses.map((name, index) => [name, counts[index]]));
  const open = OPEN.reduce((sum, name) => sum + count[name], 0);
  show(byId("open"), formatCount(open));
  show(byId("note-open"), text("dlq_note_closed", { count: formatCount(count.resolved + count.discarded) }));
  show(byId("exhausted"), formatCount(count.exhausted));
  byId("tile-exhausted").classList.toggle("warn", count.exhausted > 0);
  show(byId("note-exhausted"), text(count.exhausted ? "dlq_note_exhausted" : "dlq_note_nothing"));
  show(byId("moving"), `${formatCount(count.pending)} / ${formatCount(count.retrying)}`);
  show(byId("note-moving"), text("dlq_note_moving"));
  show(byId("resolved"), formatCount(resolved));
  show(byId("oldest"), oldest === null ? "–" : formatDuration(at - oldest));
  show(byId("note-oldest"), oldest === null ? text("dlq_note_nothing") : showTime(new Date(oldest).toISOString().slice(0, 19).replace("T", " ")));
  byId("waiting").hidden = !waiting;
  show(byId("waiting"), waiting ? text("dlq_waiting", { count: formatCount(waiting) }) : "");
  byId("calm").hidden = open > 0 || waiting > 0;
}

// --- causes ---------------------------------------------------------------------------------

function build() {
  const spark = document.createElementNS(SVG, "svg");
  spark.setAttribute("class", "bars");
  spark.setAttribute("viewBox", "0 0 96 24");
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("role", "img");
  const button = (name, key) => make("button", { type: "button", class: name }, text(key));
  return make("li", { class: "group panel", tabIndex: -1 },
    make("div", { class: "group-what" },
      make("p", { class: "group-kind" }, make("b", { class: "type" }), " ", make("code", { class: "field" }), " ", make("span", { class: "stage hint" })),
      make("p", { class: "text" }), make("p", { class: "hint sample" })),
    make("div", { class: "group-counts" }),
    make("div", { class: "group-time" }, spark, make("p", { class: "hint seen" })),
    make("div", { class: "buttons" },
      make("a", { class: "button open-list" }, text("dlq_show_errors")),
      button("do-retry", "dlq_retry_all"), button("do-edit", "dlq_edit_all"), button("do-discard", "dlq_discard_all")));
}

function drawBars(spark, hours) {
  const values = hours ?? [];
  const key = values.join();
  if (spark.dataset.shown === key) return;
  spark.dataset.shown = key;
  const most = Math.max(1, ...values);
  spark.replaceChildren(...values.map((value, index) => {
    const bar = document.createElementNS(SVG, "rect");
    // An hour with one error must be seen beside one with a thousand.
    const height = value === 0 ? 0.5 : Math.max(2, (value / most) * 24);
    for (const [name, set] of Object.entries({ x: index * 4, y: 24 - height, width: 3, height })) bar.setAttribute(name, set);
    return bar;
  }));
  const sum = values.reduce((total, value) => total + value, 0);
  spark.setAttribute("aria-label", text("dlq_new_in_24h", { count: formatCount(sum) }));
}

function update(element, group) {
  const part = (name) => element.querySelector(name);
  show(part(".type"), group.error_type);
  show(part(".field"), group.field ?? "");
  show(part(".stage"), group.stage);
  show(part(".text"), group.message);
  const isSame = group.message === group.sample_message;
  show(part(".sample"), isSame ? "" : text("dlq_for_example", { message: group.sample_message }));
  const key = group.counts.join();
  const counts = part(".group-counts");
  if (counts.dataset.shown !== key) {
    counts.dataset.shown = key;
    counts.replaceChildren(...summary.statuses.map((status, index) => [status, group.counts[index]])
      .filter(([, count]) => count > 0)
      .map(([status, count]) => make("span", { class: "count" }, badge(status), " ", make("b", { class: "number" }, formatCount(count)))));
  }
  drawBars(part(".bars"), group.hours);
  const sum = (group.hours ?? []).reduce((total, value) => total + value, 0);
  show(part(".seen"), `${text("dlq_new_in_24h", { count: formatCount(sum) })}\n${text("dlq_seen", {
    first: showTime(group.first_seen_at), last: showTime(group.last_seen_at) })}`);
  part(".open-list").href = `/dlq/errors?group=${group.fingerprint}`;
  const actionable = group.counts[0] + group.counts[2];
  for (const name of [".do-retry", ".do-edit", ".do-discard"]) part(name).disabled = actionable === 0;
  part(".do-retry").onclick = () => job("retry", group);
  part(".do-discard").onclick = () => job("discard", group);
  part(".do-edit").onclick = () => edit(group);
  element.setAttribute("aria-label", `${group.error_type} ${group.field ?? ""}: ${group.message}`);
}

const nameOf = (group) => `${group.error_type} · ${group.message}`;
const job = async (kind, group) =>
  (await startJob(kind, { group: [group.fingerprint] }, nameOf(group))) && reload();
const edit = async (group) =>
  (await editMany({
    target: { filter: { group: [group.fingerprint] } }, title: nameOf(group), field: group.field, canary: summary.canary,
  })) && reload();

const isOpen = (group) => group.counts[0] + group.counts[1] + group.counts[2] > 0;

function showGroups() {
  const shown = summary.groups.filter((group) => byId("closed-too").checked || isOpen(group));
  show(byId("groups-count"), text("dlq_groups_count", {
    open: formatCount(summary.groups.filter(isOpen).length), all: formatCount(summary.group_count),
  }));
  keyed(byId("groups"), shown, (group) => group.fingerprint, build, update);
  // One of them can be reached by Tab; the others by j and k.
  const items = [...byId("groups").children];
  if (!items.some((item) => item.tabIndex === 0) && items[0]) items[0].tabIndex = 0;
}

const reload = refresh(async (isNewest) => {
  const answer = await get("/api/dlq/summary");
  if (!isNewest()) return false;
  summary = answer;
  showTiles(summary);
  showGroups();
  return loadJobs(isNewest, () => reload());
}, EVERY_MS, "dlq_load_failed");

byId("closed-too").addEventListener("change", () => summary && showGroups());

// --- the backlog ----------------------------------------------------------------------------

let backlogRequest = 0;
async function loadBacklog() {
  backlogRequest += 1;
  const mine = backlogRequest;
  try {
    const report = await get(`/api/dlq/backlog?range=${range}`);
    if (mine !== backlogRequest) return;
    await drawBacklog(report, range);
    showProblem("backlog", "");
  } catch (error) {
    if (!(error instanceof TypeError)) showProblem("backlog", text("charts_failed"));
  }
}

function selectRange(name) {
  range = name;
  for (const link of document.querySelectorAll(".ranges a")) {
    if (link.dataset.range === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  loadBacklog();
}

function rangeOfAddress() {
  const named = new URLSearchParams(location.search).get("range");
  return document.querySelector(`.ranges [data-range="${CSS.escape(named ?? "")}"]`) ? named : "6h";
}

document.querySelector(".ranges").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", `?range=${link.dataset.range}`);
  selectRange(link.dataset.range);
});
addEventListener("popstate", () => selectRange(rangeOfAddress()));
selectRange(rangeOfAddress());
setInterval(() => !document.hidden && loadBacklog(), BACKLOG_EVERY_MS);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawBacklog().catch(() => {}));

// --- keys -----------------------------------------------------------------------------------

const press = (name) => () => current(byId("groups"))?.querySelector(name)?.click();
start();
startKeys([
  ["j ArrowDown", "dlq_key_next", () => move(byId("groups"), 1)],
  ["k ArrowUp", "dlq_key_previous", () => move(byId("groups"), -1)],
  ["Enter", "dlq_show_errors", press(".open-list")],
  ["r", "dlq_retry_all", press(".do-retry")],
  ["e", "dlq_edit_all", press(".do-edit")],
  ["d", "dlq_discard_all", press(".do-discard")],
  ["/", "dlq_key_search", () => { location.href = "/dlq/errors#search"; }],
]);
