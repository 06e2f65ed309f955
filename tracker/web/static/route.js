// Every view is an address; what is chosen in it stands behind the question mark.
import { html, useEffect, useState } from "./vendor/htm-preact-standalone.module.js";

/** @type {Set<() => void>} */
const followers = new Set();
const tell = () => followers.forEach((follower) => follower());
addEventListener("popstate", tell);

/** @param {string} to @param {boolean} [replace] */
export function go(to, replace = false) {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  if (!replace) scrollTo(0, 0);
  tell();
}

export function useRoute() {
  const read = () => ({ path: location.pathname, query: new URLSearchParams(location.search) });
  const [now, set] = useState(read);
  useEffect(() => {
    const follow = () => set(read());
    followers.add(follow);
    follow();
    return () => void followers.delete(follow);
  }, []);
  return now;
}

/** Change what stands behind the question mark. @param {Record<string, any>} changes @param {boolean} [replace] */
export function refine(changes, replace = false) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, String(value));
  }
  const text = query.toString().replaceAll("%2C", ",");
  go(location.pathname + (text ? `?${text}` : ""), replace);
}

/** What stands behind the question mark. What a hand has mistyped there counts as not said, and `wrong` has it. */
export class Asked {
  /** @param {URLSearchParams} query */
  constructor(query) {
    this.query = query;
    this.wrong = /** @type {{name: string, text: string, possible: string}[]} */ ([]);
  }

  /** @template T @param {string} name @param {(text: string) => T | null} read @param {string} possible @returns {T | null} */
  read(name, read, possible) {
    const text = this.query.get(name);
    if (!text) return null;
    const found = read(text);
    if (found === null) this.wrong.push({ name, text, possible });
    return found;
  }

  /** @param {string} name */
  whole(name) {
    return this.read(name, (text) => (/^\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : null), "a whole number, 0 or more");
  }

  /** @param {string} name */
  number(name) {
    return this.read(name, (text) => (text.trim() && Number.isFinite(Number(text)) ? Number(text) : null), "a number");
  }

  /** @param {string} name @param {string[]} words */
  choice(name, words) {
    const some = words.length > 8 ? `${words.slice(0, 8).join(", ")} and ${words.length - 8} more` : words.join(", ");
    return this.read(name, (text) => (words.includes(text) ? text : null), some ? `one of ${some}` : "nothing here");
  }
}

/** A link that does not load the page again. @param {any} props */
export function Link({ to, children, ...rest }) {
  const follow = (/** @type {MouseEvent} */ event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${to} onClick=${follow} ...${rest}>${children}</a>`;
}

/** @param {string} id */
export const runPath = (id) => `/runs/${encodeURIComponent(id)}`;
/** @param {string} name */
export const experimentPath = (name) => `/experiments?name=${encodeURIComponent(name)}`;
