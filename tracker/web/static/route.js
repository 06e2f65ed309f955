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
