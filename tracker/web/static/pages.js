// Waste, checkpoints of all runs, experiments.
import { html, useEffect } from "./vendor/htm-preact-standalone.module.js";
import { address, objects, useData } from "./api.js";
import { listed, Settings } from "./compare.js";
import { Files } from "./files.js";
import { FilterBox } from "./filter.js";
import { counted, duration, moment, price, shown } from "./format.js";
import { Problem, Table } from "./parts.js";
import { experimentPath, Link, refine, runPath, useRoute } from "./route.js";
import { RunsTable } from "./runs.js";

export function WastePage() {
  const { query } = useRoute();
  const where = query.get("where") ?? "";
  const { data, error } = useData(address("/waste", { where }));
  useEffect(() => void (document.title = "Waste · local-tracker"), []);
  const groups = objects(data?.experiments), most = Math.max(1e-9, ...groups.map((row) => row.seconds));
  const sum = groups.reduce((total, row) => total + row.seconds_after, 0), all = groups.reduce((total, row) => total + row.seconds, 0);
  return html`<article><header class="run-head"><h1>Waste</h1></header>
    <p class="said"><span class="lead">${!data ? (error ? "" : "…") : all ? `${duration(sum)} of ${duration(all)} (${shown((100 * sum) / all, 2)} %) came after the best epoch.` : "No run has a best epoch yet."}</span></p>
    <div class="bar"><${FilterBox} value=${where} error=${error} onChange=${(/** @type {string} */ text) => refine({ where: text })} /></div>
    ${groups.length > 0 && html`<section><h2>By experiment</h2><ul class="bars">${groups.map((row) => html`<li><${Link} to=${experimentPath(row.experiment)}>${row.experiment}<//>
      <svg viewBox="0 0 400 16" preserveAspectRatio="none" aria-hidden="true"><rect class="used" width=${(400 * row.seconds) / most} height="16" rx="2" /><rect class="wasted" x=${(400 * (row.seconds - row.seconds_after)) / most} width=${(400 * row.seconds_after) / most} height="16" rx="2" /></svg>
      <span>${duration(row.seconds_after)} of ${duration(row.seconds)} after the best (${shown(100 * row.share, 2)} %), ${counted(row.runs, "run")}${row.cost_after == null ? "" : `, which cost ${price(row.cost_after)}`}</span></li>`)}</ul></section>`}
    ${data && html`<section><h2>By run, the most wasteful first</h2><${Table} table=${data} label="Runs" render=${{
      run: (/** @type {string} */ name, /** @type {any} */ row) => html`<${Link} to=${runPath(row.run_id)}>${name}<//> <${Link} class="quiet small" to="/replay?runs=${row.run_id}">replay<//>`,
    }} /></section>`}</article>`;
}

export function CheckpointsPage() {
  const { query } = useRoute();
  const where = query.get("where") ?? "";
  const { data, error, reload } = useData(address("/checkpoints", { where }));
  useEffect(() => void (document.title = "Checkpoints · local-tracker"), []);
  return html`<article><header class="run-head"><h1>Checkpoints</h1></header>
    <div class="bar"><${FilterBox} value=${where} error=${error} onChange=${(/** @type {string} */ text) => refine({ where: text })} /></div>
    ${data && html`<${Files} table=${data} runs=${null} withRun onDone=${reload} />`}</article>`;
}

export function ExperimentPage() {
  const { query } = useRoute();
  const name = query.get("name");
  useEffect(() => void (document.title = `${name ?? "Experiments"} · local-tracker`), [name]);
  return name === null ? html`<${Experiments} />` : html`<${Experiment} key=${name} name=${name} />`;
}

function Experiments() {
  const { data, error } = useData(address("/groups", { by: "experiment" }));
  return html`<article><header class="run-head"><h1>Experiments</h1></header><${Problem} error=${error} />
    ${data && !data.rows.length && html`<p class="empty">No runs yet.</p>`}
    <ul class="cards">${objects(data).map((row) => html`<li class="card"><h2><${Link} to=${experimentPath(row.value)}>${row.value}<//></h2>
      <p>${counted(row.runs, "run")}${row.running ? html`, <span class="status running">▶ ${row.running} running</span>` : ""}</p><p class="none">${duration(row.seconds)} of training, last ${moment(row.started)}</p></li>`)}</ul></article>`;
}

/** @param {{name: string}} props */
function Experiment({ name }) {
  const { query } = useRoute();
  const filter = `experiment = '${name.replaceAll("'", "''")}'`;
  const { data, error } = useData(address("/runs", { where: filter, limit: 500 }));
  const wasted = useData(address("/waste", { where: filter, limit: 1 }));
  const rows = objects(data);
  const monitor = rows.find((row) => row.monitor)?.monitor ?? null;
  const best = useData(monitor && address("/runs", { where: filter, sort: /^[\w.@/-]+$/.test(monitor) ? monitor : `"${monitor}"`, limit: 1 }));
  if (data && !data.total && !query.has("where")) return html`<p class="empty">There is no experiment “${name}”. <${Link} to="/experiments">All experiments<//></p>`;
  const top = objects(best.data)[0], waste = objects(wasted.data?.experiments)[0];
  return html`<article><header class="run-head"><div><p class="under"><${Link} to="/experiments">Experiments<//></p><h1>${name}</h1></div></header><${Problem} error=${error} />
    <div class="said">${top && top.best !== null && html`<p class="lead">The best of ${counted(data.total, "run")} is <${Link} to=${runPath(top.id)}>${top.name}<//>: ${monitor} ${shown(Number(top.best))} at ${top.best_epoch === null ? `step ${top.best_step}` : `epoch ${top.best_epoch}`}.</p>`}
      ${waste && html`<p>${duration(waste.seconds_after)} of ${duration(waste.seconds)} (${shown(100 * waste.share, 2)} %) came after the best epochs.</p>`}</div>
    ${rows.length > 1 && html`<section><h2>Settings against results</h2><${Settings} rows=${listed(data, monitor)} metric=${monitor} params=${data.varying.filter((/** @type {string} */ column) => column.startsWith("params."))} /></section>`}
    <section><h2>Runs</h2><${RunsTable} fixed=${filter} /></section></article>`;
}
