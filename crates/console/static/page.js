// What every page with a script does in the same way: elements, requests, the name of the person who acts,
// what is said, refreshing. Nothing happens when this is loaded.

import { text } from "./format.js";
import { inWords } from "./messages.js";

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

/** Does `draw` only when what it draws has changed. */
export function changed(place, value, draw) {
  const shown = JSON.stringify(value);
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  draw();
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
    // Moving an element takes its focus away, so the order of those that are there waits.
    elements.forEach((element, index) => {
      if (!element.isConnected) list.insertBefore(element, index ? elements[index - 1].nextSibling : list.firstChild);
    });
    return;
  }
  elements.forEach((element, index) => {
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
  });
}

// --- requests -------------------------------------------------------------------------------

async function answer(response) {
  // The token has changed: the same address asks for the new one and then comes back here.
  if (response.status === 401) location.reload();
  const body = await response.json().catch(() => ({ error: response.statusText }));
  if (response.ok) return body;
  throw Object.assign(new Error(inWords(body.error)), { status: response.status });
}

/** Answers that are kept, by their address: one that has not changed is not sent again. */
const kept = new Map();
const MOST_KEPT = 8;

export async function get(path) {
  const known = kept.get(path);
  const response = await fetch(path, known ? { headers: { "if-none-match": known.etag } } : {});
  if (response.status === 304 && known) {
    // Only the time at which it was read is another one.
    const at = response.headers.get("x-at");
    return at === null ? known.body : { ...known.body, at: Number(at) };
  }
  const body = await answer(response);
  kept.delete(path);
  const etag = response.headers.get("etag");
  if (etag !== null) kept.set(path, { etag, body });
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  return body;
}

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

/** How what someone does here will be on record. */
export const actorLine = () => text("recorded_as", { actor: actor() ? `console:${actor()}` : "console" });

/** Makes the field for the name remember it. */
export function startActor() {
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
  // Log and warehouse down would be reported twice: once is enough.
  const shown = [...new Set([...problems.values()].filter(Boolean))].join(" · ");
  byId("problem").hidden = shown === "";
  show(byId("problem"), shown);
}

let toastTimer = null;
export function toast(message) {
  clearTimeout(toastTimer);
  const place = byId("toast");
  // A dialog is above everything else: what it does not hold would be hidden behind it.
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
    toast(text("not_done", { reason: error.message }));
    return false;
  }
}

/** Shows the page, which stays unseen until its first figures are in their places. */
export const ready = () => document.getElementById("main").removeAttribute("data-waits");

/** Says how the connection is: `connecting`, `live` or `lost`. */
export function setStatus(state, key) {
  if (byId("status").dataset.state === state) return;
  byId("status").dataset.state = state;
  show(byId("status-text"), text(key));
}

/**
 * Calls `load` now and again while someone looks, sooner when it gives true; gives a function that
 * does it at once. The text of `failedKey` says why it failed.
 */
export function refresh(load, everyMs, failedKey) {
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
      // A fetch that never reached the console is a TypeError.
      const isGone = error instanceof TypeError;
      setStatus(isGone ? "lost" : "live", isGone ? "connection_lost" : "live");
      showProblem("load", isGone ? "" : text(failedKey, { reason: error.message }));
    } finally {
      ready();
      if (mine === running) timer = setTimeout(() => !document.hidden && turn(), wait);
    }
  };
  document.addEventListener("visibilitychange", () => !document.hidden && turn());
  turn();
  return turn;
}

/** Makes the links to other languages keep the rest of the address, as a filter. */
export function keepAddress() {
  for (const link of document.querySelectorAll(".languages a")) {
    link.addEventListener("click", () => {
      const params = new URLSearchParams(location.search);
      params.set("lang", link.lang);
      link.search = params.toString();
    });
  }
}

/** Makes the buttons that only close their dialog do so. */
export function startDialogs() {
  // Not submit buttons: Enter in a field would press them, as the first of its form.
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close(""));
  }
}

/** Waits until a dialog is closed. The event of an earlier closing may come when it is open again. */
export const closing = (dialog) => new Promise((resolve) => {
  dialog.addEventListener("close", function onClose() {
    if (dialog.open) return;
    dialog.removeEventListener("close", onClose);
    resolve();
  });
});
