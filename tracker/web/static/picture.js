// Every chart as a file: SVG is written from its data, PNG painted from the SVG, CSV has its numbers.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { rowsOf } from "./chart.js";
import { painted, shown, token } from "./format.js";

const WIDTH = 900, HEIGHT = 480, LEFT = 72, TOP = 48, RIGHT = 24, BOTTOM = 84;

/** @param {string} text: letters that XML cannot hold become marks */
const safe = (text) => text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd").replace(/[<>&"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
/** The first letters, none cut in half. @param {string} text @param {number} most */
const brief = (text, most) => [...text].slice(0, most).join("");

/** About six round numbers between two. @param {number} low @param {number} high */
export function ticks(low, high) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return found;
}

/** @param {any} chart @returns {string} */
export function svgOf({ title, xLabel, lines, log, logX = false, verticals = [], range }) {
  let lowX = range?.min ?? Infinity, highX = range?.max ?? -Infinity, lowY = Infinity, highY = -Infinity;
  const fits = (/** @type {number} */ x) => (!range || (x >= range.min && x <= range.max)) && (!logX || x > 0);
  const usable = (/** @type {any} */ y) => y !== null && y !== undefined && Number.isFinite(y) && (!log || y > 0);
  for (const line of lines) {
    for (let at = 0; at < line.x.length; at += 1) {
      if (!usable(line.y[at]) || !fits(line.x[at])) continue;
      lowX = Math.min(lowX, line.x[at]);
      highX = Math.max(highX, line.x[at]);
      lowY = Math.min(lowY, line.y[at]);
      highY = Math.max(highY, line.y[at]);
    }
  }
  if (!Number.isFinite(lowY)) [lowX, highX, lowY, highY] = [0, 1, 0, 1];
  const height = (/** @type {number} */ y) => (log ? Math.log10(y) : y);
  const [low, high] = [height(lowY), height(highY)];
  const wide = (/** @type {number} */ x) => (logX ? Math.log10(x) : x);
  const x = (/** @type {number} */ value) => LEFT + ((wide(value) - wide(lowX)) / (wide(highX) - wide(lowX) || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - ((height(value) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const ink = token("--ink"), soft = token("--ink-soft"), grid = token("--grid");
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${safe(title)}</title><rect width="100%" height="100%" fill="${token("--paper")}"/>`,
    `<text x="${LEFT}" y="28" font-size="16" font-weight="600" fill="${ink}">${safe(title)}</text>`,
  ];
  const yTicks = log ? ticks(low, high).map((power) => 10 ** power) : ticks(lowY, highY);
  for (const tick of yTicks) {
    out.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick)}" y2="${y(tick)}" stroke="${grid}"/>`,
      `<text x="${LEFT - 8}" y="${y(tick) + 4}" text-anchor="end" fill="${soft}">${shown(tick, 4)}</text>`);
  }
  const xTicks = logX ? ticks(wide(lowX), wide(highX)).map((power) => 10 ** power) : ticks(lowX, highX);
  for (const tick of xTicks) out.push(`<text x="${x(tick)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="${soft}">${shown(tick, logX ? 3 : 6)}</text>`);
  out.push(`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - BOTTOM + 36}" text-anchor="middle" fill="${soft}">${safe(xLabel)}</text>`);
  lines.forEach((/** @type {any} */ line, /** @type {number} */ place) => {
    let path = "", pen = false, before = null;
    for (let at = 0; at < line.x.length; at += 1) {
      if (line.y[at] === undefined) continue;
      if (!usable(line.y[at]) || !fits(line.x[at])) {
        pen = false;
        continue;
      }
      const here = [x(line.x[at]).toFixed(1), y(line.y[at]).toFixed(1)];
      path += pen ? (line.stepped && before ? `H${here[0]}V${here[1]}` : `L${here}`) : `M${here}`;
      pen = true;
      before = here;
    }
    const dashes = line.dash?.length ? ` stroke-dasharray="${line.dash.join(" ")}"` : "";
    out.push(`<path d="${path}" fill="none" stroke="${painted(line.colour)}" stroke-width="${line.width ?? 2}" stroke-opacity="${line.alpha ?? 1}"${dashes}/>`);
    for (const odd of line.odd ?? []) if (fits(odd.x)) out.push(`<text x="${x(odd.x)}" y="${HEIGHT - BOTTOM - 4}" text-anchor="middle" fill="${painted(line.colour)}">${safe(shown(odd.value))}</text>`);
    const column = LEFT + (place % 4) * 200, row = HEIGHT - 28 + Math.floor(place / 4) * 16;
    if (place < 8) out.push(`<line x1="${column}" x2="${column + 24}" y1="${row}" y2="${row}" stroke="${painted(line.colour)}" stroke-width="2.5"${dashes}/><text x="${column + 30}" y="${row + 4}" fill="${ink}">${safe(brief(line.label, 24))}</text>`);
  });
  for (const mark of verticals) out.push(`<line x1="${x(mark.x)}" x2="${x(mark.x)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="${soft}" stroke-dasharray="3 3"/><text x="${x(mark.x) + 4}" y="${TOP + 10}" fill="${soft}">${safe(mark.label)}</text>`);
  return `${out.join("\n")}\n</svg>\n`;
}

/** @param {any} chart */
export const csvOf = ({ xLabel, lines }) => csvOfRows([[xLabel, ...lines.map((/** @type {any} */ line) => line.label)], ...rowsOf(lines)]);

const PAINTED = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "paint-order"];

/** A drawing of the page as a file of its own: what the style sheet says is written into it. @param {SVGSVGElement} drawing @param {string} title */
export function svgOfDrawing(drawing, title) {
  const copy = /** @type {SVGSVGElement} */ (drawing.cloneNode(true));
  const { width, height } = drawing.viewBox.baseVal;
  const own = [...drawing.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((element, at) => {
    const style = getComputedStyle(own[at]);
    // As attributes: the page's own policy forbids styles, also in a copy that is not shown.
    for (const name of PAINTED) element.setAttribute(name, style.getPropertyValue(name));
  });
  copy.removeAttribute("class");
  for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width: String(width), height: String(height), "aria-label": title })) copy.setAttribute(name, value);
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: token("--paper") })) paper.setAttribute(name, value);
  copy.prepend(paper);
  return new XMLSerializer().serializeToString(copy).replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd") + "\n";
}

/** Rows as a file: text that a spreadsheet would compute is kept as text. @param {any[][]} rows */
export function csvOfRows(rows) {
  const quoted = (/** @type {any} */ value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return Number.isFinite(value) ? String(value) : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
    const text = /^[=+\-@\t\r]/.test(String(value)) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

/** @param {string} name @param {Blob} blob */
function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** @param {string} svg @returns {Promise<Blob>} */
export function pngOf(svg) {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = image.width * 2;
      canvas.height = image.height * 2;
      const draw = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      draw.scale(2, 2);
      draw.drawImage(image, 0, 0);
      canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error("The picture is empty."))));
    };
    image.onerror = () => fail(new Error("The picture cannot be painted."));
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  });
}

/** Buttons that save a chart. ``svg`` replaces what is written from lines. @param {any} props */
export function Picture(props) {
  const [open, set] = useState(false);
  const place = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (!open) return undefined;
    place.current?.querySelector("[role=menuitem]")?.focus();
    const close = (/** @type {any} */ event) => !place.current?.contains(event.target) && set(false);
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, [open]);
  const name = props.title.replace(/[^\w.-]+/g, "-").slice(0, 60) || "chart";
  const chart = () => ({ ...props, range: props.range?.() ?? null });
  const svg = () => props.svg?.() ?? svgOf(chart());
  const kinds = {
    PNG: async () => save(`${name}.png`, await pngOf(svg())),
    SVG: () => save(`${name}.svg`, new Blob([svg()], { type: "image/svg+xml" })),
    CSV: () => save(`${name}.csv`, new Blob([props.csv?.() ?? csvOf(chart())], { type: "text/csv" })),
  };
  const pressed = (/** @type {any} */ event) => {
    const items = [...place.current.querySelectorAll("[role=menuitem]")], at = items.indexOf(document.activeElement);
    const by = { ArrowDown: 1, ArrowUp: -1 }[/** @type {string} */ (event.key)];
    if (by && open) {
      event.preventDefault();
      items.at((at + by) % items.length)?.focus();
    } else if (event.key === "Escape") {
      set(false);
      place.current.querySelector("button").focus();
    }
  };
  return html`<span class="menu" ref=${place} onKeyDown=${pressed}>
    <button class="quiet small" aria-haspopup="true" aria-expanded=${open} onClick=${() => set(!open)}>save</button>
    ${open && html`<span class="menu-items" role="menu">${Object.entries(kinds).map(([kind, act]) => html`<button role="menuitem" class="quiet" onClick=${() => { set(false); act(); }}>${kind}</button>`)}</span>`}
  </span>`;
}
