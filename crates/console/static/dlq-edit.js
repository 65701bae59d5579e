// Edits: simple steps or JSON Patch text, tried before they are saved.

import { formatCount, text } from "./format.js";
import { changedLine } from "./dlq-shared.js";
import { act, actorLine, byId, closing, make, post, show } from "./page.js";

const OPS = ["set", "rename", "cast", "drop"];

/** `/field`, as RFC 6901 writes it. */
const pathOf = (field) => `/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`;

/** What is JSON is taken as such (5, "5", true, null), everything else as text. */
function valueOf(entered) {
  try {
    const value = JSON.parse(entered);
    return typeof value === "object" && value !== null ? entered : value;
  } catch {
    return entered;
  }
}

function stepRow(field) {
  const row = make("li", { class: "step" });
  const op = make("select", { "aria-label": text("dlq_step") }, ...OPS.map((name) => make("option", { value: name }, text(`dlq_op_${name}`))));
  const name = make("input", { value: field ?? "", placeholder: text("field"), "aria-label": text("field"), spellcheck: false, autocomplete: "off" });
  const value = make("input", { "aria-label": text("dlq_value"), spellcheck: false, autocomplete: "off" });
  const kind = make("select", { "aria-label": text("dlq_to") },
    ...["integer", "text"].map((name) => make("option", { value: name }, text(`dlq_kind_${name}`))));
  const drop = make("button", { type: "button", "aria-label": text("dlq_remove_step") }, "×");
  const fit = () => {
    value.hidden = op.value !== "set" && op.value !== "rename";
    kind.hidden = op.value !== "cast";
    value.placeholder = text(op.value === "rename" ? "dlq_new_name" : "dlq_value");
  };
  op.addEventListener("change", fit);
  drop.addEventListener("click", () => {
    const list = row.parentElement;
    row.remove();
    list.dispatchEvent(new Event("input", { bubbles: true }));
  });
  row.append(op, name, value, kind, drop);
  row.step = () => {
    const path = pathOf(name.value.trim());
    if (op.value === "set") return { op: "add", path, value: valueOf(value.value) };
    if (op.value === "rename") return { op: "move", from: path, path: pathOf(value.value.trim()) };
    if (op.value === "cast") return { op: "cast", path, to: kind.value };
    return { op: "remove", path };
  };
  fit();
  return row;
}

/**
 * Builds an editor in `place`. `payload`: text of the whole payload, or null when only steps make
 * sense. Gives `input()`: what the API takes, and `onChange`.
 */
export function editor(place, { field = null, payload = null }) {
  const modes = payload === null ? ["steps", "patch"] : ["whole", "steps", "patch"];
  const name = `mode-${place.id}`;
  const tabs = make("div", { class: "modes", role: "radiogroup", "aria-label": text("dlq_edit_by") },
    ...modes.map((mode, index) => make("label", { class: "check" },
      make("input", { type: "radio", name, value: mode, checked: index === 0 }), text(`dlq_mode_${mode}`))));
  const whole = make("textarea", { rows: 10, spellcheck: false, "aria-label": text("dlq_mode_whole"), value: payload ?? "" });
  const steps = make("ol", { class: "steps" }, stepRow(field));
  const more = make("button", { type: "button" }, text("dlq_more_steps"));
  const stepsPart = make("div", {}, steps, more, make("p", { class: "hint" }, text("dlq_value_hint")));
  const patch = make("textarea", { rows: 6, spellcheck: false, "aria-label": text("dlq_mode_patch") });
  const patchPart = make("div", {}, patch, make("p", { class: "hint" }, text("dlq_patch_hint")));
  const wholePart = make("div", {}, whole);
  const parts = { whole: wholePart, steps: stepsPart, patch: patchPart };
  const mode = () => tabs.querySelector("input:checked").value;
  const patchText = () => JSON.stringify([...steps.children].map((row) => row.step()));
  let before = modes[0];
  const fit = () => {
    // The steps are carried over into the text, where more can be said.
    if (before === "steps" && mode() === "patch") patch.value = JSON.stringify(JSON.parse(patchText()), null, 1);
    before = mode();
    for (const [key, part] of Object.entries(parts)) part.hidden = key !== mode();
  };
  tabs.addEventListener("change", fit);
  more.addEventListener("click", () => {
    const row = stepRow(null);
    steps.append(row);
    row.querySelector("input").focus();
  });
  place.replaceChildren(tabs, ...modes.map((key) => parts[key]));
  fit();
  return {
    input: () => {
      if (mode() === "whole") return { payload: whole.value };
      return { patch: mode() === "patch" ? patch.value : patchText() };
    },
    focus: () => place.querySelector(mode() === "steps" ? ".step input" : `textarea`)?.focus(),
    whole,
  };
}

/** What two texts have in common at both ends stays plain; the rest is marked. */
function difference(before, after) {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const parts = (whole, kind) => [
    whole.slice(0, head), make(kind, {}, whole.slice(head, whole.length - tail)), whole.slice(whole.length - tail),
  ];
  return [parts(before, "del"), parts(after, "ins")];
}

function sample({ error_id: id, before, after, problem }) {
  const [was, is] = difference(before, after);
  return make("div", { class: "sample" },
    make("p", {}, make("a", { href: `/dlq/errors/${id}`, target: "_blank" }, id),
      problem ? make("span", { class: "warn-text" }, ` ${text("dlq_would_fail", { reason: problem })}`) : null),
    make("pre", { class: "bytes small" }, ...was),
    make("pre", { class: "bytes small" }, ...is));
}

/** The counts stay in sight next to the buttons; what they are made of can be scrolled. */
function showRun(place, counts, run) {
  const count = (key, value) => make("div", {}, make("dt", {}, text(key)), make("dd", { class: "number" }, formatCount(value)));
  const reasons = run.reasons.map(([reason, times]) => make("li", {}, `${formatCount(times)} × ${reason}`));
  counts.replaceChildren(
    make("p", {}, text(run.is_complete ? "dlq_looked_at_all" : "dlq_looked_at_some", { count: formatCount(run.looked_at) })),
    make("dl", { class: "pair" }, count("dlq_run_valid", run.valid), count("dlq_run_invalid", run.still_invalid),
      count("dlq_run_unfit", run.does_not_fit), count("dlq_run_unchanged", run.unchanged)));
  place.replaceChildren(
    ...(reasons.length ? [make("ul", { class: "failures" }, ...reasons)] : []),
    ...(run.samples.length ? [make("h3", {}, text("dlq_samples")), ...run.samples.map(sample)] : []));
}

/** The buttons and places of the dialog that edits many errors. */
const partsOfDialog = () =>
  Object.fromEntries(["dry", "start", "problem", "result", "counts", "editor"].map((name) => [name, byId(`edit-many-${name}`)]));

/** Shows what an edit would do. Gives how many it would make valid; null when that is not what is entered any more. */
async function dryRun({ problem, result, counts }, target, patch, isEntered) {
  try {
    const run = await post("/api/dlq/dry-run", { ...target, patch });
    if (!isEntered(patch)) return null;
    showRun(result, counts, run);
    return run.valid;
  } catch (error) {
    show(problem, error.message);
    problem.hidden = false;
    return null;
  }
}

/** Begins the edit: a bulk action for a filter, at once for errors that are named. */
const begin = (target, patch) => (target.filter
  ? act(() => post("/api/dlq/jobs", {
      kind: "edit", filter: target.filter, patch, canary: Number(byId("edit-many-canary").value),
    }), () => text("dlq_job_begun"))
  : act(() => post("/api/dlq/edit", { ids: target.ids, patch }), changedLine));

/** Enter in a field tries the edit and does not close the dialog. */
function tryOnEnter({ dry, editor: place }) {
  byId("edit-many-form").onsubmit = (event) => {
    if (event.submitter?.value !== "" || event.submitter === null) event.preventDefault();
  };
  place.onkeydown = (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    dry.click();
  };
}

/**
 * The dialog that edits many errors: `target` is {filter} or {ids}. Resolves true when something
 * was begun.
 */
export async function editMany({ target, title, field = null, canary = 0 }) {
  const dialog = byId("edit-many");
  const parts = partsOfDialog();
  const { dry, start } = parts;
  show(byId("edit-many-title"), title);
  show(byId("edit-many-actor"), actorLine());
  byId("edit-many-canary-row").hidden = !target.filter;
  byId("edit-many-canary").value = canary;
  const tool = editor(parts.editor, { field });
  // Only what a dry run has shown can be started.
  let tried = null;
  let isDone = false;
  const forget = () => {
    tried = null;
    start.disabled = true;
    parts.problem.hidden = true;
    parts.result.replaceChildren();
    parts.counts.replaceChildren();
  };
  forget();
  parts.editor.oninput = forget;
  dry.onclick = async () => {
    forget();
    dry.disabled = true;
    const { patch } = tool.input();
    const valid = await dryRun(parts, target, patch, (entered) => entered === tool.input().patch);
    dry.disabled = false;
    if (valid === null) return;
    tried = patch;
    start.disabled = valid === 0;
    if (!start.disabled) start.focus();
  };
  start.onclick = async () => {
    if (tried === null) return;
    start.disabled = true;
    isDone = await begin(target, tried);
    start.disabled = isDone;
    if (isDone) dialog.close();
  };
  tryOnEnter(parts);
  dialog.showModal();
  tool.focus();
  await closing(dialog);
  return isDone;
}
