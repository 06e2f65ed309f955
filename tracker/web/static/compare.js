// Runs beside each other: their curves in one chart, what differs, and which setting led to which result.
import { html, useEffect, useMemo, useState } from "./vendor/htm-preact-standalone.module.js";
import { address, number, objects, useData } from "./api.js";
import { Chart, plain } from "./chart.js";
import { colour, counted, dash, duration, NOTHING, shown, Status } from "./format.js";
import { DeadEnd, Mistyped, Problem } from "./parts.js";
import { Parallel, Scatter } from "./plots.js";
import { Asked, go, Link, refine, runPath, useRoute } from "./route.js";
import { StepChart } from "./steps.js";

export function ComparePage() {
  const { query } = useRoute();
  const names = query.get("runs") ?? "";
  const ids = names.split(",").filter(Boolean);
  const found = useData(names ? address("/compare", { runs: names }) : null, ids);
  useEffect(() => void (document.title = "Compare · local-tracker"), []);
  if (!names) return html`<p class="empty">Select two runs or more in the <${Link} to="/">table<//>, then Compare.</p>`;
  if (!found.data) return html`<${DeadEnd} error=${found.error} />`;
  const { runs, metrics } = found.data;
  const called = runs.map((/** @type {any} */ run, /** @type {number} */ at) => ({ id: run.id, label: run.label, at }));
  const ofEpochs = Object.keys(metrics).filter((name) => metrics[name].some((/** @type {any} */ one) => one && one.last_epoch !== null));
  const ofSteps = Object.keys(metrics).filter((name) => !ofEpochs.includes(name));
  const monitor = runs.find((/** @type {any} */ run) => run.monitor)?.monitor;
  const asked = new Asked(query), x = asked.choice("x", ["epoch", "time"]) ?? "epoch";
  const metric = asked.choice("metric", [...ofEpochs, ...ofSteps]) ?? (ofEpochs.includes(monitor) ? monitor : ofEpochs[0] ?? ofSteps[0]);
  return html`<article class="compare"><header class="run-head"><h1>Compare ${counted(runs.length, "run")}</h1><div class="actions"><${Link} class="button" to="/replay?runs=${names}">Replay<//></div></header>
    <${Problem} error=${found.error} /><${Mistyped} asked=${asked} />
    <div class="tabs" role="group" aria-label="Metric">${[...ofEpochs, ...ofSteps].map((name) => html`<button aria-pressed=${name === metric} onClick=${() => refine({ metric: name }, true)}>${name}</button>`)}</div>
    ${metric && (ofEpochs.includes(metric) ? html`<${Overlay} runs=${called} metric=${metric} x=${x} />` : html`<${StepChart} key=${metric} runs=${called} name=${metric} />`)}
    <section><h2>What differs</h2><${Differences} found=${found.data} /></section>
    <section><h2>Settings against results</h2><${Settings} rows=${rowsOf(found.data)} metric=${metric} params=${Object.keys(found.data.differing).filter((name) => name.startsWith("params."))} /></section>
  </article>`;
}

/** @param {any} found */
function rowsOf(found) {
  return found.runs.map((/** @type {any} */ run, /** @type {number} */ at) => ({
    id: run.id, name: run.label,
    params: Object.fromEntries(Object.entries(found.differing).map(([name, values]) => [name, /** @type {any} */ (values)[at]])),
    metrics: Object.fromEntries(Object.entries(found.metrics).map(([name, values]) => {
      const one = /** @type {any} */ (values)[at];
      return [name, one && number(one.best ?? one.last)];
    })),
  }));
}

/** @param {{runs: any[], metric: string, x: string}} props */
function Overlay({ runs, metric, x }) {
  const [ema, setEma] = useState(0);
  const found = useData(address("/curves", { runs: runs.map((run) => run.id).join(","), metric, x }), runs.map((run) => run.id));
  const lines = useMemo(() => (found.data ? runs.flatMap((run) => {
    const curve = found.data[run.id];
    if (!curve?.x.length) return [];
    const line = { label: run.label, ...plain(curve.x, curve.y), colour: colour(run.at), dash: dash(run.at) };
    return ema ? [{ ...line, label: `${run.label}, as logged`, alpha: 0.25, width: 1, dash: [] }, { ...line, y: smoothed(line.y, ema), odd: [] }] : [line];
  }) : []), [found.data, ema]);
  const tools = html`<label class="pick">smooth <select value=${ema} onChange=${(/** @type {any} */ event) => setEma(Number(event.target.value))}>${[0, 0.3, 0.6, 0.9].map((weight) => html`<option value=${weight}>${weight || "no"}</option>`)}</select></label>
    <label class="pick">x <select value=${x} onChange=${(/** @type {any} */ event) => refine({ x: event.target.value === "epoch" ? null : event.target.value }, true)}><option value="epoch">epoch</option><option value="time">time</option></select></label>`;
  return html`<${Problem} error=${found.error} /><${Chart} key=${`${metric} ${x}`} title=${metric} xLabel=${x === "time" ? "seconds of training" : "epoch"} lines=${lines} height=${340} tools=${tools} />`;
}

/** As the server smooths step metrics. @param {(number | null)[]} values @param {number} weight */
function smoothed(values, weight) {
  let mean = 0, count = 0;
  return values.map((value) => {
    if (value === null) return null;
    count += 1;
    mean = weight * mean + (1 - weight) * value;
    return mean / (1 - weight ** count);
  });
}

/** The leaves of what is nested, by their path; an only element needs no number. @param {any} value @param {string} [above] @returns {[string, any][]} */
function leaves(value, above = "") {
  if (value === null || typeof value !== "object") return [[above, value]];
  const entries = Array.isArray(value) && value.length === 1 ? [["", value[0]]] : Object.entries(value);
  return entries.flatMap(([name, inner]) => leaves(inner, [above, name].filter(Boolean).join(".")));
}

/** Values as they are shown beside each other: of nested ones only what differs. @param {any[]} values */
function apart(values) {
  if (!values.every((value) => value !== null && typeof value === "object")) return values.map((value) => shown(value, 8));
  const all = values.map((value) => new Map(leaves(value)));
  const names = [...new Set(all.flatMap((one) => [...one.keys()]))].filter((name) => new Set(all.map((one) => JSON.stringify(one.get(name)))).size > 1);
  return all.map((one) => names.filter((name) => one.has(name)).map((name) => (name ? `${name}=` : "") + shown(one.get(name), 8)).join(", ") || NOTHING);
}

/** @param {{found: any}} props */
function Differences({ found }) {
  const [all, set] = useState(false);
  const { runs, differing, same, metrics } = found;
  const line = (/** @type {string} */ name, /** @type {any[]} */ values, /** @type {string} */ kind) => html`<tr class=${kind}><th scope="row">${name}</th>${values.map((value) => html`<td>${value}</td>`)}</tr>`;
  const git = (/** @type {string} */ name) => name.startsWith("captured.git");
  const best = (/** @type {any} */ one) => (one === null ? NOTHING : html`${shown(number(one.best ?? one.last))}<span class="where"> @ ${one.best_epoch ?? one.last_epoch ?? `step ${one.best_step ?? one.last_step}`}</span>`);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="What differs"><table class="differences"><thead><tr><th scope="col">field</th>${runs.map((/** @type {any} */ run, /** @type {number} */ at) => html`<th scope="col"><svg class="swatch" width="20" height="8" aria-hidden="true"><line x1="1" y1="4" x2="19" y2="4" stroke=${colour(at)} stroke-width="3" stroke-dasharray=${dash(at).join(" ")} /></svg> <${Link} to=${runPath(run.id)}>${run.label}<//></th>`)}</tr></thead>
    <tbody>${line("status", runs.map((/** @type {any} */ run) => html`<${Status} status=${run.status} />`), "")}
      ${line("epochs", runs.map((/** @type {any} */ run) => run.epochs), "")}${line("time", runs.map((/** @type {any} */ run) => duration(run.seconds)), "")}
      ${Object.keys(differing).map((name) => line(name, apart(differing[name]), git(name) ? "git differs" : "differs"))}
      ${Object.keys(metrics).filter((name) => name !== "learning_rate").map((name) => line(`${name}, ${metrics[name].some((/** @type {any} */ one) => one && one.best !== null) ? "best" : "last"}`, metrics[name].map(best), "metric"))}
      ${all && Object.keys(same).map((name) => line(name, runs.map(() => shown(same[name], 8)), "same"))}</tbody></table></div>
    <button class="quiet" onClick=${() => set(!all)}>${all ? "Hide" : "Show"} ${Object.keys(same).length} fields that are the same</button>`;
}

/** Dots and strands: which setting led to which result. @param {{rows: any[], metric: string, params: string[], better?: "min" | "max" | null}} props */
export function Settings({ rows, metric, params, better = null }) {
  const { query } = useRoute();
  const usable = params.filter((name) => rows.some((row) => row.params[name] !== null && row.params[name] !== undefined));
  if (!usable.length || !metric) return html`<p class="none">No param differs.</p>`;
  const numeric = usable.filter((name) => rows.every((row) => row.params[name] === null || typeof row.params[name] === "number"));
  const asked = new Asked(query), param = asked.choice("param", numeric) ?? numeric[0];
  const axes = [...usable.slice(0, 7), metric];
  const strands = rows.map((row) => ({ label: row.name, values: [...usable.slice(0, 7).map((name) => row.params[name] ?? null), row.metrics[metric] ?? null], onOpen: () => go(runPath(row.id)) }));
  const way = better ?? (/acc|auc|f1|score|precision|recall/i.test(metric) ? "max" : "min");
  return html`<${Mistyped} asked=${asked} /><div class="grid"><${Parallel} title="${metric} by setting" axes=${axes} rows=${strands} better=${way} />
    ${param && html`<${Scatter} title="${metric} against ${param.replace(/^params\./, "")}" tools=${numeric.length > 1 && html`<label class="pick">param <select value=${param} onChange=${(/** @type {any} */ event) => refine({ param: event.target.value }, true)}>${numeric.map((name) => html`<option value=${name}>${name.replace(/^params\./, "")}</option>`)}</select></label>`}
      xLabel=${param.replace(/^params\./, "")} yLabel=${metric} logX=${spread(rows.map((row) => row.params[param]))}
        points=${rows.filter((row) => row.params[param] !== null && row.metrics[metric] !== null).map((row) => ({ x: Number(row.params[param]), y: Number(row.metrics[metric]), label: row.name, onOpen: () => go(runPath(row.id)) }))} />`}</div>`;
}

/** @param {any[]} values */
function spread(values) {
  const known = values.filter((value) => typeof value === "number");
  return known.length > 1 && Math.min(...known) > 0 && Math.max(...known) / Math.min(...known) > 50;
}

/** Rows of the listing, as `Settings` takes them. @param {any} table @param {string | null} metric */
export function listed(table, metric) {
  return objects(table).map((row) => ({
    id: row.id, name: row.name,
    params: Object.fromEntries(Object.entries(row).filter(([name]) => name.startsWith("params."))),
    metrics: metric ? { [metric]: number(row.monitor === metric ? row.best : row[metric]) } : {},
  }));
}
