// The first page: live tiles from /live, everything else from /api/overview.

import {
  NONE, fromField, formatAgo, formatCount, formatDuration, formatExactTime, formatRate, formatShare, formatTime, text, toField,
} from "./format.js";
import { inWords } from "./messages.js";
import { distrust, draw, forgetZoom } from "./overview-charts.js";
import { byId, get, ready, setStatus, show, showProblem } from "./page.js";
import { curve } from "./spark.js";
import { startTrust } from "./trust.js";

const OVERVIEW_EVERY_MS = 10_000;
const SILENCE_MS = 6_000;
const RETRY_MS = 3_000;

const say = (id, shown) => show(byId(id), shown);

/** When each kind of figure was measured, by the page's clock. */
const measuredAt = { live: null, totals: null, overview: null };
let range = document.querySelector(".ranges [aria-current]").dataset.range;
/** The end of the range, as the address says it; null for the newest data. */
let until = new URLSearchParams(location.search).get("to") || null;
let isEmpty = null;

/** The page is shown once both kinds of figures are there. */
const awaited = new Set(["live", "overview", "trust"]);
function came(kind) {
  awaited.delete(kind);
  if (awaited.size === 0) ready();
}

// --- live -----------------------------------------------------------------------------------

let source = null;
let heardAt = Date.now();

function connect() {
  source?.close();
  heardAt = Date.now();
  source = new EventSource("/live");
  source.onmessage = (event) => {
    heardAt = Date.now();
    setStatus("live", "live");
    showSnapshot(JSON.parse(event.data));
  };
  source.onerror = () => {
    setStatus("lost", "connection_lost");
    // After an answer that is not a stream the browser does not come back by itself.
    if (source.readyState === EventSource.CLOSED) setTimeout(connectIfSilent, RETRY_MS);
  };
}

function connectIfSilent() {
  if (!document.hidden && source?.readyState === EventSource.CLOSED) connect();
}

function showSnapshot(snapshot) {
  const skew = Date.now() - snapshot.at;
  measuredAt.live = Date.now();
  if (snapshot.throughput) showThroughput(snapshot.throughput, snapshot.limits);
  showLag(snapshot.lag, snapshot.throughput);
  if (snapshot.totals) {
    measuredAt.totals = snapshot.totals_at + skew;
    showTotals(snapshot.totals);
    showStart(snapshot);
  }
  showProblem("live", snapshot.problems.join(" · "));
  showFreshness();
  came("live");
}

function showThroughput(throughput, limits) {
  say("throughput", formatRate(throughput.now));
  const peak = Math.max(0, ...throughput.per_second);
  say("note-throughput", peak > 0 ? text("peak", { value: formatRate(peak) }) : text("nothing_in_five_minutes"));
  curve(throughput.per_second, null, byId("spark"));
  say("p50", formatDuration(throughput.p50_ms));
  say("p99", formatDuration(throughput.p99_ms));
  warn("latency", limits.filter((limit) => limit.signal === "latency"), throughput.p99_ms === null, (seconds) => `p95 ${formatDuration(seconds * 1_000)}`);
  say("error-rate", formatShare(throughput.error_rate));
  warn("error-rate", limits.filter((limit) => limit.signal === "error_share"), throughput.error_rate === null, formatShare);
}

/** Says what the table of alerts has about a figure, and in words, not by colour alone, whether an alert is open. */
function warn(tile, limits, isNone, shown) {
  const out = limits.find((limit) => limit.alert !== null) ?? null;
  byId(`tile-${tile}`).classList.toggle("warn", out !== null);
  const period = text(isNone ? "nothing_in_last_minute" : "last_minute");
  const limit = out ?? limits[0];
  const values = limit && { rule: limit.rule, span: formatDuration(limit.window * 1_000), threshold: shown(limit.threshold) };
  if (out) say(`note-${tile}`, `${text("over_limit", { ...values, value: shown(out.alert.value) })} · ${period}`);
  else say(`note-${tile}`, limit ? `${period} · ${text("limit", values)}` : period);
}

function showLag(lag, throughput) {
  say("lag", formatCount(lag));
  if (lag === null) say("note-lag", "");
  else if (lag === 0) say("note-lag", text("caught_up"));
  else if (throughput && throughput.now > 0) {
    say("note-lag", text("behind", { duration: formatDuration((lag / throughput.now) * 1_000) }));
  } else say("note-lag", text("waiting"));
}

function showTotals(totals) {
  say("total-events", formatCount(totals.valid));
  say("total-clicks", formatCount(totals.clicks));
  say("total-ctr", formatShare(totals.ctr));
  say("total-duplicates", formatCount(totals.duplicates));
  say("total-invalid", formatCount(totals.invalid));
  say("total-late", formatCount(totals.late));
  const types = totals.invalid_by_type.filter(([, count]) => count > 0);
  const listed = types.map(([name, count]) => `${name} ${formatCount(count)}`).join(" · ");
  say("invalid-by-type", listed ? `${text("invalid_by_type")} ${listed}` : "");
}

function showStart(snapshot) {
  const wasEmpty = isEmpty;
  isEmpty = snapshot.totals.records === 0 && !snapshot.lag;
  byId("start").hidden = !isEmpty;
  // The first events have come: do not wait for the next round.
  if (wasEmpty && !isEmpty) loadOverview();
}

function sampleCommand() {
  const event = {
    id: "1", click: 0, hour: new Date().toISOString(), banner_pos: 0, device_type: 1, device_conn_type: 0,
    site_id: "s1", site_domain: "example.com", site_category: "news", app_id: "a1", app_domain: "example.com",
    app_category: "none", device_id: "d1", device_ip: "192.0.2.1", device_model: "m1",
  };
  return `curl ${location.origin}/v1/events --data-binary '${JSON.stringify(event)}'`;
}

// --- overview -------------------------------------------------------------------------------

let overviewTimer = null;
let overviewRequest = 0;

async function loadOverview() {
  clearTimeout(overviewTimer);
  overviewRequest += 1;
  const request = overviewRequest;
  let [report, reason] = [null, ""];
  try {
    report = await get(`/api/overview?${asked()}`);
  } catch (error) {
    // A console that is gone is already shown in the status line.
    if (!(error instanceof TypeError)) reason = text("overview_failed", { reason: error.message });
  }
  if (request !== overviewRequest) return;
  overviewTimer = setTimeout(() => !document.hidden && loadOverview(), OVERVIEW_EVERY_MS);
  showProblem("overview", reason);
  if (report !== null) showReport(report);
  showFreshness();
  came("overview");
}

function showReport(report) {
  measuredAt.overview = Date.now();
  showSpan(report);
  showErrors(report.errors, report.errors_problem);
  draw(report);
}

/** What the charts are asked for, as written in addresses. */
const asked = (more = {}) => new URLSearchParams({ ...more, range, ...(until && { to: until }) });

function showUntil(report) {
  const field = byId("until");
  byId("newest").setAttribute("aria-pressed", String(until === null));
  if (report.oldest === null) return;
  field.min = toField(report.oldest).slice(0, 16);
  field.max = toField(report.newest).slice(0, 16);
  if (document.activeElement !== field) field.value = toField(report.to).slice(0, 16);
}

function showSpan(report) {
  showUntil(report);
  const span = { from: formatTime(report.from), to: formatTime(report.to) };
  say("span", report.to === null ? "" : text("span", span));
}

function showErrors(errors, problem) {
  showProblem("errors", problem ?? "");
  byId("errors-empty").hidden = errors.length > 0 || Boolean(problem);
  byId("errors-scroll").hidden = errors.length === 0;
  byId("errors").replaceChildren(...errors.map(errorRow));
}

function errorRow(error) {
  const row = document.createElement("tr");
  const cell = (shown, name) => {
    const place = document.createElement("td");
    place.textContent = shown;
    place.className = name;
    row.append(place);
    return place;
  };
  cell(formatExactTime(error.at), "when");
  cell(error.error_type, "kind");
  cell(error.field ?? NONE, "field");
  cell(inWords(error.message), "what").title = error.message;
  cell(`${error.topic} / ${error.partition} / ${error.offset}`, "where");
  const payload = document.createElement("div");
  payload.textContent = error.payload;
  payload.title = text("bytes", { count: formatCount(error.payload_bytes) });
  cell("", "payload").append(payload);
  return row;
}

function select(newRange, newUntil) {
  [range, until] = [newRange, newUntil];
  forgetZoom();
  for (const link of document.querySelectorAll(".ranges a")) {
    if (link.dataset.range === range) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  keepRangeInLanguageLinks();
  loadOverview();
}

function keepRangeInLanguageLinks() {
  for (const link of document.querySelectorAll(".languages a")) {
    link.search = asked({ lang: link.lang }).toString();
  }
}

// --- both -----------------------------------------------------------------------------------

function showFreshness() {
  const now = Date.now();
  for (const place of document.querySelectorAll("[data-fresh]")) {
    const at = measuredAt[place.dataset.fresh];
    if (at !== null) place.textContent = text("updated", { ago: formatAgo(now - at) });
  }
}

setInterval(() => {
  showFreshness();
  if (!document.hidden && Date.now() - heardAt > SILENCE_MS) {
    setStatus("lost", "connection_lost");
    connect();
  }
}, 1_000);

function go(newRange, newUntil) {
  select(newRange, newUntil);
  history.pushState(null, "", `?${asked()}`);
}

document.querySelector(".ranges").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.dataset.range, until);
});

byId("until").addEventListener("change", () => {
  const at = fromField(byId("until").value);
  go(range, at === null ? null : new Date(at).toISOString().slice(0, 16));
});
byId("newest").addEventListener("click", () => go(range, null));

addEventListener("popstate", () => {
  const params = new URLSearchParams(location.search);
  const named = params.get("range") ?? "24h";
  if (document.querySelector(`.ranges [data-range="${CSS.escape(named)}"]`)) select(named, params.get("to"));
});

// A hidden page requests nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    return;
  }
  connect();
  loadOverview();
});

say("start-curl", sampleCommand());
keepRangeInLanguageLinks();
connect();
loadOverview();
startTrust((spans) => {
  came("trust");
  if (spans !== null) distrust(spans);
});
