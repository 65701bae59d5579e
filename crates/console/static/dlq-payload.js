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

/** Shows a payload in `place`, with its buttons in `tools`. Keeps what was chosen when shown anew. */
export function showPayload(place, tools, view, download) {
  const isHex = place.dataset.hex ? place.dataset.hex === "true" : !view.is_utf8;
  const notes = [text("bytes", { count: formatCount(view.bytes) })];
  if (!view.is_utf8) notes.push(text("dlq_no_utf8"));
  const shownBytes = bytesOf(view).length;
  if (shownBytes < view.bytes) notes.push(text("dlq_cut", { count: formatCount(shownBytes) }));
  if (view.mark && view.mark[0] > shownBytes) notes.push(text("dlq_mark_beyond", { at: formatCount(view.mark[0]) }));
  const toggle = make("button", { type: "button", class: "toggle", "aria-pressed": String(isHex) }, text("dlq_hex"));
  toggle.addEventListener("click", () => {
    place.dataset.hex = String(!isHex);
    showPayload(place, tools, view, download);
    tools.querySelector(".toggle").focus();
  });
  tools.replaceChildren(toggle, make("a", { class: "button", href: download, download: "" }, text("dlq_download")));
  place.replaceChildren(make("p", { class: "hint" }, notes.join(" · ")), isHex ? asHex(view) : asText(view));
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
