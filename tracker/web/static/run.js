// One run: the sentence first, then its curves with what was decided under them, then everything that is known.
import { html, useEffect, useMemo, useState } from "./vendor/htm-preact-standalone.module.js";
import { address, number, objects, send, useData } from "./api.js";
import { Chart, plain } from "./chart.js";
import { Files } from "./files.js";
import { colour, counted, dash, duration, moment, NOTHING, price, shown, Status } from "./format.js";
import { barsOf, Lanes, lanesOf, LEGEND, waitingFor } from "./lanes.js";
import { DeadEnd, DeleteDialog, EditDialog, Mistyped, Pairs, Problem, Table } from "./parts.js";
import { Asked, experimentPath, go, Link, refine, runPath, useRoute } from "./route.js";
import { StepChart } from "./steps.js";
import { energy, SystemCharts } from "./system.js";

const NOT_METRICS = ["run", "epoch", "attempt", "seconds", "learning_rate", "superseded"];

/** @param {{name: string}} props */
export function RunPage({ name }) {
  const found = useData(address(`/runs/${encodeURIComponent(name)}`), [name]);
  const id = found.data?.run.id ?? null;
  const of = id === null ? null : [id];
  const epochs = useData(id && address(`/runs/${id}/epochs`, { superseded: true }), of ?? false);
  const decisions = useData(id && address(`/runs/${id}/decisions`), of ?? false);
  const [dialog, show] = useState("");
  useEffect(() => void (document.title = `${found.data?.run.name ?? "Run"} · local-tracker`), [found.data?.run.name]);
  if (!found.data) return html`<${DeadEnd} error=${found.error} />${!found.error && html`<p class="empty">…</p>`}`;
  const { run, sentences, tags, params, attempts, policies, checkpoints, points } = found.data;
  const waits = run.status === "running" ? waitingFor(decisions.data, policies) : [];
  return html`<article class="run">
    <${Problem} error=${found.error} />
    <header class="run-head"><div><h1>${run.name}</h1>
      <p class="under"><${Status} status=${run.status} /> · <${Link} to=${experimentPath(run.experiment)}>${run.experiment}<//> · <code>${run.id.slice(0, 8)}</code> · ${moment(run.started)} · ${duration(run.seconds)}
        ${found.data.cost !== null && html` · <span class="cost" title="${shown(found.data.price_per_hour)} per hour, all attempts">cost ${price(found.data.cost)}</span>`}${found.data.energy_joules !== null && html` · <span class="energy" title="What its cards took, all attempts">${energy(found.data.energy_joules)}</span>`}
        ${found.data.parent && html` · part of <${Link} to=${runPath(run.parent)}>${found.data.parent}<//>`}</p></div>
      <div class="actions"><${Link} class="button" to="/replay?runs=${run.id}">Replay<//><button onClick=${() => show("edit")}>Edit</button><button class="quiet danger" onClick=${() => show("delete")}>Delete…</button></div></header>
    <div class="said" aria-live="polite">${sentences.map((/** @type {string} */ text, /** @type {number} */ at) => html`<p class=${at === 0 ? "lead" : ""}>${text}</p>`)}
      ${waits.map((text) => html`<p class="waits">${text}</p>`)}</div>
    <${Labels} run=${run} tags=${tags} onEdit=${() => show("edit")} onDone=${found.reload} />
    <${EpochCharts} epochs=${epochs.data} decisions=${decisions.data} checkpoints=${checkpoints} attempts=${attempts} run=${run} />
    ${Object.keys(points).length > 0 && html`<section><h2>Step metrics</h2><div class="grid">${Object.keys(points).map((metric) => html`<${StepChart} key=${metric} runs=${[{ id: run.id, label: run.name, at: 0 }]} name=${metric} sync="steps-${run.id}" />`)}</div></section>`}
    ${Object.keys(found.data.system).length > 0 && html`<${SystemCharts} run=${run.id} system=${found.data.system} />`}
    <section><h2>Metrics</h2><${Metrics} metrics=${found.data.metrics} /></section>
    ${checkpoints.rows.length > 0 && html`<section><h2>Checkpoints</h2><${Files} table=${checkpoints} runs=${[run.id]} onDone=${found.reload} /></section>`}
    <section><h2>Decisions</h2><${Table} short table=${decisions.data} label="Decisions" hidden=${["run", "attempt", "path", "lr_before", "lr_after", "best_epoch", "step"]} /></section>
    <div class="columns"><section><h2>Params</h2><${Pairs} label="Params" pairs=${Object.entries(params).map(([key, value]) => [key, shown(value, 12)])} /></section>
      <section><h2>Callbacks</h2>${policies.length ? policies.map((/** @type {any} */ policy) => html`<p class="policy"><strong>${policy.policy}</strong> ${policy.monitor ?? ""} <span class="none">${policy.rules ?? ""}</span><br /><code>${Object.entries(policy.config).map(([key, value]) => `${key}=${shown(value)}${key in policy.was ? ` (was ${shown(policy.was[key])})` : ""}`).join(", ")}</code></p>`) : html`<p class="none">None.</p>`}</section></div>
    <section><h2>Attempts</h2><${Attempts} attempts=${attempts} superseded=${found.data.superseded} /></section>
    <section><h2>Captured</h2><${Captured} attempts=${attempts} /></section>
    ${Object.keys(found.data.children).length > 0 && html`<section><h2>Children</h2><ul>${Object.entries(found.data.children).map(([child, called]) => html`<li><${Link} to=${runPath(child)}>${called}<//></li>`)}</ul></section>`}
    ${dialog === "edit" && html`<${EditDialog} id=${run.id} onClose=${() => show("")} onDone=${found.reload} />`}
    ${dialog === "delete" && html`<${DeleteDialog} ids=${[run.id]} onClose=${() => show("")} onDone=${() => go("/")} />`}
  </article>`;
}

/** The note is changed where it stands. @param {any} props */
function Labels({ run, tags, onEdit, onDone }) {
  const [text, write] = useState(/** @type {string | null} */ (null));
  const [error, refuse] = useState(/** @type {any} */ (null));
  const save = async () => {
    const note = text;
    write(null);
    if (note === null || note === (run.note ?? "")) return;
    try {
      await send("PATCH", `/runs/${run.id}`, { note });
      refuse(null);
      onDone();
    } catch (problem) {
      refuse(problem);
    }
  };
  return html`<div class="labels"><${Problem} error=${error} />${Object.entries(tags).map(([name, value]) => html`<span class="tag">${value ? `${name}=${value}` : name}</span>`)}
    <button class="quiet small" onClick=${onEdit}>${Object.keys(tags).length ? "edit tags" : "add tags"}</button>
    ${text === null
      ? html`<button class="note" onClick=${() => write(run.note ?? "")}>${run.note ?? "add a note"}</button>`
      : html`<textarea class="note" aria-label="Note" rows="2" value=${text} autofocus ref=${(/** @type {any} */ box) => box?.focus()} onInput=${(/** @type {any} */ event) => write(event.target.value)} onBlur=${save}
          onKeyDown=${(/** @type {any} */ event) => { if (event.key === "Escape") write(null); else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save(); }}></textarea>`}</div>`;
}

/** @param {any} props */
function EpochCharts({ epochs, decisions, checkpoints, attempts, run }) {
  const { query } = useRoute();
  const [frame, setFrame] = useState(/** @type {any} */ (null));
  const [rateFrame, setRateFrame] = useState(/** @type {any} */ (null));
  const rows = useMemo(() => objects(epochs), [epochs]);
  const lanes = useMemo(() => lanesOf(decisions, checkpoints), [decisions, checkpoints]);
  const metrics = (epochs?.columns ?? []).map((/** @type {any} */ column) => column.name).filter((/** @type {string} */ name) => !NOT_METRICS.includes(name));
  const families = useMemo(() => familiesOf(metrics, run.monitor), [metrics.join("\n"), run.monitor]);
  const lines = useMemo(() => new Map(families.map((family) => [family.name, family.metrics.flatMap((metric, at) => linesOf(rows, metric, at))])), [rows, families]);
  const rate = useMemo(() => plain(rows.filter((row) => !row.superseded).map((row) => row.epoch), rows.filter((row) => !row.superseded).map((row) => row.learning_rate)), [rows]);
  const changes = useMemo(() => objects(decisions).filter((row) => row.lr_before !== null && row.lr_after !== null && row.lr_before !== row.lr_after), [decisions]);
  const last = rows.length ? Math.max(...rows.map((row) => row.epoch)) : 0;
  const bars = useMemo(() => barsOf(attempts, last), [attempts, last]);
  const verticals = useMemo(() => (run.best_epoch === null ? [] : [{ x: run.best_epoch, label: `best ${shown(number(run.best))}` }]), [run.best_epoch, run.best]);
  const causes = useMemo(() => [...new Map(changes.map((row) => [row.epoch, row])).values()].slice(0, 40).map((row, _, all) => ({ x: row.epoch, label: all.length > 8 ? "" : `${shown(row.lr_before, 3)} → ${shown(row.lr_after, 3)}` })), [changes]);
  if (!rows.length) return html`<section><h2>Epochs</h2><p class="none">No epochs${epochs ? " were recorded" : " yet …"}.</p></section>`;
  const asked = new Asked(query), named = asked.choice("metric", families.map((family) => family.name));
  const main = families.find((family) => family.name === named) ?? families[0];
  return html`<section><h2>Epochs</h2><${Mistyped} asked=${asked} />
    ${families.length > 1 && html`<div class="tabs" role="group" aria-label="Metric">${families.map((family) => html`<button aria-pressed=${family === main} onClick=${() => refine({ metric: family === families[0] ? null : family.name }, true)}>${family.name}</button>`)}</div>`}
    <${Chart} key=${main.name} title=${main.metrics.join(", ")} xLabel="epoch" sync="epochs-${run.id}" lines=${lines.get(main.name)} verticals=${main.metrics.includes(run.monitor) ? verticals : []} onFrame=${(/** @type {any} */ now) => setFrame((/** @type {any} */ was) => same(was, now) ? was : now)}
      below=${html`<${Lanes} frame=${frame} lanes=${lanes} bars=${bars} />${lanes.length > 0 && html`<p class="lane-legend">${LEGEND}</p>`}`} />
    ${rate.x.length > 0 && html`<${Chart} title="learning rate" xLabel="epoch" logY=${changes.length > 0} height=${150} sync="epochs-${run.id}" legend=${false} verticals=${causes}
      lines=${[{ label: "learning rate", ...rate, colour: colour(2), stepped: true }]} onFrame=${(/** @type {any} */ now) => setRateFrame((/** @type {any} */ was) => same(was, now) ? was : now)}
      below=${changes.length > 0 && html`<${Lanes} frame=${rateFrame} lanes=${[["why the learning rate changed", changes.map((row) => ({ x: row.epoch, sign: "↓", kind: row.verdict, words: `epoch ${row.epoch}: ${row.policy}. ${row.reason}` }))]]} />`} />`}
  </section>`;
}

/** @param {any} was @param {any} now */
const same = (was, now) => was && was.min === now.min && was.max === now.max && was.left === now.left && was.width === now.width;

/** Metrics that belong into one chart: loss with val_loss. The monitored one comes first. @param {string[]} metrics @param {string | null} monitor */
function familiesOf(metrics, monitor) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  const stem = (/** @type {string} */ name) => name.replace(/^(val|valid|validation|train|test|eval|dev)[_/. -]/, "");
  for (const name of metrics) found.set(stem(name), [...(found.get(stem(name)) ?? []), name]);
  const families = [...found].map(([name, members]) => ({ name, metrics: members.sort((one, other) => Number(other === monitor) - Number(one === monitor)) }));
  return families.sort((one, other) => Number(other.metrics.includes(monitor ?? "")) - Number(one.metrics.includes(monitor ?? "")));
}

/** The effective epochs as a line; what a later attempt repeated, dashed and faint. @param {any[]} rows @param {string} metric @param {number} at */
function linesOf(rows, metric, at) {
  const kept = rows.filter((row) => !row.superseded), again = rows.filter((row) => row.superseded && row[metric] !== null);
  const one = plain(kept.map((row) => row.epoch), kept.map((row) => row[metric]));
  const lines = [{ label: metric, ...one, colour: colour(at), dash: dash(at), dots: one.x.length < 60 }];
  for (const attempt of new Set(again.map((row) => row.attempt))) {
    const of = again.filter((row) => row.attempt === attempt);
    lines.push(/** @type {any} */ ({ label: `${metric}, attempt ${attempt} (superseded)`, ...plain(of.map((row) => row.epoch), of.map((row) => row[metric])), colour: colour(at), dash: [2, 4], alpha: 0.5, width: 1.5 }));
  }
  return lines;
}

/** @param {{metrics: Record<string, any>}} props */
function Metrics({ metrics }) {
  const names = Object.keys(metrics);
  if (!names.length) return html`<p class="none">None.</p>`;
  const place = (/** @type {any} */ metric, /** @type {string} */ which) => {
    const value = number(metric[which]);
    if (value === null) return NOTHING;
    return html`${shown(value)}<span class="where"> @ ${metric[`${which}_epoch`] ?? `step ${metric[`${which}_step`]}`}</span>`;
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Metrics"><table><thead><tr><th scope="col">metric</th>${["best", "last", "min", "max"].map((which) => html`<th scope="col" class="num">${which}</th>`)}<th scope="col" class="num">restored</th></tr></thead>
    <tbody>${names.map((name) => html`<tr><th scope="row">${name}</th>${["best", "last", "min", "max"].map((which) => html`<td class="num">${place(metrics[name], which)}</td>`)}<td class="num">${shown(number(metrics[name].restored))}</td></tr>`)}</tbody></table></div>`;
}

/** @param {any} props */
function Attempts({ attempts, superseded }) {
  const lost = [["spooled", "record", "kept outside the database for a while"], ["dropped", "point", "of step metrics could not be kept"]]
    .map(([field, unit, what]) => [attempts.reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + (row[field] ?? 0), 0), unit, what])
    .filter(([amount]) => amount > 0);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Attempts"><table><thead><tr>${["attempt", "status", "from epoch", "started", "seconds", "host", "pid", "why", "spooled", "dropped", "waited"].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${attempts.map((/** @type {any} */ row) => html`<tr><th scope="row">${row.number}</th><td><${Status} status=${row.status} /></td><td class="num">${row.first_epoch ?? 0}</td><td>${moment(row.started)}</td><td>${duration(row.seconds)}</td><td>${row.host}</td><td class="num">${row.pid}</td><td class="words">${row.error ?? row.reason ?? NOTHING}</td><td class="num">${row.spooled || NOTHING}</td><td class="num">${row.dropped || NOTHING}</td><td class="num">${row.waited ? duration(row.waited) : NOTHING}</td></tr>`)}</tbody></table></div>
    ${superseded > 0 && html`<p>${counted(superseded, "epoch")} ${superseded === 1 ? "was" : "were"} repeated by a later attempt.</p>`}
    ${lost.map(([amount, unit, what]) => html`<p class="waits">${counted(amount, unit)} ${what}.</p>`)}
    ${!lost.length && html`<p class="none">Nothing was kept outside the database, and nothing was dropped.</p>`}`;
}

/** @param {any} facts @param {string} [above] @returns {[string, any][]} */
export function flat(facts, above = "") {
  return Object.entries(facts ?? {}).flatMap(([name, value]) =>
    value !== null && typeof value === "object" && !Array.isArray(value) ? flat(value, `${above}${name}.`) : value === null ? [] : [[`${above}${name}`, Array.isArray(value) ? value.map((one) => shown(one, 12)).join(" ") : shown(value, 12)]]);
}

/** @param {{attempts: any[]}} props */
function Captured({ attempts }) {
  const last = attempts[attempts.length - 1];
  return html`<${Pairs} label="Captured" pairs=${last ? flat(last.captured) : []} />`;
}
