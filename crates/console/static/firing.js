// The banner of every page while something critical fires that is not acknowledged.

import { formatCount, text } from "./format.js";
import { byId, get, show } from "./page.js";

const EVERY_MS = 15_000;
const language = document.documentElement.lang;

/** Reads out which alerts fire, once for each: not their figures, which change all the time. */
let said = null;
function announce(names) {
  const line = names.join(", ");
  if (line === said) return;
  said = line;
  show(byId("firing-said"), line === "" ? "" : text("firing_said", { names: line }));
}

async function look() {
  let firing;
  try {
    firing = await get(`/api/operations/firing?lang=${language}`);
  } catch {
    // The page itself says that the console or the warehouse is gone.
    return;
  }
  byId("firing").hidden = firing.count === 0;
  const more = firing.count > firing.summaries.length ? [text("firing_more", { count: formatCount(firing.count - firing.summaries.length) })] : [];
  show(byId("firing-text"), [...firing.summaries, ...more].join(" · "));
  announce(firing.names);
}

look();
setInterval(() => !document.hidden && look(), EVERY_MS);
