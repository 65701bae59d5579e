// What the pages of the dead-letter queue share: dialogs, keys, filters, bulk actions. Nothing
// happens when this is loaded; `start` is each page's first call.

import { formatCount, formatExactTime, text } from "./format.js";
import { act, actorLine, byId, closing, get, keepAddress, make, post, show, startActor, startDialogs, toast } from "./page.js";

export const badge = (status) =>
  make("span", { class: "badge", data: { status } }, text(`dlq_status_${status}`));

/** What found an error, by its name in the page's language. */
export const stageName = (stage) => text(`dlq_stage_${stage}`);

/** An error that needs a decision before its retries are used up is of a type that is not retried. */
export const isNotRetried = (error) => error.status === "exhausted" && error.retry_count < error.max_retries;

/** "2026-01-31 23:59:59.123" as ms since the Unix epoch. */
export const parseTime = (sql) => (sql ? Date.parse(`${sql.replace(" ", "T")}Z`) : null);
export const showTime = (sql) => formatExactTime(parseTime(sql));

export const changedLine = ({ changed, left_alone: left = 0 }) =>
  text(left ? "dlq_changed_some" : "dlq_changed", { changed: formatCount(changed), left: formatCount(left) });

/** The DAG that builds the marts; what has changed since its last run is built again. */
const MARTS_DAG = "dag_dbt_run";

/** Begins to build the marts again, after events of days gone by were repaired. */
export const rebuildMarts = () => act(() => post(`/api/dags/${MARTS_DAG}/run`), ({ run }) => text("dlq_marts_begun", { run }));

// --- dialogs --------------------------------------------------------------------------------

/** Asks; gives what was entered, or null. */
export async function ask({ title, body, button, reason = false, canary = null }) {
  const dialog = byId("confirm");
  show(byId("confirm-title"), title);
  show(byId("confirm-text"), body);
  show(byId("confirm-yes"), button);
  show(byId("confirm-actor"), actorLine());
  byId("confirm-reason-row").hidden = !reason;
  byId("confirm-reason").required = reason;
  byId("confirm-reason").value = "";
  byId("confirm-canary-row").hidden = canary === null;
  byId("confirm-canary").value = canary ?? 0;
  dialog.returnValue = "";
  dialog.showModal();
  (reason ? byId("confirm-reason") : byId("confirm-yes")).focus();
  await closing(dialog);
  const entered = { reason: byId("confirm-reason").value.trim(), canary: Number(byId("confirm-canary").value) };
  return dialog.returnValue === "yes" ? entered : null;
}

// --- keys -----------------------------------------------------------------------------------

/** `keys`: [[key, text key, function]]. They rest while a dialog is open or someone types. */
export function startKeys(keys) {
  const list = byId("keys-list");
  const all = [...keys, ["?", "dlq_key_help", () => byId("keys").showModal()]];
  for (const [key, name] of all) {
    list.append(make("dt", {}, make("kbd", {}, key.split(" ").join(" / "))), make("dd", {}, text(name)));
  }
  byId("show-keys").addEventListener("click", () => byId("keys").showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (isTyping) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const found = all.find(([names]) => names.split(" ").includes(event.key));
    if (!found) return;
    // Enter on a button or a link is its own.
    if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
    event.preventDefault();
    found[2](event);
  });
}

/** Moves the focus within `list` by one; its items can be focused. */
export function move(list, by) {
  const items = [...list.children].filter((item) => !item.hidden);
  const at = items.findIndex((item) => item.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : items.length - 1) : Math.min(items.length - 1, Math.max(0, at + by));
  items[next]?.focus();
  items[next]?.scrollIntoView({ block: "nearest" });
}

export const current = (list) =>
  [...list.children].find((item) => item.contains(document.activeElement)) ?? null;

// --- filters --------------------------------------------------------------------------------

const LISTS = ["status", "error_type", "field", "group"];
const SINGLES = ["topic", "since", "until", "text"];

/** A browser's time field as the warehouse writes times. */
const sqlTime = (value) => {
  const time = value.replace("T", " ").replace(/Z$/, "");
  return time.length === 10 ? `${time} 00:00:00` : time.length === 16 ? `${time}:00` : time;
};

/** The filter in an address, as the API takes it in a body. */
export function filterOf(params) {
  const filter = {};
  for (const name of LISTS) {
    const values = params.getAll(name).flatMap((value) => (name === "field" ? [value] : value.split(",")));
    const set = values.filter(Boolean).map((value) => (name === "field" && value === "-" ? "" : value));
    if (set.length) filter[name] = set;
  }
  for (const name of SINGLES) {
    const value = params.get(name);
    if (value) filter[name] = name === "since" || name === "until" ? sqlTime(value) : value;
  }
  return filter;
}

/** A filter as written in an address. */
export function addressOf(filter) {
  const params = new URLSearchParams();
  for (const name of LISTS) {
    const values = filter[name] ?? [];
    if (name === "field") for (const value of values) params.append(name, value === "" ? "-" : value);
    else if (values.length) params.set(name, values.join(","));
  }
  for (const name of SINGLES) if (filter[name]) params.set(name, filter[name]);
  return params;
}

/** How many errors an action would be done to, in words. */
export async function countLine(kind, filter) {
  const params = addressOf(filter);
  params.set("kind", kind);
  const { count, is_complete: isComplete } = await get(`/api/dlq/count?${params}`);
  return { count, line: text(isComplete ? "dlq_errors_count" : "dlq_errors_at_least", { count: formatCount(count) }) };
}

/** Begins a bulk action after asking. True when it was begun. */
export async function startJob(kind, filter, title) {
  let counted;
  try {
    counted = await countLine(kind, filter);
  } catch (error) {
    toast(text("not_done", { reason: error.message }));
    return false;
  }
  if (counted.count === 0) {
    toast(text("dlq_none_to_act_on"));
    return false;
  }
  const entered = await ask({
    title,
    body: text(`dlq_ask_${kind}`, { count: counted.line }),
    button: text(`dlq_do_${kind}`),
    reason: kind === "discard",
    canary: kind === "retry" ? 0 : null,
  });
  if (!entered) return false;
  const body = { kind, filter };
  if (kind === "discard") body.reason = entered.reason;
  if (kind === "retry") body.canary = entered.canary;
  return act(() => post("/api/dlq/jobs", body), () => text("dlq_job_begun"));
}

/** What every page of the queue has: the name of the person who acts, dialogs, links. */
export function start() {
  startActor();
  startDialogs();
  keepAddress();
}
