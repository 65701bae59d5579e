// The page "Operations": alerts, silences and processes; the charts are in operations-charts.js.

import { NONE, formatBytes, formatCount, formatDuration, formatExactTime, formatPercent, text } from "./format.js";
import { inWords } from "./messages.js";
import { startCharts } from "./operations-charts.js";
import { act, actorLine, byId, changed, closing, get, keepAddress, keyed, make, post, refresh, show, startActor, startDialogs } from "./page.js";
import { curve } from "./spark.js";

const EVERY_MS = 5_000;
const language = document.documentElement.lang;

const labelsLine = (labels) => Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(", ");
const nameOf = ({ rule, labels }) => [rule, labelsLine(labels)].filter(Boolean).join(" ");
const badge = (kind, name) => make("span", { class: "badge", data: { status: name } }, text(`ops_${kind}_${name}`));
const runbook = (rule) => `/runbook#${rule.toLowerCase()}`;

let now = 0;

// --- alerts ---------------------------------------------------------------------------------

function buildAlert() {
  const button = (name, key) => make("button", { type: "button", class: name }, text(key));
  return make("li", { class: "alert" },
    make("div", { class: "head" }, make("span", { class: "badge state" }), " ", make("span", { class: "badge severity" }), " ",
      make("b", { class: "name" }), " ", make("span", { class: "badge silenced" })),
    make("p", { class: "summary" }),
    make("p", { class: "hint times" }),
    make("div", { class: "context" }),
    make("p", { class: "taken" }),
    make("div", { class: "buttons" }, button("do-acknowledge", "ops_acknowledge_more"), button("do-silence", "ops_silence_more"),
      make("a", { class: "button runbook" }, text("ops_runbook"))));
}

/** Someone is on it, or does not want to hear of it. */
const isKnown = (alert) => alert.acknowledged_at !== null || alert.silenced_until !== null;

function updateAlert(element, alert) {
  const part = (name) => element.querySelector(name);
  element.dataset.state = alert.state;
  element.dataset.severity = alert.severity;
  element.dataset.known = isKnown(alert) ? "yes" : "no";
  element.setAttribute("aria-label", nameOf(alert));
  part(".state").dataset.status = alert.state;
  show(part(".state"), text(`ops_state_${alert.state}`));
  part(".severity").dataset.status = alert.severity;
  show(part(".severity"), text(`ops_severity_${alert.severity}`));
  show(part(".name"), nameOf(alert));
  part(".silenced").hidden = alert.silenced_until === null;
  show(part(".silenced"), text("ops_silenced_until", { time: formatExactTime(alert.silenced_until) }));
  show(part(".summary"), alert.summary);
  const since = alert.firing_since ?? alert.pending_since;
  show(part(".times"), text(alert.state === "firing" ? "ops_fires_since" : "ops_pends_since", {
    time: formatExactTime(since), span: formatDuration(Math.max(0, now - since)),
    value: alert.value, threshold: alert.threshold, worst: alert.worst }));
  changed(part(".context"), alert.context, () => part(".context").replaceChildren(...contextOf(alert)));
  part(".taken").hidden = alert.acknowledged_at === null;
  show(part(".taken"), text(alert.note ? "ops_taken_note" : "ops_taken", {
    by: alert.acknowledged_by ?? "", time: formatExactTime(alert.acknowledged_at), note: alert.note }));
  part(".do-acknowledge").onclick = () => acknowledge(alert);
  part(".do-silence").onclick = () => silence(alert);
  part(".runbook").href = runbook(alert.rule);
}

/** What the monitor found next to the value; links lead to where it can be looked into. */
function contextOf({ context, labels }) {
  if (context === null || typeof context !== "object") return [];
  const { causes, tests, run, message, ...rest } = context;
  const list = (items) => make("ul", {}, ...items.map((item) => make("li", {}, item)));
  const found = [];
  if (Array.isArray(causes) && causes.length) {
    found.push(list(causes.map((cause) => make("span", {},
      make("a", { href: `/dlq/errors?group=${encodeURIComponent(cause.fingerprint)}` }, inWords(cause.message)),
      ` (${text(cause.exhausted === undefined ? "ops_cause_open" : "ops_cause_exhausted", { count: formatCount(cause.exhausted ?? cause.open) })})`))));
  }
  if (Array.isArray(tests) && tests.length) {
    found.push(list(tests.map((test) => make("a", { href: `/quality?test=${encodeURIComponent(test)}` }, test))));
  }
  if (run !== undefined) {
    const params = new URLSearchParams({ ...(labels.dag && { dag: labels.dag }), run });
    found.push(make("p", {}, make("a", { href: `/dags?${params}` }, run), message ? `: ${message}` : ""));
  }
  const others = Object.entries(rest).filter(([, value]) => value !== null && value !== "");
  if (message && run === undefined) found.push(make("p", { class: "hint" }, inWords(message)));
  if (others.length) found.push(make("p", { class: "hint" }, others.map(fact).join(" · ")));
  return found;
}

/** A figure next to the value, in the words of the page; what is not known here keeps its name. */
function fact([name, value]) {
  if (name === "why") return text(`ops_why_${value}`);
  const key = `ops_fact_${name}`;
  const named = text(key, { value: figure(name, value) });
  return named === key ? `${name.replaceAll("_", " ")}: ${figure(name, value)}` : named;
}

function figure(name, value) {
  if (typeof value !== "number") return typeof value === "string" ? atOf(value) ?? value : JSON.stringify(value);
  if (name.endsWith("_seconds")) return formatDuration(value * 1_000);
  if (name.endsWith("_ms")) return formatDuration(value);
  return name.endsWith("_bytes") ? formatBytes(value) : formatCount(value);
}

/** A time as it is stored, in UTC, as the page shows times; null for any other text. */
function atOf(value) {
  return /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$/.test(value) ? formatExactTime(Date.parse(`${value.replace(" ", "T")}Z`)) : null;
}

// --- acknowledge and silence ----------------------------------------------------------------

/** Shows a dialog; gives true when it was not cancelled. */
async function asked(id, field) {
  const dialog = byId(id);
  show(byId(`${id}-actor`), actorLine());
  dialog.returnValue = "";
  dialog.showModal();
  field.focus();
  await closing(dialog);
  return dialog.returnValue === "yes";
}

async function acknowledge(alert) {
  show(byId("acknowledge-title"), text("ops_acknowledge_title", { alert: nameOf(alert) }));
  byId("acknowledge-note").value = alert.note;
  if (!(await asked("acknowledge", byId("acknowledge-note")))) return;
  const note = byId("acknowledge-note").value.trim();
  await act(() => post(`/api/operations/alerts/${encodeURIComponent(alert.id)}/acknowledge`, { note }),
    () => text("ops_acknowledged_now", { alert: nameOf(alert) }));
  reload();
}

async function silence(alert) {
  const labels = alert?.labels ?? {};
  byId("silence-rule").value = alert?.rule ?? "";
  byId("silence-labels-row").hidden = Object.keys(labels).length === 0;
  byId("silence-labels").checked = true;
  show(byId("silence-labels-name"), text("ops_only_labels", { labels: labelsLine(labels) }));
  byId("silence-comment").value = "";
  if (!(await asked("silence", byId("silence-comment")))) return;
  const rule = byId("silence-rule").value;
  const isOfAlert = rule === alert?.rule && byId("silence-labels").checked;
  const order = {
    rule, labels: isOfAlert ? labels : {}, minutes: Number(byId("silence-minutes").value),
    comment: byId("silence-comment").value.trim(),
  };
  await act(() => post("/api/operations/silences", order), (made) =>
    text("ops_silenced_now", { rule: made.rule || text("ops_every_alert"), time: formatExactTime(made.ends_at) }));
  reload();
}

byId("new-silence").addEventListener("click", () => silence(null));

function buildSilence() {
  return make("li", {}, make("span", { class: "what" }), make("button", { type: "button" }, text("ops_end_silence")));
}

function updateSilence(element, one) {
  const name = one.rule === "" ? text("ops_every_alert") : nameOf(one);
  const begins = one.starts_at > now ? `${formatExactTime(one.starts_at)} – ` : "";
  show(element.querySelector(".what"), text("ops_silence_line", {
    name, until: `${begins}${formatExactTime(one.ends_at)}`, by: one.created_by, comment: one.comment }));
  const button = element.querySelector("button");
  button.setAttribute("aria-label", text("ops_end_silence_of", { name }));
  button.onclick = async () => {
    await act(() => post(`/api/operations/silences/${encodeURIComponent(one.id)}/end`), () => text("ops_silence_ended", { name }));
    reload();
  };
}

// --- processes ------------------------------------------------------------------------------

const cpu = (value) => (value === null ? NONE : formatPercent(value / 100));

function disk(process) {
  if (process.disk_free === null || !process.disk_size) return NONE;
  return text("ops_disk_free", { free: formatBytes(process.disk_free), share: formatPercent(process.disk_free / process.disk_size) });
}

function processRow(process) {
  const cell = (key, name, ...shown) => make("td", { class: name, data: { label: key === "CPU" ? key : text(key) } }, ...shown);
  const seen = process.life === "alive" ? formatExactTime(process.started_at)
    : text(process.life === "ended" ? "ops_ended_at" : "ops_seen_at", { time: formatExactTime(process.ended_at ?? process.seen_at) });
  return make("tr", {},
    make("td", { class: "name", title: process.id }, `${process.host} ${process.pid}`),
    make("td", {}, badge("life", process.life)),
    cell("ops_roles", "", process.roles),
    cell("CPU", "figure", cpu(process.cpu_percent)),
    make("td", { class: "spark-cell" }, curve(process.curve.map(([used]) => used), text("ops_cpu_hour"))),
    cell("ops_memory", "figure", formatBytes(process.memory_bytes)),
    make("td", { class: "spark-cell" }, curve(process.curve.map(([, bytes]) => bytes), text("ops_memory_hour"))),
    cell("ops_disk", "figure", disk(process)),
    cell("ops_since", "when", seen),
    cell("ops_version", "", process.version));
}

// --- history and rules ----------------------------------------------------------------------

function historyRow(alert) {
  const cell = (key, name, shown) => make("td", { class: name, data: { label: text(key) } }, shown);
  const since = alert.firing_since ?? alert.pending_since;
  const taken = alert.acknowledged_at === null ? NONE : [alert.acknowledged_by, alert.note].filter(Boolean).join(": ");
  return make("tr", {},
    make("td", { class: "name" }, make("a", { href: runbook(alert.rule) }, nameOf(alert))),
    make("td", {}, badge("severity", alert.severity)),
    cell("ops_from", "when", formatExactTime(since)),
    cell("ops_lasted", "", formatDuration(alert.resolved_at - since)),
    cell("ops_worst", "", `${alert.worst} (${text("ops_threshold", { threshold: alert.threshold })})`),
    cell("ops_acknowledged", "", taken));
}

function ruleRow(rule) {
  const span = (seconds) => formatDuration(seconds * 1_000);
  const condition = [text(`ops_when_${rule.side}`, { threshold: rule.threshold })];
  if (rule.window) condition.push(text("ops_over", { span: span(rule.window) }));
  if (rule.hold) condition.push(text("ops_for", { span: span(rule.hold) }));
  return make("tr", {},
    make("td", { class: "name" }, make("a", { href: runbook(rule.name) }, rule.name)),
    make("td", {}, rule.state === null ? badge("state", "quiet") : badge("state", rule.state)),
    make("td", {}, badge("severity", rule.severity)),
    make("td", {}, condition.join(", ")));
}

// --- the page -------------------------------------------------------------------------------

function showTiles({ alerts, processes }) {
  const all = alerts.filter((alert) => alert.state === "firing");
  const firing = all.filter((alert) => !isKnown(alert));
  const known = all.length - firing.length;
  const critical = firing.filter((alert) => alert.severity === "critical");
  const pending = alerts.filter((alert) => alert.state === "pending");
  const alive = processes.filter((process) => process.life === "alive");
  const silent = processes.filter((process) => process.life === "silent");
  show(byId("firing-count"), formatCount(firing.length));
  const notes = firing.length ? [text("ops_note_critical", { count: formatCount(critical.length) })] : [];
  if (known) notes.push(text("ops_note_known", { count: formatCount(known) }));
  show(byId("note-firing-count"), notes.join(" · ") || text("ops_note_nothing"));
  byId("tile-firing-count").classList.toggle("warn", firing.length > 0);
  show(byId("pending-count"), formatCount(pending.length));
  show(byId("alive-count"), formatCount(alive.length));
  show(byId("note-alive-count"), silent.length ? text("ops_note_silent", { count: formatCount(silent.length) }) : text("ops_note_alive"));
  byId("tile-alive-count").classList.toggle("warn", silent.length > 0);
}

function showMonitor({ monitor, at }) {
  byId("no-monitor").hidden = monitor.is_at_work;
  const last = monitor.newest_reading === null ? "" : ` ${text("ops_last_measured", { time: formatExactTime(monitor.newest_reading) })}`;
  show(byId("no-monitor"), `${text("ops_no_monitor")}${last}`);
  show(byId("measured"), monitor.is_at_work && monitor.newest_reading !== null
    ? text("ops_measured", { ago: formatDuration(Math.max(0, at - monitor.newest_reading)) }) : "");
}

function showRules(rules) {
  changed(byId("rules"), rules, () => byId("rules").replaceChildren(...rules.map(ruleRow)));
  changed(byId("silence-rule"), rules.map((rule) => rule.name), () => byId("silence-rule").replaceChildren(
    make("option", { value: "" }, text("ops_every_alert")), ...rules.map((rule) => make("option", { value: rule.name }, rule.name))));
}

function fill(id, rows, build) {
  changed(byId(id), rows, () => byId(id).replaceChildren(...rows.map(build)));
  byId(`${id}-scroll`).hidden = rows.length === 0;
  byId(`no-${id}`).hidden = rows.length > 0;
}

const reload = refresh(async (isNewest) => {
  const found = await get(`/api/operations?lang=${language}`);
  if (!isNewest()) return;
  now = found.at;
  showMonitor(found);
  showTiles(found);
  byId("no-alerts").hidden = found.alerts.length > 0;
  keyed(byId("alerts"), found.alerts, (alert) => alert.id, buildAlert, updateAlert);
  byId("silences-part").hidden = found.silences.length === 0;
  keyed(byId("silences"), found.silences, (one) => one.id, buildSilence, updateSilence);
  fill("processes", found.processes, processRow);
  fill("history", found.history, historyRow);
  byId("more-history").hidden = found.history_is_complete;
  showRules(found.rules);
}, EVERY_MS, "ops_failed");

startActor();
startDialogs();
keepAddress();
startCharts();
