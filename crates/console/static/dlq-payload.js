// Payloads on a page: as text with the bad part marked, as bytes, and field by field.

import { NONE, formatCount, text } from "./format.js";
import { make } from "./page.js";

const BYTES_A_LINE = 16;
/** Lines of bytes on a page: more is for a file. */
const MOST_LINES = 1_024;

export const bytesOf = (view) => Uint8Array.from(atob(view.base64), (character) => character.charCodeAt(0));
const decode = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
export const textOf = (view) => decode(bytesOf(view));

/** Where something is wrong, within the bytes that are here; null when it is not among them. */
function markOf(view, length) {
  if (!view.mark || view.mark[0] > length) return null;
  const [from, to] = view.mark;
  return [from, Math.min(to, length)];
}

/** Control characters would be invisible, or move what is around them. */
const visible = (shown) =>
  shown.replace(/[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : `\u27e8U+${code.toString(16).toUpperCase()}\u27e9`;
  });

/**
 * JSON on lines of its own, every token as it was received: numbers keep their digits, repeated
 * fields stay, and the mark (a start and an end in the text) goes along. Null for anything else.
 */
export function prettyPrint(json, mark = null) {
  try {
    if (typeof JSON.parse(json) !== "object") return null;
  } catch {
    return null;
  }
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
  const moved = mark === null ? null : [null, null];
  let [shown, depth, before] = ["", 0, ""];
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const { 0: token, index } of json.matchAll(tokens)) {
    if (token === "}" || token === "]") {
      depth -= 1;
      if (before !== "{" && before !== "[") shown += line();
    } else if (before === "{" || before === "[" || before === ",") shown += line();
    else if (before === ":") shown += " ";
    if (moved && moved[0] === null && index + token.length > mark[0]) moved[0] = shown.length + Math.max(0, mark[0] - index);
    shown += token;
    if (moved && index < mark[1]) moved[1] = shown.length - Math.max(0, index + token.length - mark[1]);
    if (token === "{" || token === "[") depth += 1;
    before = token;
  }
  return { shown, mark: moved && moved[0] !== null ? moved : null };
}

/** The payload on lines of its own, where it is JSON and here as a whole. */
function pretty(view) {
  const bytes = bytesOf(view);
  if (!view.is_utf8 || bytes.length < view.bytes) return null;
  const mark = markOf(view, bytes.length);
  const places = mark && mark.map((at) => decode(bytes.subarray(0, at)).length);
  return prettyPrint(decode(bytes), places);
}

function asPretty({ shown, mark }, at) {
  const block = make("pre", { class: "bytes", tabIndex: 0 });
  if (mark === null) {
    block.append(visible(shown));
    return block;
  }
  const marked = make("mark", { title: text("dlq_mark", { at: formatCount(at) }) }, visible(shown.slice(...mark)) || "\u25c2");
  block.append(visible(shown.slice(0, mark[0])), marked, visible(shown.slice(mark[1])));
  return block;
}

function asText(view) {
  const bytes = bytesOf(view);
  const mark = markOf(view, bytes.length);
  const block = make("pre", { class: "bytes", tabIndex: 0 });
  if (!mark) {
    block.append(visible(decode(bytes)));
    return block;
  }
  const marked = make("mark", { title: text("dlq_mark", { at: formatCount(mark[0]) }) });
  marked.append(visible(decode(bytes.subarray(...mark))) || "\u25c2");
  block.append(visible(decode(bytes.subarray(0, mark[0]))), marked, visible(decode(bytes.subarray(mark[1]))));
  return block;
}

function asHex(view) {
  const bytes = bytesOf(view);
  const mark = markOf(view, bytes.length);
  const isMarked = (index) => mark !== null && index >= mark[0] && index < Math.max(mark[1], mark[0] + 1);
  const block = make("pre", { class: "bytes hex", tabIndex: 0 });
  const lines = Math.min(MOST_LINES, Math.ceil(bytes.length / BYTES_A_LINE));
  for (let line = 0; line < lines; line += 1) {
    const from = line * BYTES_A_LINE;
    const part = [...bytes.subarray(from, from + BYTES_A_LINE)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0"));
    const ascii = part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·"));
    block.append(`${from.toString(16).padStart(8, "0")}  `);
    if (!part.some((_, index) => isMarked(from + index))) {
      block.append(hex.join(" ").padEnd(BYTES_A_LINE * 3), " ", ascii.join(""), "\n");
      continue;
    }
    part.forEach((_, index) => {
      block.append(isMarked(from + index) ? make("mark", {}, hex[index]) : hex[index], " ");
    });
    block.append(" ".repeat((BYTES_A_LINE - part.length) * 3 + 1));
    part.forEach((_, index) => block.append(isMarked(from + index) ? make("mark", {}, ascii[index]) : ascii[index]));
    block.append("\n");
  }
  if (lines * BYTES_A_LINE < bytes.length) block.append("…");
  return block;
}

/** Shows a payload in `place`, with its buttons in `tools`. Keeps what was chosen when shown again. */
export function showPayload(place, tools, view, download) {
  const lines = pretty(view);
  const forms = [...(lines ? ["pretty"] : []), "text", "hex"];
  const usual = lines ? "pretty" : view.is_utf8 ? "text" : "hex";
  const form = forms.includes(place.dataset.form) ? place.dataset.form : usual;
  const notes = [text("bytes", { count: formatCount(view.bytes) })];
  if (!view.is_utf8) notes.push(text("dlq_no_utf8"));
  const shownBytes = bytesOf(view).length;
  if (shownBytes < view.bytes) notes.push(text("dlq_cut", { count: formatCount(shownBytes) }));
  if (view.mark && view.mark[0] > shownBytes) notes.push(text("dlq_mark_beyond", { at: formatCount(view.mark[0]) }));
  const toggle = (name) => {
    const button = make("button", { type: "button", class: `as-${name}`, "aria-pressed": String(name === form) }, text(`dlq_as_${name}`));
    button.addEventListener("click", () => {
      place.dataset.form = name;
      showPayload(place, tools, view, download);
      tools.querySelector(`.as-${name}`).focus();
    });
    return button;
  };
  tools.replaceChildren(...forms.map(toggle), make("a", { class: "button", href: download, download: "" }, text("dlq_download")));
  const shown = { pretty: () => asPretty(lines, view.mark?.[0]), text: () => asText(view), hex: () => asHex(view) };
  place.replaceChildren(make("p", { class: "hint" }, notes.join(" · ")), shown[form]());
}

/** What differs, field by field. */
export function changesTable(changes) {
  if (!changes) return make("p", { class: "hint" }, text("dlq_no_comparison"));
  const head = make("tr", {}, ...["field", "dlq_before", "dlq_after"].map((key) => make("th", { scope: "col" }, text(key))));
  const cell = (value, kind) =>
    make("td", { class: "value-cell" }, value === null ? NONE : make(kind, {}, visible(value)));
  const rows = changes.changed.map((change) =>
    make("tr", {}, make("th", { scope: "row" }, change.field), cell(change.before, "del"), cell(change.after, "ins")));
  return make("div", { class: "scroll" },
    make("table", { class: "changes" }, make("thead", {}, head), make("tbody", {}, ...rows)),
    make("p", { class: "hint" }, text("dlq_unchanged_fields", { count: formatCount(changes.unchanged) })));
}
