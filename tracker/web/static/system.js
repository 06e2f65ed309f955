// What the machine did while a run trained: small charts, each in its unit, folded away below the run's own metrics.
import { html, useEffect, useState } from "./vendor/htm-preact-standalone.module.js";
import { series, useAsking } from "./api.js";
import { Chart } from "./chart.js";
import { colour, dash, shown, size } from "./format.js";
import { refine, useRoute } from "./route.js";

const PREFIX = "system/";
const CHARTS = [
  ["CPU of the process", /^cpu_percent$/], ["Memory of the process", /^memory_bytes$/], ["Memory in use, whole machine", /^memory_percent$/],
  ["Disk", /^disk_(read|written)_/], ["Disk free", /^disk_free_bytes$/], ["Network, whole machine", /^network_/],
  ["GPU utilization", /^gpu\d+\/utilization_percent$/], ["GPU memory", /^gpu\d+\/memory_bytes$/], ["GPU power", /^gpu\d+\/power_watts$/],
  ["GPU temperature", /^gpu\d+\/temperature_celsius$/], ["GPU energy", /^gpu\d+\/energy_joules$/],
].map(([title, names]) => ({ title: String(title), names: /** @type {RegExp} */ (names) }));

/** A measurement in the unit that its name ends with. @param {string} name @param {any} value */
function measure(name, value) {
  if (value === null || !Number.isFinite(value)) return shown(value);
  if (name.endsWith("bytes_per_second")) return `${size(Math.round(value))}/s`;
  if (name.endsWith("bytes")) return size(Math.round(value));
  const unit = name.endsWith("percent") ? " %" : name.endsWith("watts") ? " W" : name.endsWith("celsius") ? " °C" : "";
  return `${shown(value, 3)}${unit}`;
}

/** @param {number} joules */
export const energy = (joules) => (joules < 3.6e6 ? `${shown(joules / 3600, 3)} Wh` : `${shown(joules / 3.6e6, 3)} kWh`);

/** Seconds as a clock has them: 0:45, 12:30, 3:05:00. @param {number} seconds */
function clock(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round(seconds) % 60];
  return (parts[0] ? parts : parts.slice(1)).map((part, at) => (at ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** What tells the lines of one chart apart. @param {string} name */
function label(name) {
  const part = name.match(/^gpu(\d+)\//);
  if (part) return `GPU ${part[1]}`;
  return (name.match(/read|written|received|sent/) ?? [name])[0];
}

/** Where no range is shown: the figures that are looked at first. @param {Record<string, any>} system */
function inBrief(system) {
  const said = [];
  const put = (/** @type {string} */ name, /** @type {string} */ what, /** @type {"mean" | "max"} */ which) => {
    const found = system[PREFIX + name];
    if (found) said.push(`${what} ${measure(name, found[which])} ${which === "max" ? "at most" : "on average"}`);
  };
  put("cpu_percent", "CPU", "mean");
  put("memory_bytes", "memory", "max");
  const gpus = Object.keys(system).filter((name) => name.endsWith("/utilization_percent"));
  if (gpus.length) said.push(`${gpus.length > 1 ? `${gpus.length} GPUs` : "GPU"} ${shown(gpus.reduce((sum, name) => sum + system[name].mean, 0) / gpus.length, 3)} % on average`);
  return said.join(" · ");
}

/** @param {{run: string, system: Record<string, any>}} props */
export function SystemCharts({ run, system }) {
  const { query } = useRoute();
  const open = query.get("system") === "1";
  const names = Object.keys(system).map((name) => name.slice(PREFIX.length));
  const charts = CHARTS.map(({ title, names: wanted }) => ({ title, names: names.filter((name) => wanted.test(name)) })).filter((chart) => chart.names.length);
  const others = names.filter((name) => !charts.some((chart) => chart.names.includes(name)));
  const all = [...charts, ...others.map((name) => ({ title: name.replaceAll("_", " "), names: [name] }))];
  const samples = Object.values(system).reduce((sum, one) => sum + one.samples, 0);
  return html`<section class="system"><h2>System</h2><details open=${open} onToggle=${(/** @type {any} */ event) => event.target.open !== open && refine({ system: event.target.open ? 1 : null }, true)}>
    <summary>${inBrief(system) || "What the machine did"}</summary>
    ${open && html`<div class="multiples">${all.map((chart) => html`<${SystemChart} key=${chart.title} run=${run} ...${chart} samples=${samples} system=${system} />`)}</div>`}
  </details></section>`;
}

/** @param {{run: string, title: string, names: string[], samples: number, system: Record<string, any>}} props */
function SystemChart({ run, title, names, samples, system }) {
  const [found, set] = useState(/** @type {any[]} */ ([]));
  const [error, refuse] = useState(/** @type {any} */ (null));
  const ask = useAsking(async (signal) => {
    try {
      set(await Promise.all(names.map((name) => series(run, { name: PREFIX + name, points: 600 }, signal))));
      refuse(null);
    } catch (problem) {
      if (!signal.aborted) refuse(problem);
    }
  }, [run, names.join(",")]);
  useEffect(() => void (found.length && ask()), [samples]);
  const isEnergy = names[0].endsWith("joules");
  const lines = found.map((one, at) => ({ label: label(names[at]), x: one.x, y: isEnergy ? one.y.map((/** @type {number} */ joules) => joules / 3600) : one.y, odd: one.odd, colour: colour(at), dash: dash(at), width: 1.5, dots: one.total < 40 }));
  const say = (/** @type {any} */ value) => (isEnergy ? `${shown(value, 3)} Wh` : measure(names[0], value));
  const [only] = names.length === 1 ? [system[PREFIX + names[0]]] : [];
  const note = only && (isEnergy ? energy(only.last) : `mean ${say(only.mean)}, max ${say(only.max)}`);
  return html`${error && html`<p class="problem" role="alert">${error.message}</p>`}
    <${Chart} small title=${title} note=${note} xLabel="since the start" lines=${lines} height=${130} sync="system-${run}" legend=${names.length > 1} say=${say} sayX=${clock} />`;
}
