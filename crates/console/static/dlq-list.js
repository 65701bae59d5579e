// The list of errors: the filter is in the address, a page is found by the id before it.

import { NONE, formatCount, fromField, text, toField } from "./format.js";
import { editMany } from "./dlq-edit.js";
import { loadJobs } from "./dlq-jobs.js";
import {
  addressOf, ask, badge, changedLine, current, filterOf, isNotRetried, move, parseTime, showTime, start, startJob, startKeys,
} from "./dlq-shared.js";
import { inWords } from "./messages.js";
import { act, byId, get, keyed, make, post, refresh, show } from "./page.js";

const EVERY_MS = 5_000;
const PREVIEW_CHARS = 240;

const chosen = new Set();
let takesAll = false;
let page = null;

const params = () => new URLSearchParams(location.search);
const filter = () => filterOf(params());

// --- the form and the address ---------------------------------------------------------------

function fillForm() {
  const given = filter();
  for (const input of byId("filters").elements) {
    if (!input.name) continue;
    const values = given[input.name];
    if (input.type === "checkbox") input.checked = (values ?? []).includes(input.value);
    else if (input.type === "datetime-local") input.value = values ? toField(parseTime(values)) : "";
    else if (input.name === "field") input.value = (values ?? []).map((value) => value || "-").join(" ");
    else if (input.name === "group") input.value = (values ?? []).join(",");
    else input.value = values ?? "";
  }
  byId("group-chip").hidden = !given.group;
  show(byId("group-name"), given.group ? text("dlq_of_group", { group: given.group.join(", ") }) : "");
}

function formFilter() {
  const params = new URLSearchParams();
  for (const [name, value] of new FormData(byId("filters"))) {
    if (name === "field") for (const part of value.split(/\s+/)) params.append(name, part);
    else if (name === "since" || name === "until") params.append(name, value && new Date(fromField(value)).toISOString().slice(0, 19));
    else params.append(name, value);
  }
  return filterOf(params);
}

function go(address, replace = false) {
  const query = address.toString();
  history[replace ? "replaceState" : "pushState"](null, "", query ? `?${query}` : location.pathname);
  arrive();
}

/** The page of one error leads back to here. */
function remember() {
  try {
    sessionStorage.setItem("adpipe.dlq.list", location.search);
  } catch {
    // Then it leads back to the whole list.
  }
}

function arrive() {
  remember();
  fillForm();
  forget();
  page = null;
  reload();
}

byId("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  go(addressOf(formFilter()));
});
// A box that is ticked needs no button; text does.
byId("filters").addEventListener("change", (event) => {
  if (event.target.type === "checkbox" || event.target.type === "datetime-local") go(addressOf(formFilter()));
});
byId("clear").addEventListener("click", () => go(new URLSearchParams()));
byId("group-clear").addEventListener("click", () => go(addressOf({ ...filter(), group: [] })));
addEventListener("popstate", arrive);
for (const id of ["newest", "older"]) {
  byId(id).addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(new URL(byId(id).href).searchParams);
    byId("list-title").scrollIntoView({ block: "start" });
  });
}

// --- the list -------------------------------------------------------------------------------

function build(error) {
  const box = make("input", { type: "checkbox", "aria-label": error.error_id });
  box.addEventListener("change", () => choose(error.error_id, box.checked));
  const cell = (name) => make("td", { class: name });
  const row = make("tr", { tabIndex: -1 }, make("td", { class: "pick" }, box), make("td", { class: "when" },
    make("a", { href: `/dlq/errors/${error.error_id}` })),
    ...["state", "kind", "field", "what", "tries", "where"].map(cell),
    make("td", { class: "payload" }, make("div")));
  row.addEventListener("click", (event) => {
    // A selection of text, or what has a click of its own, opens nothing.
    if (event.target.closest("a, input, button") || String(getSelection())) return;
    row.querySelector("a").click();
  });
  return row;
}

function update(row, error) {
  const part = (name) => row.querySelector(name);
  part("input").checked = takesAll || chosen.has(error.error_id);
  part("input").disabled = takesAll;
  show(part(".when a"), showTime(error.first_failed_at));
  const key = `${error.status}${error.is_edited}`;
  if (row.dataset.status !== key) {
    row.dataset.status = key;
    part(".state").replaceChildren(badge(error.status), error.is_edited ? make("span", { class: "hint" }, ` ${text("dlq_is_edited")}`) : "");
  }
  show(part(".kind"), error.error_type);
  show(part(".field"), error.field ?? NONE);
  show(part(".what"), inWords(error.message));
  part(".what").title = error.message;
  // "0/5" would promise retries that this type does not get.
  show(part(".tries"), isNotRetried(error) ? formatCount(error.retry_count) : `${error.retry_count}/${error.max_retries}`);
  show(part(".where"), `${error.topic} / ${error.partition} / ${error.offset}`);
  const preview = part(".payload div");
  show(preview, error.preview.slice(0, PREVIEW_CHARS));
  preview.title = text("bytes", { count: formatCount(error.payload_bytes) });
}

function showPage() {
  const { errors, next, total, waiting } = page;
  byId("waiting").hidden = !waiting;
  show(byId("waiting"), waiting ? text("dlq_waiting", { count: formatCount(waiting) }) : "");
  keyed(byId("list"), errors, (error) => error.error_id, build, update);
  const rows = [...byId("list").children];
  if (!rows.some((row) => row.tabIndex === 0) && rows[0]) rows[0].tabIndex = 0;
  show(byId("total"), total === null ? text("dlq_total_unknown") : text("dlq_errors_count", { count: formatCount(total) }));
  const isFirst = !params().has("after");
  byId("list-scroll").hidden = errors.length === 0;
  byId("empty").hidden = errors.length > 0;
  const isAnything = Object.keys(filter()).length === 0;
  show(byId("empty"), text(next ? "dlq_none_so_far" : !isFirst ? "dlq_no_more" : isAnything ? "dlq_nothing_wrong" : "dlq_none_found"));
  const base = addressOf(filter());
  byId("newest").hidden = isFirst;
  byId("newest").href = `?${base}`;
  byId("older").hidden = !next;
  if (next) base.set("after", next);
  byId("older").href = `?${base}`;
  show(byId("older"), text(errors.length ? "dlq_older" : "dlq_search_on"));
  showChosen();
}

const reload = refresh(async (isNewest) => {
  const query = addressOf(filter());
  const after = params().get("after");
  if (after) query.set("after", after);
  const answer = await get(`/api/dlq/errors?${query}`);
  if (!isNewest()) return false;
  page = answer;
  showPage();
  return loadJobs(isNewest, () => reload());
}, EVERY_MS, "dlq_load_failed");

// --- the selection --------------------------------------------------------------------------

function choose(id, isChosen) {
  if (isChosen) chosen.add(id);
  else chosen.delete(id);
  showChosen();
}

function forget() {
  chosen.clear();
  takesAll = false;
}

const totalLine = () =>
  page?.total === null || !page ? text("dlq_all_that_match") : text("dlq_all_n", { count: formatCount(page.total) });

function showChosen() {
  const shown = page?.errors ?? [];
  const here = shown.filter((error) => chosen.has(error.error_id)).length;
  byId("select-page").checked = takesAll || (shown.length > 0 && here === shown.length);
  byId("select-page").indeterminate = !takesAll && here > 0 && here < shown.length;
  byId("select-page").disabled = takesAll || shown.length === 0;
  byId("select-all").hidden = shown.length === 0 && !page?.next;
  byId("select-all").setAttribute("aria-pressed", String(takesAll));
  show(byId("select-all"), takesAll ? text("dlq_select_none") : text("dlq_select_all", { what: totalLine() }));
  const what = takesAll ? totalLine() : chosen.size ? text("dlq_selected", { count: formatCount(chosen.size) }) : "";
  show(byId("selected"), what);
  for (const name of ["retry", "edit", "discard", "undo"]) byId(`do-${name}`).disabled = !takesAll && chosen.size === 0;
}

byId("select-page").addEventListener("change", (event) => {
  for (const error of page?.errors ?? []) {
    if (event.target.checked) chosen.add(error.error_id);
    else chosen.delete(error.error_id);
  }
  showPage();
});
byId("select-all").addEventListener("click", () => {
  const was = takesAll;
  forget();
  takesAll = !was;
  if (page) showPage();
});

// --- actions --------------------------------------------------------------------------------

const PATHS = { retry: "retry", discard: "discard", undo_discard: "undo-discard" };

/** What is ticked; else the line that has the focus. */
function ids() {
  if (chosen.size) return [...chosen];
  const row = current(byId("list"));
  return row ? [row.dataset.key] : [];
}

async function run(kind) {
  let isDone = false;
  if (takesAll) isDone = await startJob(kind, filter(), totalLine());
  else {
    const named = ids();
    if (!named.length) return;
    const count = text("dlq_errors_count", { count: formatCount(named.length) });
    const entered = await ask({
      title: text("dlq_selected", { count: formatCount(named.length) }), body: text(`dlq_ask_${kind}`, { count }),
      button: text(`dlq_do_${kind}`), reason: kind === "discard",
    });
    if (!entered) return;
    const body = kind === "discard" ? { ids: named, reason: entered.reason } : { ids: named };
    isDone = await act(() => post(`/api/dlq/${PATHS[kind]}`, body), changedLine);
  }
  if (!isDone) return;
  forget();
  reload();
}

async function edit() {
  const named = ids();
  if (!takesAll && !named.length) return;
  const target = takesAll ? { filter: filter() } : { ids: named };
  const title = takesAll ? totalLine() : text("dlq_selected", { count: formatCount(named.length) });
  const of = (id) => page?.errors.find((error) => error.error_id === id)?.field;
  const field = takesAll ? filter().field?.[0] : of(named[0]);
  if (!(await editMany({ target, title, field: field || null, canary: 20 }))) return;
  forget();
  reload();
}

byId("do-retry").addEventListener("click", () => run("retry"));
byId("do-discard").addEventListener("click", () => run("discard"));
byId("do-undo").addEventListener("click", () => run("undo_discard"));
byId("do-edit").addEventListener("click", edit);

const search = () => byId("filters").elements.text.focus();
start();
startKeys([
  ["j ArrowDown", "dlq_key_next", () => move(byId("list"), 1)],
  ["k ArrowUp", "dlq_key_previous", () => move(byId("list"), -1)],
  ["Enter", "dlq_key_open", () => current(byId("list"))?.querySelector("a").click()],
  ["x", "dlq_key_select", () => current(byId("list"))?.querySelector("input").click()],
  ["r", "dlq_retry", () => run("retry")],
  ["e", "dlq_edit_more", edit],
  ["d", "dlq_discard_more", () => run("discard")],
  ["/", "dlq_key_search", search],
]);
remember();
fillForm();
showChosen();
if (location.hash === "#search") search();
