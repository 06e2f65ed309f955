// The keyboard: single letters while nobody types, and a list of them.
import { html, useEffect, useRef } from "./vendor/htm-preact-standalone.module.js";
import { Dialog } from "./parts.js";

/** @param {EventTarget | null} target */
function isTyping(target) {
  const element = /** @type {HTMLElement | null} */ (target);
  return Boolean(element?.closest?.("input:not([type=checkbox]), textarea, select, dialog"));
}

/** @param {Record<string, () => void>} keys */
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      const act = latest.current[event.key];
      if (!act) return;
      const own = /** @type {HTMLElement} */ (event.target).closest?.("a, button, summary, [role=link], input");
      if (own && (event.key === "Enter" || event.key === " ")) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

const KEYS = [
  ["/", "filter"], ["j k", "next and previous run"], ["Enter", "open the run"], ["space", "select the run"],
  ["c", "compare the selected runs"], ["e", "edit name, note and tags"], ["Esc", "clear the selection, close"],
  ["g r", "runs"], ["g e", "experiments"], ["g w", "waste"], ["g c", "checkpoints"], ["t", "dark or light"], ["?", "this list"],
];

/** @param {{onClose: () => void}} props */
export function KeysDialog({ onClose }) {
  return html`<${Dialog} title="Keyboard" onClose=${onClose}><dl class="keys">${KEYS.map(([key, what]) => html`<div><dt>${key.split(" ").map((one) => html`<kbd>${one}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>
    <p class="none">In a chart: drag to zoom, double-click to see everything.</p><//>`;
}
