// The page "Files": what adpipe etl read, file by file, and what the archive holds.

import { NONE, formatBytes, formatCount, formatDuration, formatExactTime, formatShare, formatTime, text } from "./format.js";
import { byId, changed, get, keepAddress, keyed, make, refresh, show, showProblem } from "./page.js";

const EVERY_MS = 5_000;
const ARCHIVE_EVERY_MS = 15_000;
/** Between the last letter and the search. */
const TYPING_MS = 250;

/** What is asked for; it is in the address. */
const asked = { state: "", text: "", page: 1 };
const openReports = new Set();

const rate = (sums) => (sums.valid > 0 ? sums.clicks / sums.valid : null);

// --- sums -----------------------------------------------------------------------------------

const SUMS = ["files", "records", "valid", "clicks", "invalid", "duplicates", "float_ids", "bytes"];

const added = (list) => Object.fromEntries(SUMS.map((name) => [name, list.reduce((sum, one) => sum + one[name], 0)]));

function showTiles(states) {
  const shown = asked.state === "" ? Object.values(states) : [states[asked.state]].filter(Boolean);
  const sums = added(shown);
  const note = (id, value) => show(byId(`note-${id}`), value);
  const damaged = states.damaged?.files ?? 0;
  show(byId("files"), formatCount(sums.files));
  note("files", damaged ? text("files_note_damaged", { count: formatCount(damaged) }) : formatBytes(sums.bytes));
  byId("tile-files").classList.toggle("warn", damaged > 0);
  show(byId("rows"), formatCount(sums.records));
  note("rows", text("files_note_valid", { count: formatCount(sums.valid) }));
  show(byId("invalid"), formatCount(sums.invalid));
  note("invalid", sums.records ? formatShare(sums.invalid / sums.records) : "");
  show(byId("duplicates"), formatCount(sums.duplicates));
  note("duplicates", sums.records ? formatShare(sums.duplicates / sums.records) : "");
  show(byId("ctr"), formatShare(rate(sums)));
  note("ctr", sums.float_ids ? text("files_note_float_ids", { count: formatCount(sums.float_ids) }) : "");
}

function showStates(states) {
  const all = added(Object.values(states)).files;
  for (const link of document.querySelectorAll("#filters [data-state]")) {
    const name = link.dataset.state;
    show(link.querySelector(".count"), formatCount(name === "" ? all : states[name]?.files ?? 0));
    link.search = query({ state: name, page: 1 });
    if (name === asked.state) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

// --- the list -------------------------------------------------------------------------------

const keyOf = (file) => `${file.path}\n${file.content}\n${file.reading}`;
/** A report in the address: reading and content, which have no colon, and the path, which may. */
const addressOf = (key) => {
  const [path, content, reading] = key.split("\n");
  return `${reading}:${content}:${path}`;
};
const keyAt = (address) => {
  const [reading, content, ...path] = address.split(":");
  return [path.join(":"), content, reading].join("\n");
};

/** A file's row and, behind it, its report while that is open. */
function lines(files) {
  return files.flatMap((file) => {
    const key = keyOf(file);
    const line = { key, file, isReport: false };
    return openReports.has(key) ? [line, { key: `${key}\nreport`, file, isReport: true }] : [line];
  });
}

function build({ file, isReport }) {
  if (isReport) return make("tr", { class: "report" }, make("td", { colSpan: 11 }, make("p", { class: "hint" }, text("files_loading"))));
  const button = make("button", { type: "button", class: "open" }, text("files_report"));
  button.addEventListener("click", () => toggle(keyOf(file)));
  const cell = (label, name) => make("td", { class: name, data: { label: text(label) } });
  return make("tr", {},
    make("td", { class: "file" }, make("span", { class: "path" }), make("span", { class: "said" })),
    make("td", { class: "state" }, make("span", { class: "badge" })),
    cell("files_rows", "figure rows"), cell("files_valid", "figure valid"), cell("invalid", "figure invalid"),
    cell("duplicates", "figure duplicates"), cell("ctr", "figure ctr"), cell("files_events", "events"),
    cell("files_size", "figure size"), cell("files_read_at", "read-at"), make("td", { class: "more" }, button));
}

function update(row, { file, isReport }) {
  if (isReport) {
    if (row.dataset.read !== String(file.updated_at)) {
      row.dataset.read = String(file.updated_at);
      loadReport(row, file);
    }
    return;
  }
  const part = (name) => row.querySelector(name);
  show(part(".path"), file.reading > 1 ? `${file.path} ${text("files_reading_number", { number: file.reading })}` : file.path);
  const said = [file.message, file.float_ids ? text("files_float_ids", { count: formatCount(file.float_ids) }) : ""];
  show(part(".said"), said.filter(Boolean).join(" · "));
  part(".badge").dataset.status = file.state;
  show(part(".badge"), text(`files_state_${file.state}`));
  show(part(".rows"), formatCount(file.records));
  show(part(".valid"), formatCount(file.valid));
  changed(part(".invalid"), [file.invalid, file.error_topic], () => part(".invalid").replaceChildren(errorsLink(file)));
  show(part(".duplicates"), formatCount(file.duplicates));
  show(part(".ctr"), formatShare(rate(file)));
  const events = file.first_event === null ? NONE : `${formatTime(file.first_event)} – ${formatTime(file.last_event)}`;
  show(part(".events"), events);
  show(part(".size"), formatBytes(file.bytes));
  show(part(".read-at"), formatExactTime(file.updated_at));
  const isOpen = openReports.has(keyOf(file));
  part(".open").setAttribute("aria-expanded", String(isOpen));
  part(".open").setAttribute("aria-label", text("files_report_of", { file: file.path }));
}

function errorsLink(file) {
  if (file.invalid === 0) return "0";
  const params = new URLSearchParams({ topic: file.error_topic });
  return make("a", { href: `/dlq/errors?${params}`, "aria-label": text("files_errors_of", {
    count: formatCount(file.invalid), file: file.path }) }, formatCount(file.invalid));
}

let list = null;

function toggle(key) {
  if (!openReports.delete(key)) openReports.add(key);
  history.replaceState(null, "", `?${query({})}`);
  showLines();
}

const showLines = () => keyed(byId("list"), lines(list.files), (line) => line.key, build, update);

// --- one report -----------------------------------------------------------------------------

async function loadReport(row, file) {
  const place = row.firstElementChild;
  const params = new URLSearchParams({ path: file.path, content: file.content, reading: file.reading });
  try {
    place.replaceChildren(...reportOf(file, await get(`/api/files/report?${params}`)));
  } catch (error) {
    delete row.dataset.read;
    place.replaceChildren(make("p", { class: "banner" }, text("files_failed", { reason: error.message })));
  }
}

function reportOf(file, report) {
  const fact = (key, ...shown) => make("div", {}, make("dt", {}, text(key)), make("dd", {}, ...shown));
  const facts = make("dl", { class: "facts" },
    fact("files_content", make("code", {}, file.content)),
    fact("files_started", formatExactTime(file.started_at)),
    fact("files_took", formatDuration(file.updated_at - file.started_at)),
    fact("files_clicks", formatCount(file.clicks)),
    fact("files_float_ids_name", formatCount(file.float_ids)),
    fact("files_unknown_fields", formatCount(report.unknown_fields)));
  return file.invalid === 0 ? [facts] : [facts, ...errorsOf(file, report)];
}

/** Errors by type, next to what became of them in the dead-letter queue. */
function errorsOf(file, report) {
  const queued = (type) => report.in_queue.filter((part) => part.error_type === type);
  const found = (type) => queued(type).reduce((sum, part) => sum + part.count, 0);
  const rows = report.types.map((type, index) => ({ type, count: report.invalid_by_type?.[index] ?? found(type) }))
    .filter(({ count }) => count > 0);
  const line = ({ type, count }) => {
    const params = new URLSearchParams({ topic: file.error_topic, error_type: type });
    const statuses = queued(type).map((part) => `${text(`dlq_status_${part.status}`)} ${formatCount(part.count)}`);
    return make("tr", {},
      make("td", {}, make("a", { href: `/dlq/errors?${params}` }, type)),
      make("td", { class: "figure" }, formatCount(count)),
      make("td", {}, statuses.join(", ") || text("files_not_in_queue")));
  };
  const head = ["type", "invalid", "files_in_queue"].map((key, index) =>
    make("th", { scope: "col", class: index === 1 ? "figure" : "" }, text(key)));
  const table = make("table", { class: "types" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows.map(line)));
  return report.is_complete ? [table] : [table, make("p", { class: "hint" }, text("files_queue_cut"))];
}

// --- the archive ----------------------------------------------------------------------------

const sumOf = (sums, name) => sums.reduce((total, one) => total + one[name], 0);

function partsOf(sources, sums) {
  const named = sources.map((source, index) => [source, sums[index].parts]).filter(([, parts]) => parts > 0);
  return named.map(([source, parts]) => text(`files_source_${source}`, { count: formatCount(parts) })).join(", ");
}

function showArchive({ sources, totals, day_count: dayCount, days, hot }) {
  const rows = sumOf(totals, "rows");
  const isEmpty = rows === 0;
  byId("no-archive").hidden = !isEmpty;
  byId("days-scroll").hidden = isEmpty;
  const fact = (key, shown, note = "") =>
    make("div", {}, make("dt", {}, text(key)), make("dd", {}, shown), make("dd", { class: "note" }, note));
  const span = (from, to) => (from === null ? "" : `${formatTime(from)} – ${formatTime(to)}`);
  const facts = [
    fact("files_archived_rows", formatCount(rows), text("files_days", { count: formatCount(dayCount) })),
    fact("files_parts", formatCount(sumOf(totals, "parts")), partsOf(sources, totals)),
    fact("files_size", formatBytes(sumOf(totals, "bytes"))),
    fact("files_hot_hours", formatCount(hot.hours), span(hot.oldest, hot.newest)),
    fact("files_not_archived", formatCount(hot.not_archived),
      hot.oldest_not_archived === null ? "" : text("files_since", { time: formatTime(hot.oldest_not_archived) })),
  ];
  changed(byId("archive-facts"), [totals, dayCount, hot], () => byId("archive-facts").replaceChildren(...facts));
  const most = Math.max(1, ...days.map((day) => sumOf(day.sums, "rows")));
  changed(byId("days"), days, () => byId("days").replaceChildren(...days.map((day) => dayRow(sources, day, most))));
  byId("more-days").hidden = days.length >= dayCount;
  show(byId("more-days"), text("files_more_days", { count: formatCount(dayCount - days.length) }));
}

function dayRow(sources, { date, sums }, most) {
  const rows = sumOf(sums, "rows");
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, ...sources.map((source, index) => {
    const part = make("i", { data: { source }, title: text(`files_source_${source}`, { count: formatCount(sums[index].rows) }) });
    part.style.width = `${(100 * sums[index].rows) / most}%`;
    return part;
  }));
  const cell = (label, name, shown) => make("td", { class: name, data: { label: text(label) } }, shown);
  return make("tr", {},
    make("td", { class: "day" }, date), cell("files_rows", "figure", formatCount(rows)), make("td", { class: "share" }, bar),
    cell("ctr", "figure", formatShare(rows ? sumOf(sums, "clicks") / rows : null)),
    cell("files_size", "figure", formatBytes(sumOf(sums, "bytes"))), cell("files_parts", "", partsOf(sources, sums)));
}

async function loadArchive() {
  try {
    showArchive(await get("/api/archive"));
    showProblem("archive", "");
  } catch (error) {
    if (!(error instanceof TypeError)) showProblem("archive", text("files_archive_failed", { reason: error.message }));
  }
}

// --- the page -------------------------------------------------------------------------------

/** The address that asks for what is asked for now, but for `other`. */
function query(other) {
  const wanted = { ...asked, ...other };
  const params = new URLSearchParams();
  if (wanted.state) params.set("state", wanted.state);
  if (wanted.text) params.set("text", wanted.text);
  if (wanted.page > 1) params.set("page", wanted.page);
  // Only those of this page: an address leads to what it shows.
  if (other.page === undefined) for (const key of openReports) params.append("report", addressOf(key));
  return params.toString();
}

function readAddress() {
  const params = new URLSearchParams(location.search);
  const state = params.get("state") ?? "";
  const isKnown = document.querySelector(`#filters [data-state="${CSS.escape(state)}"]`) !== null;
  Object.assign(asked, {
    state: isKnown ? state : "", text: params.get("text") ?? "", page: Math.max(1, Number.parseInt(params.get("page") ?? "1", 10) || 1),
  });
  if (byId("text").value !== asked.text) byId("text").value = asked.text;
  openReports.clear();
  for (const address of params.getAll("report")) openReports.add(keyAt(address));
  byId("no-report").hidden = true;
}

/** Whether the address was given by a link, and not made by what someone did on this page. */
let isFollowed = true;

/** Names the reports that a link asks for and that are not here; those that are there open. */
function showMissing(files) {
  if (!isFollowed) return;
  isFollowed = false;
  const here = new Set(files.map(keyOf));
  const missing = [...openReports].filter((key) => !here.has(key));
  if (missing.length === 0) return;
  for (const key of missing) openReports.delete(key);
  const names = missing.map((key) => key.split("\n")[0] || key.trim());
  show(byId("no-report"), text("files_no_report", { file: names.join(", ") }));
  byId("no-report").hidden = false;
}

function draw() {
  const { files, states, page, pages } = list;
  const all = added(Object.values(states));
  const isUnused = all.files === 0 && asked.text === "" && asked.state === "";
  byId("none").hidden = !isUnused;
  byId("reports").hidden = isUnused;
  show(byId("last-read"), files[0] && page === 1 ? text("files_last_read", { time: formatExactTime(files[0].updated_at) }) : "");
  showTiles(states);
  showStates(states);
  const found = asked.state === "" ? all.files : states[asked.state]?.files ?? 0;
  show(byId("found"), text("files_found", { count: formatCount(found) }));
  byId("none-found").hidden = found > 0;
  byId("list-scroll").hidden = found === 0;
  showMissing(files);
  showLines();
  byId("pages").hidden = pages === 1;
  show(byId("page-of"), text("files_page_of", { page: formatCount(page), pages: formatCount(pages) }));
  for (const [id, to, isThere] of [["newer", page - 1, page > 1], ["older", page + 1, page < pages]]) {
    byId(id).hidden = !isThere;
    byId(id).search = query({ page: to });
  }
}

const firstArchive = loadArchive();
readAddress();
const reload = refresh(async (isNewest) => {
  // The page is shown when both are there: what came later would move what is read already.
  const [found] = await Promise.all([get(`/api/files?${query({ page: asked.page })}`), firstArchive]);
  if (!isNewest()) return;
  list = found;
  draw();
}, EVERY_MS, "files_failed");

function ask(params, how = "pushState") {
  history[how](null, "", `?${params}`);
  readAddress();
  reload();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("#filters [data-state], #pages a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  ask(link.search.slice(1));
});
let typing = null;
byId("text").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => ask(query({ text: byId("text").value.trim(), page: 1 }), "replaceState"), TYPING_MS);
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("popstate", () => {
  isFollowed = true;
  readAddress();
  reload();
});
keepAddress();
setInterval(() => !document.hidden && loadArchive(), ARCHIVE_EVERY_MS);
