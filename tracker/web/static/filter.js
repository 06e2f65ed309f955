// The command line's filter language, with completion; what cannot be read is shown with a caret under the place.
import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { address, useData } from "./api.js";

const WORD = /[\w./@-]*$/;
const MOST = 12;

/** @param {{value: string, onChange: (text: string) => void, error: any}} props */
export function FilterBox({ value, onChange, error }) {
  const [text, write] = useState(value);
  const [offered, offer] = useState(/** @type {string[]} */ ([]));
  const [at, move] = useState(-1);
  const box = useRef(/** @type {any} */ (null));
  const timer = useRef(/** @type {any} */ (0));
  const { data } = useData(address("/fields"), false);
  useEffect(() => write(value), [value]);

  const apply = (/** @type {string} */ next) => {
    clearTimeout(timer.current);
    onChange(next.trim());
  };
  const complete = (/** @type {string} */ name) => {
    const end = box.current.selectionStart, before = text.slice(0, end);
    const start = before.search(WORD);
    const plain = /^[\w./@-]+$/.test(name) && /^[^\W\d]/.test(name);
    const next = `${text.slice(0, start)}${plain ? name : `"${name}"`} ${text.slice(end).trimStart()}`;
    write(next);
    offer([]);
    move(-1);
    requestAnimationFrame(() => box.current?.focus());
  };
  const typed = (/** @type {any} */ event) => {
    const next = event.target.value;
    write(next);
    const word = (next.slice(0, event.target.selectionStart).match(WORD) ?? [""])[0].toLowerCase();
    const names = data ? [...data.names, ...data.functions.map((/** @type {string} */ name) => `${name}(`), ...data.words] : [];
    const inside = ((next.slice(0, event.target.selectionStart).match(/'/g) ?? []).length % 2) === 1;
    const fits = word && !inside ? names.filter((name) => name.toLowerCase().includes(word) && name !== word) : [];
    offer(fits.sort((one, other) => Number(other.toLowerCase().startsWith(word)) - Number(one.toLowerCase().startsWith(word))).slice(0, MOST));
    move(-1);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(next.trim()), 600);
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (offered.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      move((at + (event.key === "ArrowDown" ? 1 : -1) + offered.length) % offered.length);
    } else if (offered.length && (event.key === "Tab" || (event.key === "Enter" && at >= 0))) {
      event.preventDefault();
      complete(offered[Math.max(0, at)]);
    } else if (event.key === "Enter") {
      offer([]);
      apply(text);
    } else if (event.key === "Escape") {
      if (offered.length) offer([]);
      else box.current.blur();
      event.stopPropagation();
    }
  };
  return html`<div class="filter">
    <input id="filter" ref=${box} type="text" value=${text} onInput=${typed} onKeyDown=${pressed} onBlur=${() => setTimeout(() => offer([]), 150)}
      placeholder="val_loss < 0.3 and params.lr >= 1e-3" spellcheck="false" autocomplete="off" autocapitalize="off"
      aria-label="Filter" role="combobox" aria-expanded=${offered.length > 0} aria-controls="filter-names" aria-autocomplete="list"
      aria-activedescendant=${at >= 0 ? `filter-name-${at}` : undefined} aria-invalid=${Boolean(error)} />
    ${text && html`<button class="quiet small clear" aria-label="Clear the filter" onClick=${() => { write(""); apply(""); }}>✕</button>`}
    <ul id="filter-names" role="listbox" aria-label="Names" hidden=${!offered.length}>${offered.map((name, place) => html`<li id="filter-name-${place}" role="option" aria-selected=${place === at} class=${place === at ? "at" : ""}
      onMouseDown=${(/** @type {any} */ event) => { event.preventDefault(); complete(name); }}>${name}</li>`)}</ul>
    ${error && html`<pre class="problem" role="alert">${error.message}</pre>`}
  </div>`;
}
