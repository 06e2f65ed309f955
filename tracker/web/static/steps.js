// A step metric: every zoom asks the server for what its pixels can show, always chosen from all points.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { series, useAsking, useLive } from "./api.js";
import { Chart } from "./chart.js";
import { colour, counted, dash } from "./format.js";

/** @param {{id: string, label: string}[]} runs @param {string} name @param {any} asked */
async function load(runs, name, { x, scale, range, ema, signal }) {
  const from = range?.[0], to = range?.[1];
  const points = Math.max(400, Math.min(2400, Math.round(innerWidth * 1.5)));
  const one = async (/** @type {any} */ run) => {
    const raw = await series(run.id, { name, x, scale, from, to, points: ema ? Math.round(points / 2) : points }, signal);
    const smooth = ema ? await series(run.id, { name, x, scale, from, to, points, ema }, signal) : null;
    return { run, raw, smooth };
  };
  const answers = await Promise.all(runs.map((run) => one(run).catch((error) => {
    if (error.kind === "UnknownMetric") return null;
    throw error;
  })));
  return answers.filter((answer) => answer !== null);
}

/** Whether something is in sight, or soon is: a run may have hundreds of step metrics. @param {{current: any}} place */
function useNear(place) {
  const [near, set] = useState(false);
  useEffect(() => {
    const watch = new IntersectionObserver((seen) => set(seen[seen.length - 1].isIntersecting), { rootMargin: "800px 0px" });
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  return near;
}

/** @param {{runs: {id: string, label: string, at: number}[], name: string, sync?: string}} props */
export function StepChart({ runs, name, sync }) {
  const [x, setX] = useState("step");
  const [logX, setLogX] = useState(false);
  const scale = logX && x === "step" ? "log" : null;
  const [ema, setEma] = useState(0);
  const [range, zoom] = useState(/** @type {[number, number] | null} */ (null));
  // The axis of the chart follows the answer: what was asked for a linear one has the step 0, which a logarithm has not.
  const [found, set] = useState(/** @type {{answers: any[], scale: string | null} | null} */ (null));
  const [error, refuse] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const ids = runs.map((run) => run.id).join(",");
  const place = useRef(/** @type {any} */ (null)), near = useNear(place);
  const ask = useAsking(async (signal) => {
    if (!near) return;
    work(true);
    try {
      set({ answers: await load(runs, name, { x, scale, range, ema, signal }), scale });
      refuse(null);
    } catch (problem) {
      if (signal.aborted) return;
      refuse(problem);
    }
    work(false);
  }, [ids, name, x, scale, range, ema, near]);
  useLive(ask, runs.map((run) => run.id));
  const answers = found?.answers ?? [];
  const many = answers.length > 1;
  const lines = answers.flatMap(({ run, raw, smooth }) => {
    const paint = colour(run.at), label = many ? run.label : name;
    const faint = { label: smooth ? `${label}, as logged` : label, x: raw.x, y: raw.y, odd: raw.odd, colour: paint, dash: many ? dash(run.at) : [], dots: raw.total <= 200 && raw.total === raw.x.length };
    return smooth ? [{ ...faint, alpha: 0.3, width: 1, dash: [] }, { label, x: smooth.x, y: smooth.y, colour: paint, dash: many ? dash(run.at) : [] }] : [faint];
  });
  const total = answers.reduce((sum, { raw }) => sum + raw.total, 0), drawn = answers.reduce((sum, { raw }) => sum + raw.x.length + raw.odd.length, 0);
  const note = found && (drawn < total ? `${counted(total, "point")}, ${drawn} drawn` : counted(total, "point"));
  const tools = html`<label class="pick">smooth <select value=${ema} onChange=${(/** @type {any} */ event) => setEma(Number(event.target.value))}>
      ${[0, 0.6, 0.9, 0.97, 0.99, 0.999].map((weight) => html`<option value=${weight}>${weight || "no"}</option>`)}</select></label>
    <label class="pick">x <select value=${x} onChange=${(/** @type {any} */ event) => { setX(event.target.value); zoom(null); }}><option value="step">step</option><option value="time">time</option></select></label>
    ${x === "step" && html`<button class="quiet small" aria-pressed=${logX} title="Logarithmic steps" onClick=${() => { setLogX(!logX); zoom(null); }}>log x</button>`}`;
  return html`<div class="step-chart" ref=${place} data-metric=${name} data-total=${total} data-drawn=${drawn} data-range=${range?.join(" ") ?? ""}>
    ${error && html`<p class="problem" role="alert">${error.message}</p>`}
    ${!found && !near ? html`<figure class="chart unseen"><figcaption><span class="chart-title">${name}</span></figcaption></figure>` : html`<${Chart} title=${name} xLabel=${x} logX=${found?.scale === "log"} time=${x === "time"} lines=${lines} legend=${many || ema > 0} sync=${sync} range=${range} tools=${tools} note=${note} busy=${busy}
      onZoom=${(/** @type {number} */ from, /** @type {number} */ to) => zoom(x === "step" ? [Math.max(scale ? 1 : -Infinity, Math.floor(from)), Math.ceil(to)] : [from, to])} onReset=${() => zoom(null)} zoomed=${range !== null} />`}</div>`;
}
