// The page: its frame, and which view an address means.
import { html, render, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";
import { address, useConnection, useData } from "./api.js";
import { ComparePage } from "./compare.js";
import { KeysDialog, useKeys } from "./keys.js";
import { CheckpointsPage, ExperimentPage, WastePage } from "./pages.js";
import { ReplayPage } from "./replay.js";
import { go, Link, useRoute } from "./route.js";
import { RunPage } from "./run.js";
import { RunsTable } from "./runs.js";

const VIEWS = [["/", "Runs"], ["/experiments", "Experiments"], ["/waste", "Waste"], ["/checkpoints", "Checkpoints"]];

function turnTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("tracker-theme", next);
  document.dispatchEvent(new Event("tracker-theme"));
}

/** @param {string} part of an address, which a hand may have cut short */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** @param {{path: string}} props */
function View({ path }) {
  const run = path.match(/^\/runs\/(.+)$/), name = run && decoded(run[1]);
  if (name) return html`<${RunPage} key=${path} name=${name} />`;
  if (path === "/compare") return html`<${ComparePage} />`;
  if (path === "/replay") return html`<${ReplayPage} />`;
  if (path === "/waste") return html`<${WastePage} />`;
  if (path === "/checkpoints") return html`<${CheckpointsPage} />`;
  if (path === "/experiments") return html`<${ExperimentPage} />`;
  if (path === "/" || path === "/runs") return html`<${RunsPage} />`;
  return html`<${Missing} />`;
}

function Missing() {
  useEffect(() => void (document.title = "No such page · local-tracker"), []);
  return html`<h1 class="sr">No such page</h1><p class="empty">There is no such page. <${Link} to="/">All runs<//></p>`;
}

function RunsPage() {
  useEffect(() => void (document.title = "Runs · local-tracker"), []);
  return html`<h1 class="sr">Runs</h1><${RunsTable} />`;
}

function Page() {
  const { path } = useRoute();
  const connection = useConnection();
  const info = useData(address("/info"), false);
  const [help, show] = useState(false);
  const leading = useRef(0);
  const after = (/** @type {string} */ to) => () => Date.now() - leading.current < 1200 && go(to);
  useKeys({
    "?": () => show(true),
    "/": () => document.getElementById("filter")?.focus(),
    g: () => void (leading.current = Date.now()),
    r: after("/"), w: after("/waste"), t: turnTheme,
  });
  useEffect(() => {
    // These letters mean something else of their own.
    const second = (/** @type {KeyboardEvent} */ event) => {
      if (Date.now() - leading.current > 1200 || event.key === "g") return;
      const to = { e: "/experiments", c: "/checkpoints" }[event.key];
      if (!to) return;
      leading.current = 0;
      event.stopImmediatePropagation();
      event.preventDefault();
      go(to);
    };
    addEventListener("keydown", second, true);
    return () => removeEventListener("keydown", second, true);
  }, []);
  return html`<a class="skip" href="#main">To the content</a>
    <header class="top"><${Link} to="/" class="brand" aria-label="local-tracker: all runs"><img src="/static/icon.svg" alt="" width="22" height="22" /><span>local-tracker</span><//>
      <nav aria-label="Views">${VIEWS.map(([to, name]) => html`<${Link} to=${to} aria-current=${path === to || (to === "/" && /^\/runs(\/|$)/.test(path)) ? "page" : undefined}>${name}<//>`)}</nav>
      <span class="fill"></span>
      ${info.data?.read_only && html`<span class="tag">read-only</span>`}
      <span class="live ${connection}" role="status" title=${info.data?.database ?? ""}><span class="bulb" aria-hidden="true"></span>${connection}</span>
      <button class="quiet" aria-label="Dark or light" title="Dark or light (t)" onClick=${turnTheme}>◐</button>
      <button class="quiet" aria-label="Keyboard" title="Keyboard (?)" onClick=${() => show(true)}>?</button></header>
    <main id="main" tabindex="-1">${connection === "refused" && html`<p class="problem refused" role="alert">This page is no longer live, as where tracker ui was started again: open the link that it printed, in this browser, and this page goes on.</p>`}<${View} path=${path} /></main>
    ${help && html`<${KeysDialog} onClose=${() => show(false)} />`}`;
}

render(html`<${Page} />`, /** @type {any} */ (document.getElementById("app")));
