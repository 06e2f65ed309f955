// Small pieces that several views share: problems, dialogs, plain tables, edits.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { get, send, address } from "./api.js";
import { cell, counted, isNumeric, shown, size } from "./format.js";
import { Link, refine } from "./route.js";

/** An error as the server says it; a filter's has a caret, so the letters stay in columns. @param {any} props */
export function Problem({ error }) {
  if (!error) return null;
  const [sentence, ...place] = error.message.split("\n");
  return html`<pre class="problem" role="alert"><span class="sentence">${sentence}</span>${place.map((/** @type {string} */ line) => `\n${line}`)}</pre>`;
}

/** What an address says that means nothing, and a way on. @param {{asked: import("./route.js").Asked}} props */
export function Mistyped({ asked }) {
  if (!asked.wrong.length) return null;
  const without = Object.fromEntries(asked.wrong.map(({ name }) => [name, null]));
  return html`<div class="problem mistyped" role="alert">${asked.wrong.map(({ name, text, possible }) => html`<p>${name} is “${text}” in this address, and is left out: it can be ${possible}.</p>`)}
    <button onClick=${() => refine(without, true)}>Correct the address</button></div>`;
}

/** An error of a whole page, and a way on. @param {{error: any}} props */
export const DeadEnd = ({ error }) => error && html`<div class="dead-end"><${Problem} error=${error} /><p><${Link} to="/">All runs<//></p></div>`;

/** @param {{title: string, onClose: () => void, children?: any, wide?: boolean}} props */
export function Dialog({ title, onClose, children, wide = false }) {
  const place = useRef(/** @type {any} */ (null));
  // At once: a key that comes before it is shown would go to the page behind it.
  useLayoutEffect(() => {
    const dialog = place.current;
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.showModal();
    return () => {
      if (dialog.open) dialog.close();
      before?.focus?.();
    };
  }, []);
  const outside = (/** @type {MouseEvent} */ event) => event.target === place.current && onClose();
  return html`<dialog ref=${place} class=${wide ? "wide" : ""} aria-label=${title} onCancel=${onClose} onClick=${outside}>
    <div class="dialog-body"><header><h2>${title}</h2>
      <button class="quiet" aria-label="Close" onClick=${onClose}>✕</button></header>${children}</div>
  </dialog>`;
}

/** A listing as a table. @param {any} props */
export function Table({ table, label, hidden = [], render = {}, most = 500, short = false }) {
  if (!table) return null;
  if (!table.rows.length) return html`<p class="none">None.</p>`;
  const shown = table.columns.map((/** @type {any} */ column, /** @type {number} */ at) => ({ ...column, at }))
    .filter((/** @type {any} */ column) => !hidden.includes(column.name));
  const rows = table.rows.slice(0, most);
  // A name may be that of several runs, and hold whatever letters: links take the id.
  const record = (/** @type {any[]} */ row, /** @type {number} */ place) => ({
    ...Object.fromEntries(table.columns.map((/** @type {any} */ column, /** @type {number} */ at) => [column.name, row[at]])), run_id: table.runs?.[place],
  });
  return html`<div class="scroll ${short ? "short" : ""}" tabindex="0" role="region" aria-label=${label}><table>
    <thead><tr>${shown.map((/** @type {any} */ column) => html`<th scope="col" class=${isNumeric(column) ? "num" : ""}>${column.name.replaceAll("_", " ")}</th>`)}</tr></thead>
    <tbody>${rows.map((/** @type {any[]} */ row, /** @type {number} */ place) => html`<tr>${shown.map((/** @type {any} */ column) => html`<td class="${isNumeric(column) ? "num" : ""} col-${column.name.replace(/\W/g, "-")}">
      ${render[column.name] ? render[column.name](row[column.at], record(row, place)) : cell(row[column.at], column)}</td>`)}</tr>`)}</tbody>
  </table>${table.rows.length > most && html`<p class="none">The first ${most} of ${table.rows.length}.</p>`}</div>`;
}

const MOST = 1000;

/**
 * What a drawing shows as a table, for screen readers and for copying; it is made when it is opened.
 * @param {{title: string, head: string[], rows: () => any[][], say?: (cell: any, column: number) => any}} props
 */
export function Twin({ title, head, rows, say = (cell) => shown(cell, 6) }) {
  const [open, set] = useState(false);
  const all = open ? rows() : [];
  return html`<details class="twin" onToggle=${(/** @type {any} */ event) => set(event.target.open)}><summary>Table<span class="sr"> of ${title}</span></summary>
    ${open && html`<div class="scroll short" tabindex="0" role="region" aria-label="Table of ${title}"><table>
      <thead><tr>${head.map((name) => html`<th scope="col" class="num">${name}</th>`)}</tr></thead>
      <tbody>${all.slice(0, MOST).map((row) => html`<tr>${row.map((cell, at) => (at ? html`<td class="num">${say(cell, at)}</td>` : html`<th scope="row" class="num">${say(cell, at)}</th>`))}</tr>`)}</tbody>
    </table>${all.length > MOST && html`<p class="none">The first ${MOST} of ${all.length}; CSV has all.</p>`}</div>`}
  </details>`;
}

/** Names and values, two columns. @param {{pairs: [string, any][], label: string}} props */
export function Pairs({ pairs, label }) {
  if (!pairs.length) return html`<p class="none">None.</p>`;
  return html`<dl class="pairs" aria-label=${label}>${pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** Change a run's name, note and tags. @param {any} props */
export function EditDialog({ id, onClose, onDone }) {
  const [now, set] = useState(/** @type {any} */ (null));
  const [error, refuse] = useState(/** @type {any} */ (null));
  useEffect(() => {
    get(address(`/runs/${id}`)).then((found) => set({
      name: found.run.name, note: found.run.note ?? "", was: found.tags,
      tags: Object.entries(found.tags).map(([name, value]) => (value ? `${name}=${value}` : name)).join("\n"),
    }), refuse);
  }, [id]);
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const lines = now.tags.split("\n").map((/** @type {string} */ line) => line.trim()).filter(Boolean);
    const tags = Object.fromEntries(lines.map((/** @type {string} */ line) => {
      const at = line.indexOf("=");
      return at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }));
    const removed = Object.keys(now.was).filter((name) => !(name in tags));
    try {
      await send("PATCH", `/runs/${id}`, { name: now.name, note: now.note, tags, removed_tags: removed });
      onDone?.();
      onClose();
    } catch (problem) {
      refuse(problem);
    }
  };
  const bind = (/** @type {string} */ field) => ({
    value: now[field], onInput: (/** @type {any} */ event) => set({ ...now, [field]: event.target.value }),
  });
  return html`<${Dialog} title="Edit" onClose=${onClose}>
    <${Problem} error=${error} />
    ${now && html`<form onSubmit=${save}>
      <label>Name<input ...${bind("name")} required /></label>
      <label>Note<textarea rows="3" ...${bind("note")}></textarea></label>
      <label>Tags, one per line: name or name=value<textarea rows="4" ...${bind("tags")}></textarea></label>
      <div class="actions"><button type="button" onClick=${onClose}>Cancel</button><button class="main">Save</button></div>
    </form>`}
  <//>`;
}

/** Delete runs, after saying what that frees. @param {any} props */
export function DeleteDialog({ ids, onClose, onDone }) {
  const [plan, set] = useState(/** @type {any} */ (null));
  const [error, refuse] = useState(/** @type {any} */ (null));
  const [files, choose] = useState(false);
  const [busy, work] = useState(false);
  useEffect(() => {
    get(address("/deletion", { runs: ids.join(",") })).then(set, refuse);
  }, []);
  const act = async () => {
    work(true);
    try {
      await send("POST", "/deletion", { runs: ids, files });
      onDone();
      onClose();
    } catch (problem) {
      refuse(problem);
      work(false);
    }
  };
  const names = plan ? Object.values(plan.runs) : [];
  return html`<${Dialog} title="Delete ${counted(ids.length, "run")}" onClose=${onClose}>
    <${Problem} error=${error} />
    ${plan && html`<p>${names.slice(0, 8).join(", ")}${names.length > 8 ? ` and ${names.length - 8} more` : ""}: everything recorded of
      ${names.length === 1 ? " it" : " them"} is deleted permanently.</p>
      <label class="check"><input type="checkbox" checked=${files} disabled=${!plan.files} onChange=${(/** @type {any} */ event) => choose(event.target.checked)} />
        Also ${counted(plan.files, "checkpoint file")}, which frees ${size(plan.bytes)}${plan.pinned ? `; ${plan.pinned} pinned stay` : ""}</label>
      <div class="actions"><button onClick=${onClose}>Cancel</button>
        <button class="danger" disabled=${busy} onClick=${act}>Delete${files ? ` and free ${size(plan.bytes)}` : ""}</button></div>`}
  <//>`;
}

/** @param {{text: string, label: string}} props */
export function Copy({ text, label }) {
  const [done, set] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    set(true);
    setTimeout(() => set(false), 1500);
  };
  return html`<button class="quiet small" title=${text} onClick=${copy}>${done ? "copied" : label}</button>`;
}
