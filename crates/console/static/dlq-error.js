// One error: what is wrong with it, what was done about it, and what can be done.

import { NONE, formatDuration, text } from "./format.js";
import { editor } from "./dlq-edit.js";
import { changesTable, showPayload, textOf } from "./dlq-payload.js";
import { ask, badge, isNotRetried, rebuildMarts, showTime, stageName, start, startKeys } from "./dlq-shared.js";
import { inWords } from "./messages.js";
import { act, byId, get, make, post, refresh, show, toast } from "./page.js";

const EVERY_MS = 3_000;
const id = byId("error-id").dataset.id;
const path = `/api/dlq/errors/${encodeURIComponent(id)}`;
const BUTTONS = { retry: "do-retry", edit: "do-edit", undo_edit: "do-undo-edit", discard: "do-discard", undo_discard: "do-undo" };

let shown = "";
let detail = null;
let tool = null;

// --- what there is --------------------------------------------------------------------------

function verdictLine({ is_valid: isValid, message }) {
  return isValid ? text("dlq_would_be_counted") : text("dlq_would_fail", { reason: inWords(message) });
}

function facts(error) {
  const group = make("a", { href: `/dlq/errors?group=${error.fingerprint}` }, error.fingerprint);
  return [
    ["place", `${error.topic} / ${error.partition} / ${error.offset}`],
    ["dlq_stage", stageName(error.stage)],
    ["dlq_group", group],
    ["dlq_tries", triesOf(error)],
    ["dlq_next_try", error.next_retry_at && showTime(error.next_retry_at)],
    ["dlq_first_failed", showTime(error.first_failed_at)],
    ["dlq_last_failed", showTime(error.last_failed_at)],
    ["dlq_closed_at", error.resolved_at && `${showTime(error.resolved_at)} · ${resolution(error)}`],
    ["dlq_format", detail.format],
    ["dlq_record_key", detail.key && textOf(detail.key)],
  ].filter(([, value]) => value);
}

function resolution({ status, resolution: how }) {
  return status === "resolved" ? text(`dlq_outcome_${how}`) : text("dlq_because", { reason: how });
}

const triesOf = (error) => (isNotRetried(error)
  ? text("dlq_tries_none", { count: error.retry_count }) : text("dlq_tries_of", { count: error.retry_count, most: error.max_retries }));

const pairs = (entries) =>
  entries.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));

function showDetail() {
  const { error } = detail;
  byId("badge").replaceChildren(badge(error.status));
  show(byId("kind"), error.field ? `${error.error_type} · ${error.field}` : error.error_type);
  show(byId("message"), inWords(error.message));
  byId("message").title = error.message;
  byId("facts").replaceChildren(...pairs(facts(error).map(([key, value]) => [text(key), value])));
  byId("verdict").hidden = !detail.verdict;
  if (detail.verdict) {
    show(byId("verdict"), verdictLine(detail.verdict));
    byId("verdict").dataset.valid = detail.verdict.is_valid;
  }
  byId("marts").hidden = error.resolution !== "applied";
  for (const [name, button] of Object.entries(BUTTONS)) byId(button).hidden = !detail.allowed.includes(name);
  showPayload(byId("received"), byId("received-tools"), detail.received, `${path}/payload`);
  byId("edited-panel").hidden = !detail.edited;
  if (detail.edited) {
    byId("edited-changes").replaceChildren(changesTable(detail.changes));
    showPayload(byId("edited"), byId("edited-tools"), detail.edited, `${path}/payload?which=edited`);
  }
  byId("headers-empty").hidden = detail.headers.length > 0;
  byId("headers").replaceChildren(...pairs(detail.headers.map(({ name, value }) => [name, textOf(value)])));
  byId("story").replaceChildren(...story().map((entry) => entry.element));
}

// --- what happened --------------------------------------------------------------------------

function story() {
  const entry = (at, kind, title, ...more) => ({
    at,
    element: make("li", { data: { kind } }, make("time", {}, showTime(at)), make("b", {}, title),
      ...more.filter(Boolean).map((line) => (typeof line === "string" ? make("p", {}, line) : line))),
  });
  const { error, tries, acts } = detail;
  const entries = [entry(error.first_failed_at, "failed", text("dlq_story_failed"))];
  for (const one of tries) {
    const outcome = one.outcome ? text(`dlq_outcome_${one.outcome}`) : text("dlq_outcome_none");
    const took = one.finished_at ? Date.parse(`${one.finished_at.replace(" ", "T")}Z`) - Date.parse(`${one.started_at.replace(" ", "T")}Z`) : null;
    entries.push(entry(one.started_at, one.outcome ?? "waiting", `${text("dlq_try", { attempt: one.attempt })}: ${outcome}`,
      one.error_message && `${one.error_type}: ${inWords(one.error_message)}`,
      text("dlq_try_line", { actor: one.actor, waited: formatDuration(one.backoff_ms), took: took === null ? NONE : formatDuration(took) })));
  }
  for (const one of acts) {
    entries.push(entry(one.at, "act", text(`dlq_act_${one.action}`), text("dlq_by", { actor: one.actor }),
      one.reason && text("dlq_because", { reason: one.reason }),
      one.patch ? make("pre", { class: "bytes small" }, one.patch) : one.action === "edit" && text("dlq_whole_replaced"),
      one.job_id && text("dlq_in_job", { job: one.job_id })));
  }
  // Stable: what has one time keeps its order.
  return entries.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

const reload = refresh(async (isNewest) => {
  const answer = await get(path);
  const key = JSON.stringify(answer);
  // Nothing new: what is selected, scrolled or in focus stays as it is.
  if (!isNewest() || key === shown) return false;
  shown = key;
  detail = answer;
  showDetail();
  // Something was sent: its outcome comes soon.
  return ["pending", "retrying"].includes(detail.error.status) && detail.tries.length > 0;
}, EVERY_MS, "dlq_load_failed");

// --- actions --------------------------------------------------------------------------------

const can = (name) => detail?.allowed.includes(name);
const single = { ids: [id] };

async function retry() {
  if (!can("retry")) return;
  await act(() => post("/api/dlq/retry", single), () => text("dlq_sent_again"));
  reload();
}

async function discard() {
  if (!can("discard")) return;
  const count = text("dlq_errors_count", { count: "1" });
  const entered = await ask({
    title: text("dlq_do_discard"), body: text("dlq_ask_discard", { count }), button: text("dlq_do_discard"), reason: true,
  });
  if (!entered) return;
  await act(() => post("/api/dlq/discard", { ...single, reason: entered.reason }), () => text("dlq_discarded"));
  reload();
}

async function undoDiscard() {
  await act(() => post("/api/dlq/undo-discard", single), () => text("dlq_discard_undone"));
  reload();
}

async function undoEdit() {
  await act(() => post(`${path}/undo-edit`), () => text("dlq_edit_undone"));
  reload();
}

function openEditor() {
  if (!can("edit")) return;
  const sent = detail.edited ?? detail.received;
  const isWhole = sent.is_utf8 && sent.bytes <= 65_536;
  tool = editor(byId("edit-editor"), { field: detail.error.field, payload: isWhole ? textOf(sent) : null });
  byId("editor").hidden = false;
  clearResult();
  tool.focus();
  byId("editor").scrollIntoView({ block: "nearest" });
}

function closeEditor() {
  byId("editor").hidden = true;
  byId("do-edit").focus();
}

function clearResult() {
  byId("edit-problem").hidden = true;
  byId("edit-result").replaceChildren();
}

const told = async (work) => {
  clearResult();
  try {
    return await work();
  } catch (error) {
    show(byId("edit-problem"), error.message);
    byId("edit-problem").hidden = false;
    return null;
  }
};

async function check() {
  const input = tool.input();
  const checked = await told(() => post(`${path}/check`, input));
  if (!checked) return;
  const line = checked.verdict ? verdictLine(checked.verdict) : text(`dlq_check_${checked.outcome}`, { reason: checked.reason ?? "" });
  byId("edit-result").replaceChildren(
    make("p", { class: "verdict", data: { valid: checked.outcome === "valid" } }, line),
    ...(checked.after ? [changesTable(checked.changes)] : []));
}

async function save(sendAgain) {
  const input = tool.input();
  const send = (force) => told(() => post(`${path}/edit`, { ...input, send_again: sendAgain, force }));
  let saved = await send(false);
  if (saved?.verdict) {
    const body = text("dlq_ask_send_invalid", { reason: saved.verdict.message });
    if (!(await ask({ title: text("dlq_save_and_retry"), body, button: text("dlq_send_invalid") }))) return;
    saved = await send(true);
  }
  if (!saved) return;
  byId("editor").hidden = true;
  toast(text(sendAgain ? "dlq_saved_and_sent" : "dlq_saved"));
  reload();
}

byId("do-marts").addEventListener("click", rebuildMarts);
byId("do-retry").addEventListener("click", retry);
byId("do-discard").addEventListener("click", discard);
byId("do-undo").addEventListener("click", undoDiscard);
byId("do-undo-edit").addEventListener("click", undoEdit);
byId("do-edit").addEventListener("click", openEditor);
byId("edit-check").addEventListener("click", check);
byId("edit-save").addEventListener("click", () => save(false));
byId("edit-send").addEventListener("click", () => save(true));
byId("edit-cancel").addEventListener("click", closeEditor);
byId("edit-editor").addEventListener("input", clearResult);
byId("edit-form").addEventListener("submit", (event) => {
  event.preventDefault();
  check();
});
// The list as it was left, with its filter and its place.
try {
  byId("back").search = sessionStorage.getItem("adpipe.dlq.list") ?? "";
} catch {
  // Without the store it is the whole list.
}

const goBack = () => byId("back").click();
start();
startKeys([
  ["r", "dlq_retry", retry],
  ["e", "dlq_edit_more", openEditor],
  ["d", "dlq_discard_more", discard],
  ["Backspace", "dlq_to_list", goBack],
  ["/", "dlq_key_search", () => { location.href = "/dlq/errors#search"; }],
]);
