// The table of runs.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { address, number, objects, useData } from "./api.js";
import { FilterBox } from "./filter.js";
import { cell, counted, duration, isNumeric, NOTHING, shown, Status } from "./format.js";
import { useKeys } from "./keys.js";
import { DeleteDialog, Dialog, EditDialog, Mistyped } from "./parts.js";
import { Sparkline } from "./plots.js";
import { Asked, experimentPath, go, Link, refine, runPath, useRoute } from "./route.js";

const PAGE = 100;
const MOST_VARYING = 6;
/** Runs up to which groups say what they came to. */
const MOST_JUDGED = 5000;
const ALWAYS = ["status", "name", "curve"];
const HIDDEN = ["id", "best_epoch", "best_step", "last_epoch", "last_step"];

/** @param {{fixed?: string | null, title?: string}} props a filter that always holds, beside the one that is typed */
export function RunsTable({ fixed = null }) {
  const { query } = useRoute();
  const where = query.get("where") ?? "", sort = query.get("sort") ?? "", group = query.get("group") ?? "";
  const asked = new Asked(query), offset = asked.whole("offset") ?? 0;
  const filter = [fixed, where && (fixed ? `(${where})` : where)].filter(Boolean).join(" and ");
  const order = group ? `${group}:asc${sort ? `,${sort}` : ""}` : sort;
  const { data, error, busy, reload } = useData(address("/runs", { where: filter, sort: order, limit: PAGE, offset: offset || null }));
  const groups = useData(group && data ? address("/groups", { by: group, where: filter, judged: data.total <= MOST_JUDGED || null }) : null);
  const rows = useMemo(() => objects(data), [data]);
  const ids = rows.map((row) => row.id);
  const sparks = useData(ids.length ? address("/sparklines", { runs: ids.join(",") }) : null, ids);
  const [chosen, choose] = useState(/** @type {Set<string>} */ (new Set()));
  const [at, setAt] = useState(0);
  // Beside the state: keys may follow each other faster than the page is drawn.
  const cursor = useRef(0);
  const move = (/** @type {number} */ place) => setAt((cursor.current = place));
  const [dialog, show] = useState(/** @type {any} */ (null));
  const table = useRef(/** @type {any} */ (null));
  const columns = useMemo(() => columnsOf(data, query.get("cols"), rows), [data, query.get("cols")]);

  const toggle = (/** @type {string} */ id) => choose((was) => {
    const next = new Set(was);
    if (!next.delete(id)) next.add(id);
    return next;
  });
  useEffect(() => {
    table.current?.querySelector(`tr[data-at="${at}"]`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  useKeys({
    j: () => move(Math.min(rows.length - 1, cursor.current + 1)),
    k: () => move(Math.max(0, cursor.current - 1)),
    Enter: () => here() && go(runPath(here().id)),
    " ": () => here() && toggle(here().id),
    e: () => here() && show({ kind: "edit", id: here().id }),
    c: () => chosen.size > 1 && compare(),
    Escape: () => choose(new Set()),
  });
  const here = () => rows[cursor.current];
  const compare = () => go(`/compare?runs=${[...chosen].join(",")}`);
  const sortBy = (/** @type {string} */ name) => {
    const field = name === "best" ? rows.find((row) => row.monitor)?.monitor ?? "" : name;
    const key = /^[\w.@/-]+$/.test(field) ? field : `"${field}"`;
    if (!field || name === "curve") return;
    refine({ sort: sort === key ? `-${key}` : sort === `-${key}` ? null : key, offset: null });
  };
  const known = new Set([...ALWAYS, ...(data?.columns ?? []).map((/** @type {any} */ column) => column.name)]);
  if (data && rows.length) asked.read("cols", (text) => (text.split(",").every((name) => known.has(name)) ? text : null), "names of columns with commas, as the button Columns offers them");
  const counts = new Map(objects(groups.data).map((row) => [JSON.stringify(row.value), row]));
  const total = data?.total ?? null;
  let before = /** @type {any} */ (undefined);
  return html`<section class="runs">
    <div class="bar">
      <${FilterBox} value=${where} error=${error} onChange=${(/** @type {string} */ text) => text !== where && refine({ where: text, offset: null })} />
      <label class="pick">group <select value=${group} onChange=${(/** @type {any} */ event) => refine({ group: event.target.value, offset: null })}>
        <option value="">no groups</option>${groupable(data, group).map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
      <button onClick=${() => show({ kind: "columns" })}>Columns</button>
      <span class="count" aria-live="polite">${total === null ? "" : counted(total, "run")}${busy ? " …" : ""}</span>
    </div>
    <${Mistyped} asked=${asked} />
    ${error && (sort || group) && html`<p class="empty">The table is ${sort ? `sorted by ${sort}` : `grouped by ${group}`}. <button onClick=${() => refine({ sort: null, group: null, offset: null })}>In the usual order</button></p>`}
    ${data && !rows.length && (total ? html`<p class="empty">There are only ${counted(total, "run")}. <button onClick=${() => refine({ offset: null })}>To the first</button></p>` : html`<${Empty} filtered=${Boolean(filter)} />`)}
    ${rows.length > 0 && html`<div class="scroll table" tabindex="0" role="region" aria-label="Table of runs" ref=${table}><table class="main-table">
      <thead><tr><th class="tick"><input type="checkbox" aria-label="Select all on this page" checked=${ids.every((id) => chosen.has(id))}
        onChange=${(/** @type {any} */ event) => choose(event.target.checked ? new Set([...chosen, ...ids]) : new Set())} /></th>
        ${columns.map((column) => html`<th scope="col" class=${isNumeric(column) ? "num" : ""} aria-sort=${sorted(sort, column.name, rows)}>
          ${column.name === "curve" ? "curve" : html`<button class="quiet head" onClick=${() => sortBy(column.name)}>${heading(column.name, rows)}</button>`}</th>`)}<th class="act"><span class="sr">Edit</span></th></tr></thead>
      <tbody>${rows.map((row, place) => {
        const value = group ? JSON.stringify(row[group] ?? null) : "", starts = group && value !== before;
        before = value;
        return html`${starts && html`<tr class="group" key=${`g-${value}`}><th scope="rowgroup" colspan=${columns.length + 2}>
            ${group === "experiment" ? html`<${Link} to=${experimentPath(row.experiment)}>${row.experiment}<//>` : html`<span class="none">${group.replace(/^params\./, "")}</span> ${shown(row[group])}`}
            ${counts.has(value) && html`<span class="group-sum">${sumOf(counts.get(value))}</span>`}</th></tr>`}
          <tr key=${row.id} data-at=${place} data-run=${row.name} class="${place === at ? "at" : ""} ${chosen.has(row.id) ? "chosen" : ""}" onClick=${() => move(place)}>
            <td class="tick"><input type="checkbox" aria-label="Select ${row.name}" checked=${chosen.has(row.id)} onChange=${() => toggle(row.id)} /></td>
            ${columns.map((column) => html`<td class="${isNumeric(column) ? "num" : ""} col-${column.name.replace(/\W/g, "-")}">${cellOf(row, column, sparks.data)}</td>`)}
            <td class="act"><button class="quiet small" aria-label="Edit ${row.name}" title="Name, note, tags" onClick=${() => show({ kind: "edit", id: row.id })}>✎</button></td></tr>`;
      })}</tbody></table></div>`}
    <nav class="pages" aria-label="Pages">
      ${offset > 0 && html`<button onClick=${() => refine({ offset: Math.max(0, offset - PAGE) || null })}>← Previous</button>`}
      ${total !== null && total > PAGE && html`<span>${offset + 1}–${offset + rows.length} of ${counted(total, "run")}</span>`}
      ${total !== null && offset + rows.length < total && html`<button onClick=${() => refine({ offset: offset + PAGE })}>Next →</button>`}
    </nav>
    ${chosen.size > 0 && html`<div class="selection" role="toolbar" aria-label="Selection"><strong>${chosen.size} selected</strong>
      <button class="main" disabled=${chosen.size < 2} onClick=${compare}>Compare</button>
      <button onClick=${() => go(`/replay?runs=${[...chosen].join(",")}`)}>Replay</button>
      <button class="danger" onClick=${() => show({ kind: "delete" })}>Delete…</button>
      <button class="quiet" onClick=${() => choose(new Set())}>Clear</button></div>`}
    ${dialog?.kind === "columns" && html`<${Columns} data=${data} shown=${columns.map((column) => column.name)} onClose=${() => show(null)} />`}
    ${dialog?.kind === "edit" && html`<${EditDialog} id=${dialog.id} onClose=${() => show(null)} onDone=${reload} />`}
    ${dialog?.kind === "delete" && html`<${DeleteDialog} ids=${[...chosen]} onClose=${() => show(null)} onDone=${() => { choose(new Set()); reload(); }} />`}
  </section>`;
}

/** @param {{filtered: boolean}} props */
function Empty({ filtered }) {
  if (filtered) return html`<p class="empty">No run matches the filter.</p>`;
  return html`<div class="empty"><p>No runs yet. Record one, and it appears here:</p>
<pre>import tracker

with tracker.start_run("digits", params={"lr": 1e-3}) as run:
    run.log_epoch(0, {"loss": 0.30, "val_loss": 0.35})</pre></div>`;
}

/** Which columns a table shows: those that were chosen, else what tells its runs apart. @param {any} data @param {string | null} asked @param {any[]} rows */
function columnsOf(data, asked, rows) {
  if (!data) return [];
  const kinds = new Map(data.columns.map((/** @type {any} */ column) => [column.name, column.kind]));
  let names = asked ? asked.split(",") : null;
  if (!names?.some((name) => name === "curve" || kinds.has(name))) {
    const labels = data.varying.filter((/** @type {string} */ name) => /^(params|tags)\./.test(name)).slice(0, MOST_VARYING);
    const several = new Set(rows.map((row) => row.experiment)).size > 1;
    const noted = rows.some((row) => row.note);
    names = [...ALWAYS, ...(several ? ["experiment"] : []), ...labels, "best", "last", "epochs", "seconds", "started", ...(noted ? ["note"] : [])];
  }
  return names.filter((name) => name === "curve" || kinds.has(name)).map((name) => ({ name, kind: kinds.get(name) ?? "any" }));
}

/** @param {any} data @param {string} group */
function groupable(data, group) {
  const names = (data?.columns ?? []).map((/** @type {any} */ column) => column.name);
  const found = ["experiment", "status", ...names.filter((/** @type {string} */ name) => /^(params|tags)\./.test(name))];
  return group && !found.includes(group) ? [...found, group] : found;
}

/** What a group came to. @param {any} row */
function sumOf(row) {
  const said = [counted(row.runs, "run"), ...(row.running ? [`${row.running} running`] : []), duration(row.seconds)];
  if (row.best !== null && row.best !== undefined) {
    said.push(`best ${row.metric} ${shown(number(row.best))} (${row.best_run})`);
    if (row.std !== null) said.push(`mean ${shown(number(row.mean), 4)} ± ${shown(number(row.std), 2)}`);
  }
  return said.join(" · ");
}

/** @param {string} sort @param {string} name @param {any[]} rows */
function sorted(sort, name, rows) {
  const field = name === "best" ? rows.find((row) => row.monitor)?.monitor : name;
  if (!sort || sort.replace(/^-/, "") !== field) return "none";
  return sort.startsWith("-") ? "descending" : "ascending";
}

/** @param {string} name @param {any[]} rows */
function heading(name, rows) {
  const monitors = new Set(rows.map((row) => row.monitor).filter(Boolean));
  if (name === "best" && monitors.size === 1) return `best ${[...monitors][0]}`;
  return name.replace(/^params\./, "").replaceAll("_", " ");
}

/** @param {any} row @param {any} column @param {any} sparks */
function cellOf(row, column, sparks) {
  const { name } = column;
  if (name === "name") return html`<${Link} to=${runPath(row.id)} class="run-name" title=${row.name.length > 40 ? row.name : undefined}>${row.name}<//>${row.error && html`<span class="cell-note error">${row.error}</span>`}`;
  if (name === "status") return html`<${Status} status=${row.status} />`;
  if (name === "curve") return html`<${Sparkline} curve=${sparks?.[row.id]} best=${row.best_epoch} />`;
  if (name === "experiment") return html`<${Link} to=${experimentPath(row.experiment)}>${row.experiment}<//>`;
  if (name === "best" || name === "last") {
    const value = number(row[name]), epoch = row[`${name}_epoch`], step = row[`${name}_step`];
    if (value === null) return html`<span class="none">${NOTHING}</span>`;
    return html`${shown(value)}<span class="where"> @ ${epoch ?? `step ${step}`}</span>`;
  }
  return cell(row[name], column);
}

/** @param {any} props */
function Columns({ data, shown: now, onClose }) {
  const [names, set] = useState(/** @type {string[]} */ (now));
  const all = [...ALWAYS, ...data.columns.map((/** @type {any} */ column) => column.name).filter((/** @type {string} */ name) => !ALWAYS.includes(name) && !HIDDEN.includes(name))];
  const flip = (/** @type {string} */ name) => set(names.includes(name) ? names.filter((one) => one !== name) : [...names, name]);
  return html`<${Dialog} title="Columns" onClose=${onClose} wide>
    <fieldset class="choices"><legend class="none">Without a choice: those that tell the runs apart.</legend>${all.map((name) => html`<label class="check"><input type="checkbox" checked=${names.includes(name)} onChange=${() => flip(name)} />${name}</label>`)}</fieldset>
    <div class="actions"><button onClick=${() => { refine({ cols: null }); onClose(); }}>Automatic</button>
      <button class="main" onClick=${() => { refine({ cols: names.join(",") }); onClose(); }}>Show</button></div>
  <//>`;
}
