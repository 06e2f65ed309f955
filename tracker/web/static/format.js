// Values as people read them, the same as on the command line.
import { html } from "./vendor/htm-preact-standalone.module.js";

export const NOTHING = "–";

/** @param {any} value @param {number} [digits] */
export function shown(value, digits = 5) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  return String(Number(value.toPrecision(digits)));
}

/** An amount of money as the commands write it: less than a hundredth with one digit that is not 0.
 * @param {number} amount */
export function price(amount) {
  const small = amount !== 0 && Math.abs(amount) < 0.01;
  return small
    ? String(Number(amount.toPrecision(1)))
    : amount.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

/** @param {number | null} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const two = (/** @type {number} */ amount) => String(amount).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${two(Math.round(seconds) % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** @param {number | null} count */
export function size(count) {
  if (count === null || count === undefined) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let amount = count, unit = 0;
  while (amount >= 999.5 && unit < units.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${count} B` : `${Number(amount.toPrecision(3))} ${units[unit]}`;
}

/** @param {string | null} iso */
export function moment(iso) {
  if (!iso) return NOTHING;
  const when = new Date(iso);
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  return `${day} ${two(when.getHours())}:${two(when.getMinutes())}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many) => `${count.toLocaleString("en").replace(/,/g, " ")} ${count === 1 ? one : many ?? `${one}s`}`;

/** Each status has a shape of its own, so that nobody needs colours. */
const SHAPES = {
  running: "▶", finished: "✓", stopped_early: "■", failed: "✕", interrupted: "‖", lost: "?",
  available: "●", pruned: "○", missing: "✗", modified: "✗",
};

/** @param {{status: string}} props */
export function Status({ status }) {
  const shape = /** @type {any} */ (SHAPES)[status] ?? "·";
  return html`<span class="status ${status}"><span class="shape" aria-hidden="true">${shape}</span>${" "}${status.replace("_", " ")}</span>`;
}

/** A cell of a table. @param {any} value @param {{name: string, kind: string}} column */
export function cell(value, column) {
  if (value === null || value === undefined) return html`<span class="none">${NOTHING}</span>`;
  if (column.kind === "time") return html`<time dateTime=${value}>${moment(value)}</time>`;
  if (column.name === "bytes" || column.name === "frees") return size(value);
  if (column.name.startsWith("seconds")) return duration(value);
  if (column.name === "share" || column.name === "saved") return `${shown(100 * value, 3)} %`;
  if (column.name === "status" || column.name === "state") return html`<${Status} status=${value} />`;
  if (column.kind === "number") return shown(typeof value === "string" ? Number(value) : value);
  const text = shown(value);
  const brief = column.name === "id" || column.name === "sha256" ? text.slice(0, 8) : text;
  return brief.length > 160 ? `${brief.slice(0, 160)}…` : brief;
}

/** A command of the shell, each word as it is meant whatever it holds. @param {string[]} words */
export const command = (words) => words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");

/** @param {{kind: string}} column */
export const isNumeric = (column) => ["number", "integer", "optional"].includes(column.kind);

/** Colours and dashes of lines; the dashes tell them apart where colours do not. */
export const DASHES = [[], [7, 4], [2, 3], [10, 4, 2, 4], [4, 2, 4, 6], [14, 4]];
/** A name, so that a line changes with the theme; see `painted`. @param {number} at */
export const colour = (at) => `var(--line-${(at % 8) + 1})`;
/** @param {number} at */
export const dash = (at) => DASHES[Math.floor(at / 2) % DASHES.length];
/** @param {string} name */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** A colour as it is now, for canvases and files, which know no names. @param {string} paint */
export const painted = (paint) => (paint.startsWith("var(") ? token(paint.slice(4, -1)) : paint);
