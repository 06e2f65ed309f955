// What another patience would have decided, over what was recorded.
import { html, useEffect, useMemo, useState } from "./vendor/htm-preact-standalone.module.js";
import { address, number, objects, useData } from "./api.js";
import { Chart, plain } from "./chart.js";
import { colour, command, counted, dash, duration, shown } from "./format.js";
import { Copy, Mistyped, Problem, Table } from "./parts.js";
import { Scatter } from "./plots.js";
import { Asked, Link, refine, runPath, useRoute } from "./route.js";

const MOST = 20;
const POLICIES = ["EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"];
const RULES = ["tracker-1", "keras-3.15", "transformers-5", "lightning-2.6"];

/** What one outcome means, in a sentence. @param {any} row */
export function told(row) {
  const best = number(row.best), given = number(row.given_up);
  if (row.stop_epoch === null) {
    return `${row.run} would not have stopped within its ${counted(row.epochs, "epoch")}; what later epochs would have brought is unknown.`;
  }
  const saves = row.epochs_saved ? `saves ${counted(row.epochs_saved, "epoch")} (${duration(row.seconds_saved)})` : "saves nothing";
  const loses = given ? `, best lost ${shown(given, 3)}` : ", nothing lost";
  return `${row.run} stops at ${row.stop_epoch}: ${saves}${loses}; best ${shown(best)} at ${row.best_epoch}.`;
}

export function ReplayPage() {
  const { query } = useRoute();
  const asked = new Asked(query);
  const runs = query.get("runs") ?? "", policy = asked.choice("policy", POLICIES) ?? "EarlyStopping";
  const ids = runs.split(",").filter(Boolean);
  const own = useData(runs ? address("/replay", { runs, policy }) : null, ids);
  const rows = objects(own.data);
  const first = rows[0];
  const patience = asked.whole("patience") ?? "", delta = asked.number("min_delta") ?? "";
  const rules = asked.choice("rules", RULES) ?? "", keep = asked.whole("keep") ?? "";
  const shownPatience = patience === "" ? first?.patience ?? 3 : patience;
  const most = Math.max(MOST, shownPatience, first?.patience ?? 0);
  const early = policy === "EarlyStopping";
  const settings = { runs, policy, patience: policy === "ModelCheckpoint" ? null : patience, min_delta: policy === "ModelCheckpoint" ? null : delta, rules, keep: policy === "ModelCheckpoint" ? keep : null, monitor: query.get("monitor") };
  const found = useData(runs ? address("/replay", settings) : null, ids);
  const knee = useData(runs && early ? address("/replay", { ...settings, patience: `0..${MOST}` }) : null, ids);
  useEffect(() => void (document.title = "Replay · local-tracker"), []);
  if (!runs) return html`<p class="empty">Select runs in the <${Link} to="/">table<//>, then Replay.</p>`;
  const outcomes = early ? objects(found.data) : [];
  const idOf = new Map(Object.entries(found.data?.labels ?? {}).map(([id, label]) => [label, id]));
  const options = [["--policy", early ? "" : policy], ["--patience", settings.patience], ["--min-delta", settings.min_delta], ["--rules", rules], ["--keep", settings.keep]];
  // Names come last, behind two dashes: one may begin with a dash itself.
  const words = ["tracker", "decisions", "replay", ...options.filter(([, value]) => value !== null && value !== "").flatMap(([name, value]) => [String(name), String(value)]), "--", ...ids];
  return html`<article class="replay"><header class="run-head"><h1>Replay</h1><div class="actions"><${Copy} label="copy command" text=${command(words)} /></div></header>
    <form class="settings" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label class="pick">callback <select value=${policy} onChange=${(/** @type {any} */ event) => refine({ policy: event.target.value === "EarlyStopping" ? null : event.target.value })}>${POLICIES.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      ${policy !== "ModelCheckpoint" ? html`<label class="slider">patience <input id="patience" type="range" min="0" max=${most} value=${shownPatience} aria-label="patience" onInput=${(/** @type {any} */ event) => refine({ patience: event.target.value }, true)} /><output>${shownPatience}</output></label>
        <label class="pick">min_delta <input id="min-delta" type="number" step="any" min="0" value=${delta} placeholder=${first ? shown(number(first.min_delta)) : ""} onInput=${(/** @type {any} */ event) => refine({ min_delta: event.target.value }, true)} /></label>`
      : html`<label class="pick">keep <input type="number" min="0" value=${keep} onInput=${(/** @type {any} */ event) => refine({ keep: event.target.value }, true)} /></label>`}
      <label class="pick">rules <select value=${rules} onChange=${(/** @type {any} */ event) => refine({ rules: event.target.value }, true)}><option value="">as recorded</option>${RULES.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      ${patience !== "" && html`<button type="button" class="quiet" onClick=${() => refine({ patience: null, min_delta: null, rules: null })}>Reset</button>`}
    </form>
    <${Mistyped} asked=${asked} /><${Problem} error=${found.error ?? own.error} />${found.data?.left_out && html`<p class="none">${found.data.left_out}.</p>`}
    ${early && html`<div class="said" aria-live="polite">${outcomes.slice(0, 12).map((row) => html`<p class="lead outcome" data-run=${row.run}>${told(row)}</p>`)}</div>
      ${first && html`<${Curves} ids=${ids} outcomes=${outcomes} labels=${found.data?.labels ?? own.data?.labels ?? {}} metric=${(outcomes[0] ?? first).monitor} />`}
      ${knee.data?.curve && html`<${Knee} table=${knee.data.curve} patience=${shownPatience} />`}`}
    ${policy === "ReduceLROnPlateau" && html`<p class="none">Experimental: nobody recorded what the metric would have done with another learning rate.</p>`}
    <section><h2>Outcomes</h2><${Table} table=${found.data} label="Outcomes" render=${{ run: (/** @type {string} */ name) => html`<${Link} to=${runPath(idOf.get(name) ?? name)}>${name}<//>` }} /></section>
  </article>`;
}

/** @param {any} props */
function Curves({ ids, outcomes, labels, metric }) {
  const found = useData(address("/curves", { runs: ids.join(","), metric }), ids);
  const lines = useMemo(() => Object.entries(found.data ?? {}).filter(([, curve]) => /** @type {any} */ (curve).x.length).map(([id, curve], at) => ({
    label: labels[id] ?? id, ...plain(/** @type {any} */ (curve).x, /** @type {any} */ (curve).y), colour: colour(at), dash: dash(at), dots: /** @type {any} */ (curve).x.length < 60,
  })), [found.data, labels]);
  const verticals = outcomes.filter((/** @type {any} */ row) => row.stop_epoch !== null).map((/** @type {any} */ row) => ({ x: row.stop_epoch, label: outcomes.length > 1 ? `${row.run} stops` : `stops at ${row.stop_epoch}`, kind: "ghost" }));
  const last = Math.max(0, ...lines.map((line) => line.x[line.x.length - 1] ?? 0));
  const beyond = outcomes.some((/** @type {any} */ row) => row.stop_epoch === null);
  const stop = outcomes.length === 1 && outcomes[0].stop_epoch !== null ? outcomes[0].stop_epoch : null;
  // Room to the right of the record: hatched, as nobody trained there.
  const range = /** @type {[number, number]} */ ([Math.min(0, ...lines.map((line) => line.x[0] ?? 0)), beyond ? last * 1.15 + 1 : last]);
  return html`<${Problem} error=${found.error} /><${Chart} key=${beyond ? "beyond" : "within"} title=${metric} xLabel="epoch" lines=${lines} verticals=${verticals} range=${lines.length ? range : null} hatchFrom=${beyond ? last : null} height=${300}
    below=${html`<p class="lane-legend">${beyond ? "hatched: never trained" : stop !== null ? `dashed: where it would have stopped` : ""}</p>`} />`;
}

/** @param {any} props */
function Knee({ table, patience }) {
  /** @type {Map<string, any[]>} */
  const places = new Map();
  for (const row of objects(table).filter((one) => one.given_up !== null)) {
    const place = `${row.saved} ${row.given_up}`;
    places.set(place, [...(places.get(place) ?? []), row]);
  }
  // Patiences that come to the same share a dot.
  const points = [...places.values()].map((group) => {
    const tried = group.map((row) => row.patience), knee = group.some((row) => row.knee);
    const mark = `${tried.length > 1 ? `${tried[0]}–${tried[tried.length - 1]}` : tried[0]}${knee ? " knee" : ""}`;
    return { x: 100 * group[0].saved, y: number(group[0].given_up), big: knee || tried.includes(patience), mark, label: `patience ${mark}` };
  });
  return html`<${Scatter} title="What each patience saves and costs" xLabel="epochs saved, %" yLabel="metric given up, mean" join points=${points} />`;
}
