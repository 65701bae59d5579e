// What the pages of the dead-letter queue share: requests, the actor, dialogs, keys, refreshing.

import { formatCount, formatExactTime, text } from "./format.js";

const ACTOR_KEY = "adpipe.actor";
const TOAST_MS = 6_000;
/** Between two looks while something is under way. */
const SOON_MS = 1_000;

export const byId = (id) => document.getElementById(id);

/** Text that stays is left alone: a selection of it must survive. */
export const show = (place, shown) => {
  if (place.textContent !== shown) place.textContent = shown;
};

/** An element; children that are text become text and never markup. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const badge = (status) =>
  make("span", { class: "badge", data: { status } }, text(`dlq_status_${status}`));

/** "2026-01-31 23:59:59.123" as ms since the Unix epoch. */
export const parseTime = (sql) => (sql ? Date.parse(`${sql.replace(" ", "T")}Z`) : null);
export const showTime = (sql) => formatExactTime(parseTime(sql));

// --- requests -------------------------------------------------------------------------------

async function answer(response) {
  const body = await response.json().catch(() => ({ error: response.statusText }));
  if (response.ok) return body;
  throw Object.assign(new Error(body.error), { status: response.status });
}

export const get = async (path) => answer(await fetch(path));

export async function post(path, body = {}) {
  const headers = {
    "content-type": "application/json",
    "x-csrf-token": document.querySelector('meta[name="csrf-token"]').content,
    "x-actor": encodeURIComponent(actor()),
  };
  return answer(await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

// --- the actor ------------------------------------------------------------------------------

// A browser may forbid the store; then the name lives as long as the page.
let unstored = "";
export function actor() {
  try {
    return localStorage.getItem(ACTOR_KEY) ?? unstored;
  } catch {
    return unstored;
  }
}

const actorLine = () => text("dlq_recorded_as", { actor: actor() ? `console:${actor()}` : "console" });

function startActor() {
  const input = byId("actor");
  input.value = actor();
  input.addEventListener("input", () => {
    unstored = input.value.trim();
    try {
      localStorage.setItem(ACTOR_KEY, unstored);
    } catch {
      // Kept in `unstored`.
    }
  });
}

// --- what the page says ---------------------------------------------------------------------

const problems = new Map();

export function showProblem(kind, problem) {
  problems.set(kind, problem);
  const shown = [...new Set([...problems.values()].filter(Boolean))].join(" · ");
  byId("problem").hidden = shown === "";
  show(byId("problem"), shown);
}

let toastTimer = null;
export function toast(message) {
  clearTimeout(toastTimer);
  const place = byId("toast");
  // A dialog lies above everything else: what it does not hold would be hidden behind it.
  show(place, message);
  place.dataset.shown = "";
  toastTimer = setTimeout(() => delete place.dataset.shown, TOAST_MS);
}

/** Does something a person asked for, and says what came of it. */
export async function act(work, done) {
  try {
    const result = await work();
    toast(done(result));
    return true;
  } catch (error) {
    toast(text("dlq_failed", { reason: error.message }));
    return false;
  }
}

export const changedLine = ({ changed, left_alone: left = 0 }) =>
  text(left ? "dlq_changed_some" : "dlq_changed", { changed: formatCount(changed), left: formatCount(left) });

function setStatus(state, key) {
  byId("status").dataset.state = state;
  show(byId("status-text"), text(key));
}

/**
 * Calls `load` now and again while somebody looks, sooner when it gives true; gives a function that
 * does it at once.
 */
export function refresh(load, everyMs) {
  let timer = null;
  let running = 0;
  const turn = async () => {
    clearTimeout(timer);
    let wait = everyMs;
    running += 1;
    const mine = running;
    try {
      if (await load(() => mine === running)) wait = SOON_MS;
      if (mine !== running) return;
      setStatus("live", "live");
      showProblem("load", "");
    } catch (error) {
      if (mine !== running) return;
      const isGone = error instanceof TypeError;
      setStatus(isGone ? "lost" : "live", isGone ? "connection_lost" : "live");
      showProblem("load", isGone ? "" : text("dlq_load_failed", { reason: error.message }));
    } finally {
      if (mine === running) timer = setTimeout(() => !document.hidden && turn(), wait);
    }
  };
  document.addEventListener("visibilitychange", () => !document.hidden && turn());
  turn();
  return turn;
}

/** Puts `items` into `list`, each in the element it had before; nothing that has the focus moves. */
export function keyed(list, items, keyOf, build, update) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const elements = items.map((item) => {
    const key = keyOf(item);
    const element = known.get(key) ?? Object.assign(build(item), {});
    element.dataset.key = key;
    known.delete(key);
    update(element, item);
    return element;
  });
  const focused = document.activeElement;
  for (const gone of known.values()) gone.remove();
  if (list.contains(focused)) {
    // Moving an element takes its focus away, so the order waits.
    for (const element of elements) if (!element.isConnected) list.append(element);
    return;
  }
  elements.forEach((element, index) => {
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
  });
}

// --- dialogs --------------------------------------------------------------------------------

/** Asks; gives what was entered, or null. */
export function ask({ title, body, button, reason = false, canary = null }) {
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
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const entered = { reason: byId("confirm-reason").value.trim(), canary: Number(byId("confirm-canary").value) };
      resolve(dialog.returnValue === "yes" ? entered : null);
    }, { once: true });
  });
}

export { actorLine };

// --- keys -----------------------------------------------------------------------------------

/** `keys`: [[key, text key, function]]. They rest while a dialog is open or somebody types. */
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

/** A filter as it stands in an address. */
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
    toast(text("dlq_failed", { reason: error.message }));
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

startActor();
// Not a submit button: Enter in a field would press it, as the first of its form.
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close(""));
}
for (const link of document.querySelectorAll(".languages a")) {
  // The language changes, the filter stays.
  link.addEventListener("click", () => {
    const params = new URLSearchParams(location.search);
    params.set("lang", link.lang);
    link.search = params.toString();
  });
}
