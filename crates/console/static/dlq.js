// The first page of the dead-letter queue: figures, bulk actions, causes, the backlog.

import { formatCount, formatDuration, text } from "./format.js";
import { drawBacklog, forgetBacklogZoom } from "./dlq-backlog.js";
import { editMany } from "./dlq-edit.js";
import { loadJobs } from "./dlq-jobs.js";
import { current, move, showTime, stageName, start, startJob, startKeys } from "./dlq-shared.js";
import { inWords } from "./messages.js";
import { byId, get, keyed, make, refresh, show, showProblem } from "./page.js";
import { bars } from "./spark.js";

const EVERY_MS = 3_000;
const BACKLOG_EVERY_MS = 20_000;
const OPEN = ["pending", "retrying", "exhausted"];

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
  show(byId("note-moving"), text(count.pending + count.retrying ? "dlq_note_moving" : "dlq_note_nothing"));
  show(byId("resolved"), formatCount(resolved));
  show(byId("oldest"), oldest === null ? "–" : formatDuration(at - oldest));
  show(byId("note-oldest"), oldest === null ? text("dlq_note_nothing") : showTime(new Date(oldest).toISOString().slice(0, 19).replace("T", " ")));
  byId("waiting").hidden = !waiting;
  show(byId("waiting"), waiting ? text("dlq_waiting", { count: formatCount(waiting) }) : "");
  byId("calm").hidden = open > 0 || waiting > 0;
}

// --- causes ---------------------------------------------------------------------------------

function build() {
  const button = (name, key) => make("button", { type: "button", class: name }, text(key));
  return make("tr", { class: "group", tabIndex: -1 },
    make("td", { class: "group-what" },
      make("p", { class: "group-kind" }, make("b", { class: "type" }), " ", make("code", { class: "field" }), " ", make("span", { class: "stage hint" })),
      make("a", { class: "text open-list" })),
    make("td", { class: "group-counts figure" }, make("b", { class: "number open-count" }), make("span", { class: "hint by-status" })),
    make("td", { class: "group-time" }, bars([], ""), make("span", { class: "hint new" })),
    make("td", { class: "hint seen" }, make("span", { class: "first" }), make("span", { class: "last" })),
    make("td", { class: "group-acts" },
      make("div", { class: "buttons" }, button("do-retry", "dlq_retry_all"), button("do-edit", "dlq_edit_all"), button("do-discard", "dlq_discard_all"))));
}

const openOf = (group) => group.counts[0] + group.counts[1] + group.counts[2];

function update(element, group) {
  const part = (name) => element.querySelector(name);
  show(part(".type"), group.error_type);
  show(part(".field"), group.field ?? "");
  show(part(".stage"), text("dlq_found_by", { stage: stageName(group.stage) }));
  show(part(".text"), inWords(group.message));
  part(".text").title = group.message === group.sample_message ? group.message : text("dlq_for_example", { message: inWords(group.sample_message) });
  part(".open-list").href = `/dlq/errors?group=${group.fingerprint}`;
  show(part(".open-count"), formatCount(openOf(group)));
  show(part(".by-status"), summary.statuses.map((status, index) => [status, group.counts[index]])
    .filter(([, count]) => count > 0)
    .map(([status, count]) => `${text(`dlq_status_${status}`)} ${formatCount(count)}`).join(" · "));
  const sum = (group.hours ?? []).reduce((total, value) => total + value, 0);
  bars(group.hours ?? [], text("dlq_new_in_24h", { count: formatCount(sum) }), part(".bars"));
  show(part(".new"), text("dlq_new_count", { count: formatCount(sum) }));
  show(part(".first"), showTime(group.first_seen_at));
  show(part(".last"), showTime(group.last_seen_at));
  const actionable = group.counts[0] + group.counts[2];
  for (const name of [".do-retry", ".do-edit", ".do-discard"]) part(name).disabled = actionable === 0;
  part(".do-retry").onclick = () => job("retry", group);
  part(".do-discard").onclick = () => job("discard", group);
  part(".do-edit").onclick = () => edit(group);
  element.setAttribute("aria-label", `${group.error_type} ${group.field ?? ""}: ${group.message}`);
}

const nameOf = (group) => `${group.error_type} · ${inWords(group.message)}`;
const job = async (kind, group) =>
  (await startJob(kind, { group: [group.fingerprint] }, nameOf(group))) && reload();
const edit = async (group) =>
  (await editMany({
    target: { filter: { group: [group.fingerprint] } }, title: nameOf(group), field: group.field, canary: summary.canary,
  })) && reload();

// --- pages of causes ------------------------------------------------------------------------

/** The causes on the screen. They keep their places until someone asks for another order. */
let kept = null;

const address = () => new URLSearchParams(location.search);
const pageOfAddress = () => Math.max(1, Number.parseInt(address().get("page"), 10) || 1);
const closedToo = () => address().get("closed") === "true";

function summaryPath() {
  const params = new URLSearchParams({ page: pageOfAddress(), closed: closedToo() });
  if (kept?.length) params.set("keep", kept.join(","));
  return `/api/dlq/summary?${params}`;
}

/** Goes to other causes; the address says which. */
function goTo(changes) {
  const params = address();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) params.delete(name);
    else params.set(name, value);
  }
  history.pushState(null, "", params.size ? `?${params}` : location.pathname);
  kept = null;
  reload();
}

function showGroups() {
  const { groups, page, pages, listed, in_order: inOrder } = summary;
  show(byId("groups-count"), text("dlq_groups_count", {
    open: formatCount(summary.open_group_count), all: formatCount(summary.group_count),
  }));
  byId("closed-too").checked = closedToo();
  byId("sort-again").disabled = inOrder;
  const isTurned = kept === null;
  if (isTurned) byId("groups").replaceChildren();
  kept = groups.map((group) => group.fingerprint);
  keyed(byId("groups"), groups, (group) => group.fingerprint, build, update);
  byId("causes").hidden = groups.length === 0;
  byId("cause-pages").hidden = pages < 2;
  show(byId("cause-page"), text("dlq_page_of", { page: formatCount(page), pages: formatCount(pages), count: formatCount(listed) }));
  byId("causes-before").disabled = page <= 1;
  byId("causes-after").disabled = page >= pages;
  // One of them can be reached by Tab; the others by j and k.
  const items = [...byId("groups").children];
  if (!items.some((item) => item.tabIndex === 0) && items[0]) items[0].tabIndex = 0;
}

const reload = refresh(async (isNewest) => {
  const answer = await get(summaryPath());
  if (!isNewest()) return false;
  summary = answer;
  showTiles(summary);
  showGroups();
  return loadJobs(isNewest, () => reload());
}, EVERY_MS, "dlq_load_failed");

byId("closed-too").addEventListener("change", (event) => goTo({ closed: event.target.checked ? "true" : null, page: null }));
byId("causes-before").addEventListener("click", () => goTo({ page: summary.page > 2 ? summary.page - 1 : null }));
byId("causes-after").addEventListener("click", () => goTo({ page: summary.page + 1 }));
byId("sort-again").addEventListener("click", () => {
  kept = null;
  reload();
});

// --- the backlog ----------------------------------------------------------------------------

let backlogRequest = 0;
async function loadBacklog() {
  backlogRequest += 1;
  const mine = backlogRequest;
  let report;
  try {
    report = await get(`/api/dlq/backlog?range=${range}`);
  } catch (error) {
    // A console that is gone is already shown in the status line.
    if (!(error instanceof TypeError)) showProblem("backlog", text("charts_failed", { reason: error.message }));
    return;
  }
  if (mine !== backlogRequest) return;
  showProblem("backlog", "");
  drawBacklog(report, address().has("range"));
}

function selectRange(name) {
  range = name;
  forgetBacklogZoom();
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
  const params = address();
  params.set("range", link.dataset.range);
  history.pushState(null, "", `?${params}`);
  selectRange(link.dataset.range);
});
addEventListener("popstate", () => {
  kept = null;
  reload();
  selectRange(rangeOfAddress());
});
selectRange(rangeOfAddress());
setInterval(() => !document.hidden && loadBacklog(), BACKLOG_EVERY_MS);

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
