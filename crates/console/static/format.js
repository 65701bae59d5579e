// Numbers, times and texts in the page's language.

const language = document.documentElement.lang || "en";
const texts = JSON.parse(document.getElementById("texts").textContent);

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const rate = new Intl.NumberFormat(language, {
  style: "percent",
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});
const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
const unit = (name) =>
  new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: 1 });
const milliseconds = unit("millisecond");
const seconds = unit("second");
const minutes = unit("minute");
const hours = unit("hour");
// --- the time zone --------------------------------------------------------------------------

const ZONE_KEY = "adpipe.zone";
const isZone = (name) => {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone: name }));
  } catch {
    return false;
  }
};

/** The zone in which times are shown: that of the last choice, else UTC. */
export const zone = (() => {
  try {
    const chosen = localStorage.getItem(ZONE_KEY);
    return chosen && isZone(chosen) ? chosen : "UTC";
  } catch {
    return "UTC";
  }
})();

/** Keeps a choice; false where the browser forbids the store. */
export function keepZone(name) {
  try {
    localStorage.setItem(ZONE_KEY, name);
    return true;
  } catch {
    return false;
  }
}

// Dates as in the data and on the charts' axes, the same in every language: Swedish writes ISO 8601.
const day = { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
const time = new Intl.DateTimeFormat("sv-SE", day);
const exactTime = new Intl.DateTimeFormat("sv-SE", { ...day, second: "2-digit" });

/** A time as a field of type datetime-local takes it. */
export const toField = (ms) => exactTime.format(ms).replace(" ", "T");

/** What the clock in the zone shows at a time, as ms of a clock that is never changed. */
export const wallClock = (ms) =>
  (zone === "UTC" ? ms : Date.parse(`${toField(ms)}Z`) + (((ms % 1_000) + 1_000) % 1_000));

/** The time at which the clock in the zone shows this. */
export function fromWallClock(wall) {
  // The offset of the zone then, not now. Twice, because it may change between the two.
  const offset = (at) => wallClock(at) - at;
  return wall - offset(wall - offset(wall));
}

/** What such a field holds, ms since the Unix epoch; null for nothing. */
export function fromField(value) {
  const wall = value ? Date.parse(`${value}Z`) : Number.NaN;
  return Number.isNaN(wall) ? null : fromWallClock(wall);
}

/** What is shown where there is no figure. */
export const NONE = "–";

const orNone = (value, show) => (value === null || value === undefined ? NONE : show(value));

/** The text of a key, with its {places} filled. */
export function text(key, places = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (place, name) => places[name] ?? place);
}

export const formatCount = (value) => orNone(value, (count) => whole.format(count));
/** Few events a second are worth a decimal place. */
export const formatRate = (value) => orNone(value, (rate) => (rate < 100 ? oneDigit : whole).format(rate));
/** "16.59 %" in English and "16.59%" in Korean, as in messages and on the command line. */
const spaced = (percentage) => (language === "ko" ? percentage : percentage.replace(/(\d)%/, "$1\u00a0%"));
export const formatShare = (value) => orNone(value, (share) => spaced(rate.format(share)));
export const formatPercent = (value) => orNone(value, (share) => spaced(percent.format(share)));
export const formatTime = (ms) => orNone(ms, (at) => time.format(at));
export const formatExactTime = (ms) => orNone(ms, (at) => exactTime.format(at));

/** A time span in the unit that suits it. */
export function formatDuration(ms) {
  return orNone(ms, (span) => {
    if (span < 1_000) return milliseconds.format(Math.round(span));
    if (span < 100_000) return seconds.format(span / 1_000);
    if (span < 6_000_000) return minutes.format(span / 60_000);
    return hours.format(span / 3_600_000);
  });
}

const sizes = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"].map((name) =>
  new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short", maximumSignificantDigits: 3 }));

/** Bytes in the unit that suits them, of 1,000 each. */
export function formatBytes(bytes) {
  return orNone(bytes, (size) => {
    const step = size < 1_000 ? 0 : Math.min(sizes.length - 1, Math.floor(Math.log10(size) / 3));
    return sizes[step].format(size / 1_000 ** step);
  });
}

/** "1 sec. ago", by the page's own clock. */
export function formatAgo(elapsedMs) {
  const elapsed = Math.max(0, Math.round(elapsedMs / 1_000));
  return elapsed < 90 ? ago.format(-elapsed, "second") : ago.format(-Math.round(elapsed / 60), "minute");
}
