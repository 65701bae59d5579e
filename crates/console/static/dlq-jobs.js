// Bulk actions: how far they are, what came of them, and a button to end them.

import { formatCount, text } from "./format.js";
import { addressOf, parseTime, rebuildMarts, showTime } from "./dlq-shared.js";
import { inWords } from "./messages.js";
import { act, byId, get, keyed, make, post, show } from "./page.js";

/** What ended is shown this much longer, and no more than the newest of it. */
const SHOWN_AFTER_MS = 600_000;
const MOST_ENDED = 3;

function build() {
  return make("li", { class: "job" },
    make("div", { class: "job-head" },
      make("b", { class: "name" }), make("a", { class: "which" }), make("span", { class: "span state" }),
      make("button", { type: "button", class: "cancel" }, text("dlq_job_cancel"))),
    make("progress", { max: 1 }),
    make("p", { class: "figures" }),
    make("ul", { class: "failures" }),
    make("p", { class: "marts", hidden: true }, make("span", {}, text("dlq_marts_lack")), " ",
      make("button", { type: "button", class: "do-marts" }, text("dlq_rebuild_marts"))));
}

function describe(filter) {
  const parts = Object.entries(filter).filter(([name]) => name !== "status")
    .map(([name, value]) => `${name}: ${[].concat(value).map((part) => part || "-").join(", ")}`);
  return parts.length ? parts.join(" · ") : text("dlq_all_errors");
}

function update(element, job, reload) {
  const part = (name) => element.querySelector(name);
  show(part(".name"), text(`dlq_job_${job.kind}`));
  const link = part(".which");
  show(link, describe(job.filter));
  // What it was done to is no longer of the status that it was looked for by.
  link.href = `/dlq/errors?${addressOf({ ...job.filter, status: [] })}`;
  show(part(".state"), `${text(`dlq_job_state_${job.state}`)} · ${job.actor} · ${showTime(job.created_at)}`);
  const cancel = part(".cancel");
  cancel.hidden = !job.is_open;
  cancel.onclick = () => act(
    () => post(`/api/dlq/jobs/${encodeURIComponent(job.job_id)}/cancel`),
    () => text("dlq_job_cancelled"),
  ).then(reload);
  const done = job.changed + job.skipped;
  const progress = part("progress");
  const sends = job.kind === "retry" || job.kind === "edit";
  progress.hidden = !job.is_open && job.outcomes.waiting === 0;
  if (job.total > 0) {
    // Half of the way is to touch each error, the other half to hear what came of it.
    const heard = Math.max(0, job.changed - job.outcomes.waiting);
    const share = Math.min(1, done / job.total);
    progress.value = sends ? (share + Math.min(1, (heard + job.skipped) / job.total)) / 2 : share;
  } else progress.removeAttribute("value");
  progress.setAttribute("aria-label", text(`dlq_job_${job.kind}`));
  const figures = [text(job.total > 0 ? "dlq_job_done_of" : "dlq_job_done", {
    done: formatCount(job.changed), total: formatCount(job.total),
  })];
  if (job.skipped) figures.push(text("dlq_job_skipped", { count: formatCount(job.skipped) }));
  if (sends) {
    for (const name of ["applied", "already_counted", "failed", "waiting"]) {
      const count = job.outcomes[name];
      if (count || name === "applied") figures.push(text(`dlq_job_${name}`, { count: formatCount(count) }));
    }
  }
  if (job.state === "canary") figures.push(text("dlq_job_canary", { count: formatCount(job.canary) }));
  if (job.message) figures.push(job.message);
  show(part(".figures"), figures.join(" · "));
  // Repaired events belong to days that the marts have summed up already.
  part(".marts").hidden = job.is_open || job.outcomes.applied === 0;
  part(".do-marts").onclick = rebuildMarts;
  const failures = part(".failures");
  failures.hidden = job.failures.length === 0;
  const lines = job.failures.map(([reason, count]) => `${formatCount(count)} × ${inWords(reason)}`);
  if (failures.dataset.shown !== lines.join("\n")) {
    failures.dataset.shown = lines.join("\n");
    failures.replaceChildren(...lines.map((line) => make("li", {}, line)));
  }
}

/** Shows what is under way or ended a short time ago; true when something still moves. */
export async function loadJobs(isNewest, reload) {
  const { jobs } = await get("/api/dlq/jobs");
  if (!isNewest()) return false;
  const moves = (job) => job.is_open || job.outcomes.waiting > 0;
  const isRecent = (job) => Date.now() - parseTime(job.finished_at) < SHOWN_AFTER_MS;
  const ended = jobs.filter((job) => !moves(job) && isRecent(job)).slice(0, MOST_ENDED);
  const shown = jobs.filter((job) => moves(job) || ended.includes(job));
  byId("jobs-panel").hidden = shown.length === 0;
  keyed(byId("jobs"), shown, (job) => job.job_id, build, (element, job) => update(element, job, reload));
  return shown.some((job) => job.is_open);
}
