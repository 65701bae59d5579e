// The page "DAGs": the list, one DAG's grid and graph, one run with its attempts and a log.

import { formatDuration, formatExactTime, formatTime, text } from "./format.js";
import { byId, get, keepAddress, make, post, refresh, show, toast } from "./page.js";
import { svg } from "./svg.js";

const EVERY_MS = 2_000;
const LOG_EVERY_MS = 1_000;
const MAX_LOG = 2_000_000;
const SIGNS = {
  success: "✓", failed: "✕", running: "▶", queued: "…", waiting: "…", cancelled: "⊘", retrying: "↻", upstream_failed: "↧", none: "",
};

const address = new URLSearchParams(location.search);

/** What is shown. */
const chosen = { dag: address.get("dag"), run: address.get("run"), task: null, try: null };
let dag = null;
let run = null;
/** Whether there is a DAG of the name in the address. */
let hasDag = false;

/** Replaces what is shown only when it has changed: focus and selection survive. */
function fill(id, key, children) {
  const place = byId(id);
  const shown = JSON.stringify(key);
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  const at = [...place.querySelectorAll("a, button")].indexOf(document.activeElement);
  place.replaceChildren(...children());
  if (at >= 0) place.querySelectorAll("a, button")[at]?.focus();
}

const say = (id, shown) => show(byId(id), shown);

const stateName = (state) => text(`dags_state_${state}`);

function mark(state, title) {
  const made = make("span", { className: "mark", textContent: SIGNS[state] ?? "?", title: title ?? stateName(state) });
  made.dataset.runState = state;
  return made;
}

const took = (item, now) => (item.started_at === null ? null : (item.finished_at ?? now) - item.started_at);
const path = (...parts) => `/api/dags${parts.map((part) => `/${encodeURIComponent(part)}`).join("")}`;

// --- requests ---------------------------------------------------------------------------------

/** A button's work; says how it went, and looks again. */
async function order(url, body, done) {
  try {
    const answer = await post(url, body);
    done?.(answer);
  } catch (error) {
    toast(text("dags_refused", { reason: error.message }));
  }
  await look();
}

// --- the list -----------------------------------------------------------------------------------

function showList(list) {
  byId("no-scheduler").hidden = list.has_scheduler;
  byId("no-dags").hidden = list.dags.length > 0;
  const isThere = list.dags.some((one) => one.id === chosen.dag);
  const isWrong = chosen.dag !== null && !isThere;
  byId("no-dag").hidden = !isWrong;
  say("no-dag", isWrong ? text("dags_no_dag", { dag: chosen.dag }) : "");
  if (chosen.dag === null) chosen.dag = list.dags[0]?.id ?? null;
  hasDag = list.dags.some((one) => one.id === chosen.dag);
  const key = list.dags.map((one) => [one.id, one.next, one.runs.map((last) => [last.run, last.state]), one.id === chosen.dag]);
  fill("dag-list", key, () => list.dags.map(listItem));
}

function listItem(one) {
  const link = make("a", { href: `?dag=${encodeURIComponent(one.id)}` });
  if (one.id === chosen.dag) link.setAttribute("aria-current", "true");
  const next = one.next === null ? "" : text("dags_next", { time: formatTime(one.next) });
  const dots = make("span", { className: "dots" }, ...one.runs.map((last) => mark(last.state, `${last.label} ${stateName(last.state)}`)));
  const last = one.runs.at(-1);
  dots.setAttribute("role", "img");
  dots.setAttribute("aria-label", last ? text("dags_last", { state: stateName(last.state), label: last.label }) : text("dags_no_runs"));
  link.append(
    make("span", { className: "name", textContent: one.id }),
    make("span", { className: "when", textContent: whenInWords(one) }),
    make("span", { className: "next", textContent: next }),
    dots,
  );
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose({ dag: one.id, run: null, task: null, try: null });
  });
  return make("li", {}, link);
}

function whenInWords(one) {
  if (one.after !== null) return text("dags_after", { dag: one.after });
  return one.next === null ? text("dags_by_hand") : `${one.trigger} (${one.zone})`;
}

function choose(choice, history_ = "pushState") {
  Object.assign(chosen, choice);
  const query = new URLSearchParams({ dag: chosen.dag, ...(chosen.run && { run: chosen.run }) });
  history[history_](null, "", `?${query}`);
  look();
}

addEventListener("popstate", () => {
  const query = new URLSearchParams(location.search);
  Object.assign(chosen, { dag: query.get("dag"), run: query.get("run"), task: null, try: null });
  look();
});

// --- one DAG ------------------------------------------------------------------------------------

/** A DAG of ours in the page's language; those of others say what they are in their own. */
function aboutOf(shown) {
  const key = `dags_about_${shown.id}`;
  const ours = text(key);
  return shown.is_built_in && ours !== key ? ours : shown.description;
}

function showDag() {
  byId("dag").hidden = dag === null;
  if (dag === null) return;
  say("dag-name", dag.id);
  say("dag-about", aboutOf(dag));
  const next = dag.next === null ? "" : ` · ${text("dags_next", { time: formatTime(dag.next) })}`;
  const followers = dag.followers.length ? ` · ${text("dags_followed_by", { dags: dag.followers.join(", ") })}` : "";
  say("dag-when", whenInWords(dag) + next + followers);
  byId("open-backfill").hidden = !dag.has_intervals;
  const newest = dag.columns.find((column) => column.run === chosen.run) ?? dag.columns.at(-1);
  fill("graph", [dag.tasks, dag.followers, newest?.tasks], () => graph(dag, newest?.tasks ?? {}));
  byId("no-runs").hidden = dag.columns.length > 0;
  const longest = Math.max(1, ...dag.columns.map((column) => took(column, dag.at) ?? 0));
  const key = dag.columns.map((column) => [column.run, column.state, column.attempt, column.tasks, Math.round((60 * (took(column, dag.at) ?? 0)) / longest)]);
  const isAtEnd = byId("grid-scroll").dataset.dag !== dag.id;
  fill("grid", [dag.id, key, chosen.run, chosen.task], () => grid(longest));
  if (isAtEnd) {
    byId("grid-scroll").dataset.dag = dag.id;
    byId("grid-scroll").scrollLeft = byId("grid-scroll").scrollWidth;
  }
}

function grid(longest) {
  if (dag.columns.length === 0) return [];
  const head = make("tr", {}, make("th", { scope: "row", textContent: text("dags_took") }));
  const labels = make("tr", {}, make("th", { scope: "row", textContent: text("dags_data_of") }));
  for (const column of dag.columns) {
    const span = took(column, dag.at);
    const bar = make("i");
    bar.style.height = `${Math.round((60 * (span ?? 0)) / longest)}px`;
    const frame = make("span", { className: "bar" }, bar, mark(column.state));
    frame.dataset.runState = column.state;
    const about = `${column.label}, ${stateName(column.state)}${span === null ? "" : `, ${formatDuration(span)}`}`;
    head.append(make("td", {}, cell(frame, about, column.run, null)));
    labels.append(make("th", { scope: "col" }, make("span", { className: "label", textContent: column.label })));
  }
  const rows = dag.tasks.map((task) => {
    const row = make("tr", {}, make("th", { scope: "row", textContent: task.id }));
    for (const column of dag.columns) {
      const state = column.tasks[task.id]?.state ?? "none";
      const about = `${task.id}, ${column.label}, ${stateName(state)}`;
      row.append(make("td", {}, cell(mark(state, about), about, column.run, task.id)));
    }
    return row;
  });
  return [make("tbody", {}, head, labels, ...rows)];
}

/** One square. Tab enters the grid once, arrows move in it. */
function cell(inside, about, run_, task) {
  const isChosen = run_ === chosen.run && task === chosen.task;
  const isFirst = chosen.run === null ? run_ === dag.columns.at(-1).run && task === null : isChosen;
  const button = make("button", { type: "button", title: about, tabIndex: isFirst ? 0 : -1 }, inside);
  button.setAttribute("aria-label", about);
  button.setAttribute("aria-pressed", String(isChosen));
  button.addEventListener("click", () => choose({ run: run_, task, try: null }, "replaceState"));
  return button;
}

byId("grid").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const rows = [...byId("grid").querySelectorAll("tr")].map((row) => [...row.querySelectorAll("button")]).filter((row) => row.length);
  const at = rows.findIndex((row) => row.includes(document.activeElement));
  if (!step || at < 0) return;
  event.preventDefault();
  rows[at + step[0]]?.[rows[at].indexOf(document.activeElement) + step[1]]?.focus();
});

/** What the graph shows as boxes, from left to right: each task in the column behind the last of those it waits for. */
function graphBoxes(shown) {
  const depth = {};
  for (const task of shown.tasks) depth[task.id] = Math.max(0, ...task.after.map((id) => depth[id] + 1));
  const boxes = [];
  const rowsOf = {};
  const first = shown.after === null ? 0 : 1;
  const put = (id, column, outside) => {
    const row = (rowsOf[column] = (rowsOf[column] ?? -1) + 1);
    const width = 24 + 8.2 * id.length;
    boxes.push({ id, column, row, width, outside });
  };
  if (first) put(shown.after, 0, true);
  for (const task of shown.tasks) put(task.id, depth[task.id] + first, false);
  const last = Math.max(...boxes.map((box) => box.column)) + 1;
  for (const id of shown.followers) put(id, last, true);
  const widths = [];
  for (const box of boxes) widths[box.column] = Math.max(widths[box.column] ?? 0, box.width);
  const lefts = widths.map((_, column) => 2 + widths.slice(0, column).reduce((sum, width) => sum + width + 44, 0));
  for (const box of boxes) Object.assign(box, { x: lefts[box.column], y: 4 + box.row * 46, width: widths[box.column] });
  return boxes;
}

/** Which box leads to which: tasks to those that wait for them, DAGs to the tasks at either end. */
function graphEdges(shown, boxes) {
  const find = (id, outside) => boxes.find((box) => box.id === id && box.outside === outside);
  const edges = shown.tasks.flatMap((task) => task.after.map((id) => [find(id, false), find(task.id, false)]));
  const roots = shown.tasks.filter((task) => task.after.length === 0).map((task) => find(task.id, false));
  const leaves = shown.tasks.filter((task) => !shown.tasks.some((other) => other.after.includes(task.id))).map((task) => find(task.id, false));
  if (shown.after !== null) edges.push(...roots.map((root) => [find(shown.after, true), root]));
  for (const id of shown.followers) edges.push(...leaves.map((leaf) => [leaf, find(id, true)]));
  return edges;
}

function graphLine([from, to]) {
  const [x1, y1, x2, y2] = [from.x + from.width, from.y + 16, to.x - 2, to.y + 16];
  const bend = (x2 - x1) / 2;
  return svg("path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "marker-end": "url(#tip)" });
}

function graphBox(box, shown, states) {
  const state = box.outside ? null : states[box.id]?.state ?? "none";
  const label = box.outside || state === "none" ? box.id : `${SIGNS[state]} ${box.id}`;
  const task = box.outside ? undefined : shown.tasks.find((one) => one.id === box.id);
  return svg("g", box.outside ? { class: "outside" } : { "data-run-state": state },
    svg("rect", { x: box.x, y: box.y, width: box.width, height: 32, rx: 7 }),
    svg("text", { x: box.x + box.width / 2, y: box.y + 21, "text-anchor": "middle" }, label),
    task && svg("title", {}, task.command.join(" ")));
}

/** The parts of the graph of a DAG, whose drawing is made as large as they are. */
function graph(shown, states) {
  const boxes = graphBoxes(shown);
  const drawing = byId("graph");
  drawing.setAttribute("width", Math.max(...boxes.map((box) => box.x + box.width)) + 4);
  drawing.setAttribute("height", Math.max(...boxes.map((box) => box.y)) + 40);
  const tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" }, svg("path", { d: "M0 0 8 4 0 8z" }));
  return [svg("defs", {}, tip), ...graphEdges(shown, boxes).map(graphLine), ...boxes.map((box) => graphBox(box, shown, states))];
}

// --- one run ------------------------------------------------------------------------------------

function showRun() {
  byId("run").hidden = run === null;
  if (run === null) return;
  say("run-name", run.run);
  const isOver = run.finished_at !== null;
  const span = took(run, run.at);
  const parts = [
    run.cancelling ? text("dags_cancelling") : stateName(run.state),
    text(`dags_kind_${run.kind}`),
    text("dags_interval", { from: formatTime(run.start), to: formatTime(run.end) }),
    ...(run.cause ? [text("dags_cause", { cause: run.cause })] : []),
    ...(span === null ? [] : [formatDuration(span)]),
    ...(run.attempt > 1 ? [text("dags_attempt", { number: run.attempt })] : []),
  ];
  say("run-about", parts.join(" · "));
  say("run-message", run.message);
  byId("retry").hidden = !isOver || run.state === "success";
  byId("retry-all").hidden = !isOver;
  byId("cancel").hidden = isOver;
  byId("cancel").disabled = run.cancelling;
  const tries = run.tries.filter((one) => chosen.task === null || one.task === chosen.task);
  const key = tries.map((one) => [one.task, one.try, one.state, one.started_at, one.finished_at, one.message, one.state === "running" ? run.at : 0]);
  fill("tries", [run.run, key, chosen.task, chosen.try], () => tries.map(tryRow));
  if (chosen.task !== null && chosen.try === null) {
    const newest = run.tries.filter((one) => one.task === chosen.task && one.has_log).at(-1);
    if (newest) openLog(newest);
  }
}

function tryRow(one) {
  const { state } = one;
  const span = took(one, run.at);
  const due = state === "retrying" ? text("dags_due", { time: formatExactTime(one.due_at) }) : one.message;
  const button = make("button", { type: "button", textContent: text("dags_log"), disabled: !one.has_log });
  button.setAttribute("aria-label", text("dags_log_of", { task: one.task, number: one.try }));
  button.addEventListener("click", () => openLog(one));
  const shownState = make("span", { className: "state", textContent: `${SIGNS[state]} ${stateName(state)}` });
  shownState.dataset.runState = state;
  const row = make("tr", { title: (one.command ?? []).join(" ") });
  row.append(
    make("td", { textContent: one.task }), make("td", { textContent: String(one.try) }), make("td", {}, shownState),
    make("td", { textContent: formatExactTime(one.started_at) }), make("td", { textContent: span === null ? "" : formatDuration(span) }),
    make("td", { className: "why", textContent: due }), make("td", {}, button),
  );
  return row;
}

// --- a log ----------------------------------------------------------------------------------------

let log = null;

function openLog(one) {
  Object.assign(chosen, { task: chosen.task === null ? null : one.task, try: one.try });
  log = { dag: run.dag, run: run.run, task: one.task, try: one.try, next: 0 };
  byId("log").textContent = "";
  say("log-name", text("dags_log_of", { task: one.task, number: one.try }));
  byId("log-frame").hidden = false;
  follow(log);
}

async function follow(mine) {
  const place = byId("log");
  while (log === mine) {
    try {
      const query = new URLSearchParams({ task: mine.task, try: mine.try, from: mine.next });
      const piece = await get(`${path(mine.dag, "runs", mine.run, "log")}?${query}`);
      if (log !== mine) return;
      const isAtEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 40;
      if (piece.missing) place.textContent = text("dags_log_missing");
      else place.append(piece.text);
      if (place.textContent.length > MAX_LOG) place.textContent = place.textContent.slice(-MAX_LOG / 2);
      if (isAtEnd) place.scrollTop = place.scrollHeight;
      const isMore = piece.next > mine.next;
      mine.next = piece.next;
      say("log-state", piece.over && !isMore ? text("dags_log_over") : text("live"));
      if (piece.over && !isMore) return;
      if (isMore) continue;
    } catch (error) {
      say("log-state", error.message);
    }
    await new Promise((resume) => setTimeout(resume, LOG_EVERY_MS));
  }
}

function closeLog() {
  log = null;
  byId("log-frame").hidden = true;
}

// --- buttons --------------------------------------------------------------------------------------

byId("run-now").addEventListener("click", () =>
  order(path(chosen.dag, "run"), {}, (answer) => {
    toast(text("dags_queued", { count: 1 }));
    choose({ run: answer.run, task: null, try: null });
  }));
byId("retry").addEventListener("click", () => order(path(chosen.dag, "runs", chosen.run, "retry"), { all: false }));
byId("retry-all").addEventListener("click", () => order(path(chosen.dag, "runs", chosen.run, "retry"), { all: true }));
byId("cancel").addEventListener("click", () => order(path(chosen.dag, "runs", chosen.run, "cancel"), {}));

byId("open-backfill").addEventListener("click", () => {
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  for (const id of ["backfill-from", "backfill-to"]) byId(id).value ||= yesterday;
  byId("backfill").showModal();
});
byId("backfill-close").addEventListener("click", () => byId("backfill").close());
byId("backfill-form").addEventListener("submit", () =>
  order(
    path(chosen.dag, "backfill"),
    { from: byId("backfill-from").value, to: byId("backfill-to").value, all: byId("backfill-all").checked },
    (answer) => toast(text("dags_backfilled", answer)),
  ));

fill("legend", "legend", () =>
  ["success", "failed", "running", "queued", "retrying", "upstream_failed", "cancelled"].map((state) =>
    // A task that waits for another one has the mark of those that are queued.
    make("li", {}, mark(state), state === "queued" ? `${stateName(state)}, ${stateName("waiting")}` : stateName(state))));
keepAddress();

// --- looking --------------------------------------------------------------------------------------

const look = refresh(async (isNewest) => {
  const list = await get("/api/dags");
  if (!isNewest()) return;
  showList(list);
  const [newDag, newRun] = await Promise.all([
    hasDag && get(path(chosen.dag)),
    hasDag && chosen.run && get(path(chosen.dag, "runs", chosen.run)).catch((error) => (error.status === 404 ? null : Promise.reject(error))),
  ]);
  if (!isNewest()) return;
  const isWrongRun = hasDag && chosen.run !== null && newRun === null;
  byId("no-run").hidden = !isWrongRun;
  say("no-run", isWrongRun ? text("dags_no_run", { dag: chosen.dag, run: chosen.run }) : "");
  if (log && (log.dag !== chosen.dag || log.run !== chosen.run)) closeLog();
  [dag, run] = [newDag || null, newRun || null];
  showDag();
  showRun();
}, EVERY_MS, "dags_failed");
