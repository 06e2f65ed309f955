// A chart of lines: uPlot draws it; this adds what it lacks: export, a table twin, markers for odd values, words.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { NOTHING, painted, shown, token } from "./format.js";
import { Twin } from "./parts.js";
import { Picture } from "./picture.js";

/**
 * @typedef {{x: number, value: number}} Odd a value that no line can show: NaN or an infinity
 * @typedef {{label: string, x: ArrayLike<number>, y: ArrayLike<number | null>, colour: string, dash?: number[],
 *   width?: number, alpha?: number, odd?: Odd[], stepped?: boolean, dots?: boolean, quiet?: boolean}} Line
 * @typedef {{min: number, max: number, left: number, width: number}} Frame where the plot is, for what is drawn under it
 */

const HEIGHT = 260;
/** Between two epochs there is none. */
const WHOLE = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((factor) => factor * 10 ** power)).flat();

/** Between two values. uPlot has steps up to 1e32 only, and a loss that runs away is larger. */
const STEPS = Array.from({ length: 339 }, (_, place) => [1, 2, 2.5, 5].map((factor) => Number(`${factor}e${place - 32}`))).flat();

/** Between two times, in seconds. */
const CLOCK = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, ...[1, 2, 5, 10, 20, 50, 100].map((days) => days * 86400)];

/** Split off what a line cannot show. @param {ArrayLike<any>} x @param {ArrayLike<any>} y */
export function plain(x, y) {
  /** @type {number[]} */
  const xs = [];
  /** @type {(number | null)[]} */
  const ys = [];
  /** @type {Odd[]} */
  const odd = [];
  for (let at = 0; at < x.length; at += 1) {
    const value = y[at];
    if (value === null || value === undefined) continue;
    const known = Number(value);
    xs.push(Number(x[at]));
    ys.push(Number.isFinite(known) ? known : null);
    if (!Number.isFinite(known)) odd.push({ x: Number(x[at]), value: known });
  }
  return { x: xs, y: ys, odd };
}

/** What a chart shows, in a sentence. @param {Line} line @param {(value: any) => string} say */
function sentence(line, say) {
  let low = Infinity, high = -Infinity, lowAt = 0, highAt = 0, last = null;
  for (let at = 0; at < line.y.length; at += 1) {
    const value = line.y[at];
    if (value === null || !Number.isFinite(value)) continue;
    if (value < low) [low, lowAt] = [value, at];
    if (value > high) [high, highAt] = [value, at];
    last = value;
  }
  if (last === null) return `${line.label}: no values`;
  const odd = line.odd?.length ? `; ${line.odd.length} not finite` : "";
  return `${line.label}: from ${say(low)} at ${shown(line.x[lowAt])} to ${say(high)} at ${shown(line.x[highAt])}, last ${say(last)}${odd}`;
}

/**
 * @param {{title: string, xLabel: string, lines: Line[], height?: number, sync?: string, logY?: boolean, logX?: boolean,
 *   time?: boolean, range?: [number, number] | null, onZoom?: (from: number, to: number) => void, onReset?: () => void,
 *   zoomed?: boolean, onFrame?: (frame: Frame) => void, verticals?: {x: number, label: string, kind?: string}[],
 *   hatchFrom?: number | null, tools?: any, below?: any, legend?: boolean, busy?: boolean, note?: string, small?: boolean,
 *   say?: (value: any) => string, sayX?: (value: number) => string}} props small: many stand beside each other, from 0 up
 */
export function Chart(props) {
  const { title, xLabel, lines, height = HEIGHT, tools, below, legend = true, say = shown } = props;
  const host = useRef(/** @type {any} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const latest = useRef(props);
  latest.current = props;
  const [chosen, setLog] = useState(/** @type {boolean | null} */ (null));
  const log = chosen ?? Boolean(props.logY);
  const [own, setOwn] = useState(false);
  const [off, turn] = useState(/** @type {Set<string>} */ (new Set()));
  const [theme, repaint] = useState(0);
  const [values, point] = useState(/** @type {any} */ (null));
  const visible = lines.filter((line) => !off.has(line.label));
  const shape = visible.map((line) => `${line.label}|${line.colour}|${line.stepped}|${line.dots}`).join("\n");
  const data = useMemo(() => joined(visible), [lines, off]);
  useEffect(() => {
    const again = () => repaint((count) => count + 1);
    document.addEventListener("tracker-theme", again);
    const others = ["(prefers-color-scheme: dark)", "print"].map((medium) => matchMedia(medium));
    others.forEach((medium) => medium.addEventListener("change", again));
    return () => {
      document.removeEventListener("tracker-theme", again);
      others.forEach((medium) => medium.removeEventListener("change", again));
    };
  }, []);

  useLayoutEffect(() => {
    if (!host.current) return undefined;
    const options = optionsOf(latest, visible, { log, height, xLabel, point, zoomed: setOwn, width: host.current.clientWidth || 600 });
    const created = new uPlot(options, data, host.current);
    plot.current = created;
    const canvas = host.current.querySelector("canvas");
    canvas.setAttribute("aria-hidden", "true");
    let width = host.current.clientWidth;
    const watch = new ResizeObserver(() => {
      const now = host.current?.clientWidth ?? 0;
      if (now && now !== width) {
        width = now;
        created.setSize({ width: now, height });
      }
    });
    watch.observe(host.current);
    return () => {
      watch.disconnect();
      created.destroy();
      plot.current = null;
    };
  }, [shape, log, props.logX, theme, height]);

  useLayoutEffect(() => {
    // Where somebody has zoomed in, new points do not zoom out again.
    plot.current?.setData(data, !own);
  }, [data]);
  useLayoutEffect(() => plot.current?.redraw(false, true), [props.verticals, props.hatchFrom]);

  const reset = () => {
    setOwn(false);
    props.onReset?.();
    plot.current?.setData(data, true);
  };
  const toggle = (/** @type {string} */ label) => {
    const next = new Set(off);
    if (!next.delete(label)) next.add(label);
    turn(next);
  };
  const hasLog = log || lines.some((line) => Array.prototype.some.call(line.y, (value) => value > 0));
  const words = lines.slice(0, 12).map((line) => sentence(line, say)).join(". ");
  return html`<figure class="chart ${props.busy ? "busy" : ""}">
    <figcaption><span class="chart-title">${title}</span>${props.note && html`<span class="chart-note">${props.note}</span>`}
      <span class="chart-tools">${tools}
        ${!props.small && html`<button class="quiet small" aria-pressed=${log} disabled=${!hasLog} title=${hasLog ? "Logarithmic values" : "No value is above 0"} onClick=${() => setLog(!log)}>log y</button>`}
        ${(own || props.zoomed) && html`<button class="quiet small" onClick=${reset}>reset zoom</button>`}
        <${Picture} title=${title} xLabel=${xLabel} lines=${visible} log=${log} logX=${props.logX} verticals=${props.verticals} range=${() => rangeOf(plot.current)} />
      </span></figcaption>
    <div class="plot" ref=${host} role="img" aria-label="${title}. ${words}" onDblClick=${reset}></div>
    ${below}
    ${legend && lines.length > 0 && html`<ul class="legend" aria-label="Lines">${lines.map((line, at) => html`<li key=${line.label}>
      <button class="quiet" aria-pressed=${!off.has(line.label)} onClick=${() => toggle(line.label)} title="Show or hide">
        <svg class="swatch" width="26" height="8" aria-hidden="true"><line x1="1" y1="4" x2="25" y2="4" stroke=${line.colour} stroke-width="2.5" stroke-dasharray=${(line.dash ?? []).join(" ")} stroke-opacity=${line.alpha ?? 1} /></svg>
        <span>${line.label}</span></button>
      <output>${values && !off.has(line.label) ? valueAt(plot.current, visible.indexOf(line), values, say) : lastOf(line, say)}</output></li>`)}</ul>`}
    <${Twin} title=${title} head=${[xLabel, ...visible.map((line) => line.label)]} rows=${() => rowsOf(visible)}
      say=${(/** @type {any} */ cell, /** @type {number} */ column) => (column ? props.say?.(cell) ?? shown(cell, 6) : props.time ? new Date(cell * 1000).toLocaleTimeString() : props.sayX?.(cell) ?? shown(cell, 9))} />
  </figure>`;
}

/** @param {any} plot */
const rangeOf = (plot) => (plot ? { min: plot.scales.x.min, max: plot.scales.x.max } : null);

/** @param {Line} line @param {(value: any) => string} say */
function lastOf(line, say) {
  for (let at = line.y.length - 1; at >= 0; at -= 1) if (line.y[at] !== null) return say(line.y[at]);
  return NOTHING;
}

/** @param {any} plot @param {number} at @param {{idx: number}} values @param {(value: any) => string} say */
function valueAt(plot, at, values, say) {
  const column = plot?.data?.[at + 1];
  if (!column || values.idx === null) return NOTHING;
  // Lines that have no point right here show the one before.
  for (let place = values.idx; place >= 0 && place > values.idx - 200; place -= 1) {
    if (column[place] !== undefined && column[place] !== null) return say(column[place]);
  }
  return NOTHING;
}

/** Columns with one x for all lines. @param {Line[]} lines */
function joined(lines) {
  if (!lines.length) return [[]];
  if (lines.every((line) => line.x === lines[0].x && !line.odd?.length)) return [lines[0].x, ...lines.map((line) => line.y)];
  const tables = lines.map(withOdd).map((line) => {
    // Equal x (a step that was logged twice) would break the join: the last one counts there.
    const x = [], y = [];
    for (let at = 0; at < line.x.length; at += 1) {
      if (at + 1 < line.x.length && line.x[at + 1] === line.x[at]) continue;
      x.push(line.x[at]);
      y.push(line.y[at]);
    }
    return [x, y];
  });
  return uPlot.join(tables);
}

/** A line's points and, beside them, where its odd values are: without a place of their own they would not be in sight. @param {Line} line */
function withOdd(line) {
  const own = new Set(Array.from(line.x)), others = (line.odd ?? []).map((odd) => odd.x).filter((x) => !own.has(x));
  if (!others.length) return line;
  const places = [...Array.from(line.x, (x, at) => [x, line.y[at]]), ...others.map((x) => [x, undefined])].sort((one, other) => Number(one[0]) - Number(other[0]));
  return { ...line, x: /** @type {number[]} */ (places.map((place) => place[0])), y: /** @type {any[]} */ (places.map((place) => place[1])) };
}

/** One point in the middle, several from the first to the last. @param {any} u @param {number | null} low @param {number | null} high @param {boolean} log */
function rangeX(u, low, high, log) {
  if (u.data[0].length !== 1) return [low, high];
  const [only] = u.data[0];
  return log ? [only / 2, only * 2] : [only - 0.5, only + 0.5];
}

/** @param {number | null} low null where no value is finite @param {number | null} high @param {boolean} log */
function rangeY(low, high, log) {
  if (low === null || high === null) return log ? [1, 10] : [0, 1];
  if (log) return uPlot.rangeLog(low, high, 10, true);
  return low === 0 && high === 0 ? [-1, 1] : uPlot.rangeNum(low, high, 0.1, true);
}

/** Room for the longest label. @param {any} u @param {string[] | null} labels @param {number} axis @param {number} cycle */
function roomFor(u, labels, axis, cycle) {
  if (cycle > 1) return u.axes[axis]._size;
  return Math.max(58, 18 + 6.5 * Math.max(0, ...(labels ?? []).map((label) => label.length)));
}

/** Labels with as many digits as tell neighbours apart. @param {number[]} ticks @param {number} step between two @param {number} least from which letters stand for zeros */
function labelled(ticks, step, least) {
  const most = Math.max(...ticks.map((tick) => Math.abs(tick ?? 0)));
  const digits = Math.min(15, Math.max(4, step > 0 ? Math.ceil(Math.log10(most / step)) + 1 : 4));
  return ticks.map((tick) => (tick === null ? "" : compact(tick, digits, least)));
}

/** @param {{current: any}} latest @param {Line[]} lines @param {any} given */
function optionsOf(latest, lines, { log, height, xLabel, point, zoomed, width }) {
  const ink = token("--ink-soft"), grid = token("--grid");
  const axis = { stroke: ink, font: "11px system-ui", grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
  const props = latest.current;
  return {
    width, height, padding: [10, 24, 0, 0],
    cursor: {
      drag: { x: true, y: false, setScale: !props.onZoom }, points: { size: 7 },
      sync: props.sync ? { key: props.sync, setSeries: false } : undefined,
    },
    legend: { show: false },
    scales: {
      x: { time: Boolean(props.time), distr: props.logX ? 3 : 1, range: (/** @type {any} */ u, /** @type {number | null} */ low, /** @type {number | null} */ high) => latest.current.range ?? rangeX(u, low, high, Boolean(props.logX)) },
      y: { distr: log ? 3 : 1, range: props.small ? (/** @type {any} */ _u, /** @type {number | null} */ _low, /** @type {number | null} */ high) => [0, (high ?? 0) * 1.1 || 1] : (/** @type {any} */ _u, /** @type {number | null} */ low, /** @type {number | null} */ high) => rangeY(low, high, log) },
    },
    axes: [
      { ...axis, size: props.small ? 24 : 36, incrs: props.sayX ? CLOCK : ["epoch", "step"].includes(xLabel) && !props.logX ? WHOLE : undefined, label: props.time || props.small ? undefined : xLabel, labelSize: 14, labelFont: "11px system-ui", labelGap: 0, values: props.time ? undefined : (/** @type {any} */ _u, /** @type {number[]} */ ticks, /** @type {number} */ _axis, /** @type {number} */ _space, /** @type {number} */ step) => (props.sayX ? ticks.map((tick) => (tick === null ? "" : props.sayX(tick))) : labelled(ticks, props.logX ? 0 : step, 1e4)) },
      { ...axis, incrs: STEPS, ...(props.small ? { size: 64, space: 24 } : { size: roomFor }), values: (/** @type {any} */ _u, /** @type {any[]} */ ticks, /** @type {number} */ _axis, /** @type {number} */ _space, /** @type {number} */ step) => (props.say ? ticks.map((tick) => (tick === null ? "" : props.say(tick))) : labelled(ticks, log ? 0 : step, 1e6)) },
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.label, stroke: faded(painted(line.colour), line.alpha ?? 1), width: line.width ?? 2, dash: line.dash,
      spanGaps: false, paths: line.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: line.dots || undefined, size: 5, fill: painted(line.colour) },
    }))],
    hooks: {
      setSelect: [(/** @type {any} */ u) => {
        if (u.select.width < 3) return;
        if (latest.current.onZoom) {
          latest.current.onZoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        } else zoomed(true);
      }],
      setCursor: [(/** @type {any} */ u) => point(u.cursor.idx === null || u.cursor.idx === undefined ? null : { idx: u.cursor.idx })],
      draw: [(/** @type {any} */ u) => {
        decorate(u, latest.current, lines);
        const ratio = devicePixelRatio || 1;
        latest.current.onFrame?.({ min: u.scales.x.min, max: u.scales.x.max, left: u.bbox.left / ratio, width: u.bbox.width / ratio });
      }],
    },
  };
}

/** @param {number} value @param {number} digits @param {number} least */
function compact(value, digits, least) {
  const amount = Math.abs(value);
  if (amount >= 1e15) return Number(value.toPrecision(digits)).toExponential();
  const [size, letter] = amount < least ? [1, ""] : amount >= 1e12 ? [1e12, "T"] : amount >= 1e9 ? [1e9, "G"] : amount >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${shown(value / Number(size), digits)}${letter}`;
}

/** @param {string} paint @param {number} alpha */
const faded = (paint, alpha) => (alpha >= 1 || !paint.startsWith("#") ? paint : paint + Math.round(alpha * 255).toString(16).padStart(2, "0"));

/** Draw what no line can show: odd values, vertical marks, the part that was never trained. @param {any} u @param {any} props @param {Line[]} lines */
function decorate(u, props, lines) {
  const draw = u.ctx, ratio = devicePixelRatio || 1, { left, top, width, height } = u.bbox;
  const right = left + width, bottom = top + height;
  draw.save();
  draw.beginPath();
  draw.rect(left - 6 * ratio, top, width + 12 * ratio, height);
  draw.clip();
  if (props.hatchFrom !== null && props.hatchFrom !== undefined) {
    const from = Math.max(left, u.valToPos(props.hatchFrom, "x", true));
    draw.strokeStyle = token("--hatch");
    draw.lineWidth = ratio;
    draw.beginPath();
    for (let at = from - height; at < right; at += 8 * ratio) {
      draw.moveTo(Math.max(from, at), at < from ? bottom - (from - at) : bottom);
      draw.lineTo(at + height, top);
    }
    draw.stroke();
  }
  for (const [place, mark] of (props.verticals ?? []).entries()) {
    const at = u.valToPos(mark.x, "x", true);
    draw.strokeStyle = draw.fillStyle = token(mark.kind === "ghost" ? "--accent" : "--ink-soft");
    draw.lineWidth = (mark.kind === "ghost" ? 2 : 1) * ratio;
    draw.setLineDash(mark.kind === "ghost" ? [6 * ratio, 4 * ratio] : [2 * ratio, 3 * ratio]);
    draw.beginPath();
    draw.moveTo(at, top);
    draw.lineTo(at, bottom);
    draw.stroke();
    draw.setLineDash([]);
    draw.font = `${11 * ratio}px system-ui`;
    const wide = draw.measureText(mark.label).width;
    draw.textAlign = at + wide + 8 * ratio > right ? "right" : "left";
    draw.fillText(mark.label, at + (draw.textAlign === "right" ? -4 : 4) * ratio, top + (12 + (place % 5) * 14) * ratio);
  }
  for (const line of lines) {
    draw.strokeStyle = draw.fillStyle = painted(line.colour);
    draw.lineWidth = 1.6 * ratio;
    for (const { x, value } of line.odd ?? []) oddMark(draw, u.valToPos(x, "x", true), top, bottom, value, ratio);
  }
  draw.restore();
}

/** NaN is a cross at the bottom; an infinity an arrow at its end. @param {any} draw @param {number} x @param {number} top @param {number} bottom @param {number} value @param {number} ratio */
function oddMark(draw, x, top, bottom, value, ratio) {
  const wide = 4 * ratio, up = value === Infinity, y = up ? top + 7 * ratio : bottom - 7 * ratio;
  draw.beginPath();
  if (Number.isNaN(value)) {
    draw.moveTo(x - wide, y - wide);
    draw.lineTo(x + wide, y + wide);
    draw.moveTo(x + wide, y - wide);
    draw.lineTo(x - wide, y + wide);
    draw.stroke();
    return;
  }
  const tip = up ? -wide : wide;
  draw.moveTo(x, y + tip);
  draw.lineTo(x - wide, y - tip);
  draw.lineTo(x + wide, y - tip);
  draw.closePath();
  draw.fill();
}

/** One row per x, odd values included. @param {Line[]} lines @returns {any[][]} */
export function rowsOf(lines) {
  /** @type {Map<number, any[]>} */
  const rows = new Map();
  const put = (/** @type {number} */ x, /** @type {number} */ at, /** @type {any} */ value) => {
    let row = rows.get(x);
    if (!row) rows.set(x, (row = [x, ...lines.map(() => null)]));
    row[at + 1] = value;
  };
  lines.forEach((line, at) => {
    for (let place = 0; place < line.x.length; place += 1) {
      if (line.y[place] !== null && line.y[place] !== undefined) put(line.x[place], at, line.y[place]);
    }
    for (const { x, value } of line.odd ?? []) put(x, at, value);
  });
  return [...rows.values()].sort((one, other) => one[0] - other[0]);
}
