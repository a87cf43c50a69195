// Elements and words. Whatever the app says is put into the page as text, and never as HTML.

export const byId = (id) => document.getElementById(id);

// el makes an element. Properties whose value is null or false are left out, and the others are attributes.
export function el(tag, properties, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value !== null && value !== undefined && value !== false) e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

// setText changes a text only if it is another one: a screen reader would read it again.
export function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

const whole = new Intl.NumberFormat("en");
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const number = (n) => whole.format(Math.round(n ?? 0));
export const rate = (n) => (n >= 100 ? number(n) : tenths.format(n ?? 0));
export const plural = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

export function millis(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms >= 1000 ? `${tenths.format(ms / 1000)} s` : ms >= 10 ? `${number(ms)} ms` : `${tenths.format(ms)} ms`;
}

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${tenths.format(n)} ${units[i]}`;
}

// ago is a time before now in one unit.
export function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

export function clock(time, withMillis) {
  const d = new Date(time);
  const two = (n, width = 2) => String(n).padStart(width, "0");
  const hms = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return withMillis ? `${hms}.${two(d.getMilliseconds(), 3)}` : hms;
}

export const versionName = (v) => v || "unknown version";

// zero is how Go writes a time that is none.
export const isTime = (t) => Boolean(t) && !t.startsWith("0001-");

// hue is the place of a version among the colours of page.css. A version keeps it as long as the page is open.
const hues = new Map();
export function hue(version) {
  if (!hues.has(version)) hues.set(version, hues.size % 6);
  return hues.get(version);
}

export const calm = matchMedia("(prefers-reduced-motion: reduce)");
export const dark = matchMedia("(prefers-color-scheme: dark)");

// colour is that of a version in the theme of now.
export function colour(version) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--hue-${hue(version)}`).trim();
}
