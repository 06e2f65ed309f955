// Small drawings of our own: curves in a table, dots, lines between axes, the knee.
import { html, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { number } from "./api.js";
import { shown } from "./format.js";
import { Twin } from "./parts.js";
import { csvOfRows, Picture, svgOfDrawing, ticks } from "./picture.js";

/** @param {{curve: any, best: number | null}} props */
export function Sparkline({ curve, best }) {
  if (!curve || curve.y.length < 2) return html`<span class="spark"></span>`;
  const ys = curve.y.map(number), known = ys.filter((/** @type {any} */ y) => Number.isFinite(y));
  if (!known.length) return html`<span class="spark none">NaN</span>`;
  const low = Math.min(...known), high = Math.max(...known), first = curve.x[0], last = curve.x[curve.x.length - 1];
  const x = (/** @type {number} */ value) => 2 + ((value - first) / (last - first || 1)) * 84;
  const y = (/** @type {number} */ value) => 19 - ((value - low) / (high - low || 1)) * 16;
  let path = "", pen = false;
  curve.x.forEach((/** @type {number} */ at, /** @type {number} */ place) => {
    const value = ys[place];
    if (!Number.isFinite(value)) pen = false;
    else {
      path += `${pen ? "L" : "M"}${x(at).toFixed(1)} ${y(/** @type {number} */ (value)).toFixed(1)}`;
      pen = true;
    }
  });
  const at = curve.x.indexOf(best);
  return html`<svg class="spark" width="88" height="22" role="img" aria-label="${curve.metric} from ${shown(ys[0], 3)} to ${shown(ys[ys.length - 1], 3)}">
    <path d=${path} />${at >= 0 && Number.isFinite(ys[at]) && html`<circle cx=${x(best ?? 0)} cy=${y(ys[at])} r="2.4" />`}</svg>`;
}

const H = 320, L = 64, T = 16, R = 20, B = 46;
const NARROWEST = 300;
const PADDING = 26;

/** How wide a drawing is: as what it stands in, so that its letters are as large as all others. */
function useWidth() {
  const place = useRef(/** @type {any} */ (null));
  const [width, set] = useState(640);
  useLayoutEffect(() => {
    if (!place.current) return undefined;
    const measure = () => set(Math.max(NARROWEST, Math.floor(place.current?.clientWidth ?? 0) - PADDING));
    const watch = new ResizeObserver(measure);
    watch.observe(place.current);
    measure();
    return () => watch.disconnect();
  }, []);
  return { place, width };
}

/** Letters on paper of their own, so that no line runs through them. @param {{x: number, y: number, text: string}} props */
function Note({ x, y, text }) {
  return html`<g class="note-on-axis"><rect x=${x} y=${y - 8} width=${text.length * 6.3 + 6} height="16" rx="3" /><text class="tick" x=${x + 3} y=${y + 4}>${text}</text></g>`;
}

/** Dots: a param against a metric. @param {{title: string, points: {x: number, y: number | null, label: string, onOpen?: () => void, big?: boolean, mark?: string}[], xLabel: string, yLabel: string, logX?: boolean, join?: boolean, tools?: any}} props */
export function Scatter({ title, points, xLabel, yLabel, logX = false, join = false, tools = null }) {
  const [log, setLog] = useState(logX);
  const { place: frame, width: W } = useWidth();
  const usable = points.flatMap((point) => (Number.isFinite(point.x) && point.y !== null && Number.isFinite(point.y) && (!log || point.x > 0) ? [{ ...point, y: point.y }] : []));
  const place = useMemo(() => {
    const wide = (/** @type {number} */ value) => (log ? Math.log10(value) : value);
    const xs = usable.map((point) => wide(point.x)), ys = usable.map((point) => point.y);
    let [lowX, highX, lowY, highY] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const padX = (highX - lowX || 1) * 0.05, padY = (highY - lowY || Math.abs(highY) || 1) * 0.08;
    [lowX, highX, lowY, highY] = [lowX - padX, highX + padX, lowY - padY, highY + padY];
    return {
      x: (/** @type {number} */ value) => L + ((wide(value) - lowX) / (highX - lowX)) * (W - L - R),
      y: (/** @type {number} */ value) => H - B - ((value - lowY) / (highY - lowY)) * (H - T - B),
      ticksX: log ? ticks(lowX, highX).filter(Number.isInteger).map((power) => 10 ** power) : ticks(lowX, highX),
      ticksY: ticks(lowY, highY),
    };
  }, [points, log, W]);
  const drawing = useRef(/** @type {any} */ (null));
  const head = ["", xLabel, yLabel], rows = () => usable.map((point) => [point.label, point.x, point.y]);
  return html`<figure class="chart ${join ? "narrow" : ""}" ref=${frame}><figcaption><span class="chart-title">${title}</span><span class="chart-tools">${tools}
      ${points.every((point) => point.x > 0) && html`<button class="quiet small" aria-pressed=${log} onClick=${() => setLog(!log)}>log x</button>`}
      ${usable.length > 0 && html`<${Picture} title=${title} svg=${() => svgOfDrawing(drawing.current, title)} csv=${() => csvOfRows([head, ...rows()])} />`}</span></figcaption>
    ${!usable.length ? html`<p class="none">No run has both.</p>` : html`<svg class="drawing" ref=${drawing} viewBox="0 0 ${W} ${H}" width=${W} height=${H} role="group" aria-label="${title}: ${usable.length} dots">
      ${place.ticksY.map((tick) => html`<line class="grid" x1=${L} x2=${W - R} y1=${place.y(tick)} y2=${place.y(tick)} /><text class="tick" x=${L - 8} y=${place.y(tick) + 4} text-anchor="end">${shown(tick, 3)}</text>`)}
      ${place.ticksX.map((tick) => html`<text class="tick" x=${place.x(tick)} y=${H - B + 18} text-anchor="middle">${shown(tick, 3)}</text>`)}
      <text class="tick" x=${(L + W - R) / 2} y=${H - 6} text-anchor="middle">${xLabel}</text>
      ${join && html`<polyline class="join" points=${usable.map((point) => `${place.x(point.x)},${place.y(point.y)}`).join(" ")} />`}
      ${usable.map((point) => html`<g class="dot ${point.big ? "big" : ""}" tabindex=${point.onOpen ? 0 : undefined} role=${point.onOpen ? "link" : "img"} aria-label="${point.label}: ${xLabel} ${shown(point.x)}, ${yLabel} ${shown(point.y)}" onClick=${point.onOpen}
        onKeyDown=${(/** @type {any} */ event) => event.key === "Enter" && point.onOpen?.()}>
        <title>${point.label}: ${xLabel} ${shown(point.x)}, ${yLabel} ${shown(point.y)}</title>
        <circle cx=${place.x(point.x)} cy=${place.y(point.y)} r=${point.big ? 7 : 5} />${point.mark && html`<text class="tick" x=${place.x(point.x)} y=${place.y(point.y) - 12} text-anchor="middle">${point.mark}</text>`}</g>`)}
    </svg><${Twin} title=${title} head=${head} rows=${rows} />`}</figure>`;
}

/** Lines between axes: what settings lead to which result. @param {{title: string, axes: string[], rows: {label: string, values: any[], onOpen?: () => void}[], better: "min" | "max" | null}} props */
export function Parallel({ title, axes, rows, better }) {
  const [over, set] = useState(-1);
  const { place: frame, width } = useWidth();
  const W = Math.max(width, axes.length * 92), side = W < 560 ? 40 : 60;
  const height = 300, top = 34, bottom = 26, gap = axes.length > 1 ? (W - 2 * side) / (axes.length - 1) : 0;
  const [brushes, brush] = useState(/** @type {Record<number, [number, number]>} */ ({}));
  const drawing = useRef(/** @type {any} */ (null)), from = useRef(/** @type {number | null} */ (null));
  const scales = axes.map((_, at) => {
    const values = rows.map((row) => row.values[at]).filter((value) => value !== null && value !== undefined);
    const known = values.filter((value) => Number.isFinite(value));
    if (!known.length || values.some((value) => typeof value !== "number")) {
      const words = [...new Set(values.map((value) => shown(value)))].sort();
      return { words, at: (/** @type {any} */ value) => (words.length < 2 ? 0.5 : words.indexOf(shown(value)) / (words.length - 1)) };
    }
    const low = Math.min(...known), high = Math.max(...known), log = low > 0 && high / low > 50;
    const wide = (/** @type {number} */ value) => (log ? Math.log(value) : value);
    // What is not finite lies beyond the end of its axis.
    const part = (/** @type {any} */ value) => (!Number.isFinite(value) ? (value === Infinity ? 1.07 : -0.07) : high === low ? 0.5 : (wide(value) - wide(low)) / (wide(high) - wide(low)));
    return { low, high, odd: [...new Set(values.filter((value) => !Number.isFinite(value)))], at: part };
  });
  const isWithin = (/** @type {any} */ row) => Object.entries(brushes).every(([at, [low, high]]) => {
    const value = row.values[Number(at)];
    if (value === null || value === undefined) return false;
    const part = scales[Number(at)]?.at(value);
    return part >= low && part <= high;
  });
  const partAt = (/** @type {PointerEvent} */ event) => {
    const { y: height_ } = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.current.getScreenCTM().inverse());
    return (height - bottom - height_) / (height - top - bottom);
  };
  const drag = (/** @type {number} */ at) => ({
    onPointerDown: (/** @type {any} */ event) => {
      event.target.setPointerCapture(event.pointerId);
      from.current = partAt(event);
    },
    onPointerMove: (/** @type {any} */ event) => {
      const start = from.current, now = partAt(event);
      if (start !== null && Math.abs(now - start) > 0.02) brush((was) => ({ ...was, [at]: [Math.min(start, now), Math.max(start, now)] }));
    },
    onPointerUp: (/** @type {any} */ event) => {
      if (from.current !== null && Math.abs(partAt(event) - from.current) <= 0.02) brush(({ [at]: _gone, ...rest }) => rest);
      from.current = null;
    },
  });
  const isBrushed = Object.keys(brushes).length > 0, within = rows.filter(isWithin).length;
  const x = (/** @type {number} */ at) => side + at * gap;
  const y = (/** @type {number} */ part) => height - bottom - part * (height - top - bottom);
  const result = axes.length - 1;
  const quality = (/** @type {any} */ row) => {
    const value = row.values[result];
    if (typeof value !== "number" || !Number.isFinite(value)) return 0;
    const part = scales[result].at(value);
    return better === "max" ? part : 1 - part;
  };
  const head = ["", ...axes], chosen = () => rows.filter(isWithin).map((row) => [row.label, ...row.values]);
  return html`<figure class="chart" ref=${frame}><figcaption><span class="chart-title">${title}</span><span class="chart-note" aria-live="polite">${isBrushed ? `${within} of ${rows.length} within` : "drag along an axis to choose"}</span>
      <span class="chart-tools">${isBrushed && html`<button class="quiet small" onClick=${() => brush({})}>choose all</button>`}
        <${Picture} title=${title} svg=${() => svgOfDrawing(drawing.current, title)} csv=${() => csvOfRows([head, ...chosen()])} /></span></figcaption>
    <div class="wide"><svg class="drawing" ref=${drawing} viewBox="0 0 ${W} ${height}" width=${W} height=${height} role="group" aria-label="${title}: ${rows.length} runs over ${axes.join(", ")}">
      ${rows.map((row, place) => {
        const points = row.values.map((value, at) => (value === null || value === undefined ? null : `${x(at)},${y(scales[at].at(value)).toFixed(1)}`)).filter(Boolean);
        const part = quality(row);
        return html`<g class="strand ${over === place ? "over" : ""} ${isWithin(row) ? "" : "out"}" role="link" tabindex="0" aria-label="${row.label}: ${axes.map((name, at) => `${name} ${shown(row.values[at])}`).join(", ")}"
          onMouseEnter=${() => set(place)} onMouseLeave=${() => set(-1)} onFocus=${() => set(place)} onBlur=${() => set(-1)} onClick=${row.onOpen} onKeyDown=${(/** @type {any} */ event) => event.key === "Enter" && row.onOpen?.()}>
          <title>${row.label}: ${axes.map((name, at) => `${name} ${shown(row.values[at])}`).join(", ")}</title>
          <polyline points=${points.join(" ")} stroke-opacity=${over === place ? 1 : 0.2 + 0.7 * part} stroke-width=${over === place ? 4 : 1.5 + 1.5 * part} /></g>`;
      })}
      ${axes.map((name, at) => html`<g class="axis"><line x1=${x(at)} x2=${x(at)} y1=${top} y2=${height - bottom} />
        <text x=${x(at)} y="14" text-anchor="middle" class="axis-name">${name.replace(/^params\./, "")}</text>
        ${scales[at].words
          ? scales[at].words.slice(0, 12).map((word) => html`<${Note} x=${x(at) + 5} y=${y(scales[at].at(word))} text=${String(word).slice(0, 12)} />`)
          : html`${scales[at].odd?.map((value) => html`<${Note} x=${x(at) + 5} y=${y(scales[at].at(value))} text=${shown(value)} />`)}<${Note} x=${x(at) + 5} y=${y(1)} text=${shown(scales[at].high, 3)} /><${Note} x=${x(at) + 5} y=${y(0)} text=${shown(scales[at].low, 3)} />`}
        ${brushes[at] && html`<rect class="brush" x=${x(at) - 7} width="14" y=${y(brushes[at][1])} height=${y(brushes[at][0]) - y(brushes[at][1])} rx="3" />`}
        <rect class="handle" x=${x(at) - 11} width="22" y=${top - 10} height=${height - top - bottom + 20} ...${drag(at)}><title>${name}: drag to choose a range, click to choose all</title></rect></g>`)}
    </svg></div><${Twin} title=${title} head=${head.map((name) => name.replace(/^params\./, ""))} rows=${chosen} /></figure>`;
}
