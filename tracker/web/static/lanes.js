// What callbacks decided, under the curve and in step with it: one lane each, each verdict a shape with its sentence.
import { html, useMemo } from "./vendor/htm-preact-standalone.module.js";
import { number, objects } from "./api.js";
import { shown } from "./format.js";

const ROW = 22;
const PITCH = 38;
const SIGNS = {
  improved: "✓", waited: "·", stopped: "■", restored: "↺", saved: "●", skipped: "○", reduced: "↓", scheduled: "↘", pruned: "✕",
};
const STATES = { available: "●", missing: "✗", modified: "✗", pruned: "○" };
export const LEGEND = "✓ improved · waited ■ stopped ↺ restored ● saved ○ skipped ↓ reduced ↘ scheduled ✕ pruned";

/** @typedef {{x: number, sign: string, kind: string, words: string, part?: number, aside?: number}} Mark */

/** Lanes of decisions and files. @param {any} decisions @param {any} checkpoints */
export function lanesOf(decisions, checkpoints) {
  /** @type {Map<string, Mark[]>} */
  const lanes = new Map();
  const put = (/** @type {string} */ lane, /** @type {Mark} */ mark) => {
    const there = lanes.get(lane);
    if (there) there.push(mark);
    else lanes.set(lane, [mark]);
  };
  for (const row of objects(decisions)) {
    const patience = row.patience ? ` of ${row.patience}` : "";
    const waited = row.verdict === "waited";
    put(row.policy + (row.monitor ? ` · ${row.monitor}` : ""), {
      x: row.epoch, kind: row.verdict, sign: waited ? String(row.wait ?? "·") : /** @type {any} */ (SIGNS)[row.verdict] ?? "·",
      part: waited && row.patience ? row.wait / row.patience : undefined,
      words: `epoch ${row.epoch}: ${row.verdict}${waited && row.wait ? ` ${row.wait}${patience}` : ""}. ${row.reason}`,
    });
  }
  for (const row of objects(checkpoints)) {
    if (row.epoch === null) continue;
    put("files", {
      x: row.epoch, kind: `file-${row.state}`, sign: row.pinned ? "▲" : /** @type {any} */ (STATES)[row.state] ?? "◐",
      words: `epoch ${row.epoch}: ${row.path} is ${row.state}${row.pinned ? ", pinned" : ""}${row.alias ? `, ${row.alias}` : ""}${row.value !== null ? `, ${row.monitor} ${shown(number(row.value))}` : ""}`,
    });
  }
  return [...lanes.entries()];
}

/** One bar per process. @param {any[]} attempts @param {number} last the last epoch */
export function barsOf(attempts, last) {
  if (attempts.length < 2) return [];
  return attempts.map((attempt, at) => {
    const from = attempt.first_epoch ?? 0, next = attempts[at + 1]?.first_epoch;
    const words = `attempt ${attempt.number}: ${attempt.status} on ${attempt.host}, pid ${attempt.pid}${attempt.reason ? `. ${attempt.reason}` : ""}`;
    return { from, to: next === undefined || next === null ? last : Math.max(from, next - 1), words, status: attempt.status, number: attempt.number };
  });
}

/** @param {{frame: any, lanes: [string, Mark[]][], bars?: any[]}} props */
export function Lanes({ frame, lanes, bars = [] }) {
  const drawn = useMemo(() => {
    if (!frame || frame.min === null || frame.min === undefined) return null;
    const span = frame.max - frame.min || 1;
    const x = (/** @type {number} */ value) => frame.left + ((value - frame.min) / span) * frame.width;
    const per = frame.width / span;
    const rows = lanes.map(([name, marks]) => {
      const here = marks.filter((mark) => mark.x >= frame.min && mark.x <= frame.max);
      return { name, marks: apart(thinned(here, x, per)), crowded: per < 13 };
    });
    return { x, rows };
  }, [frame, lanes]);
  if (!drawn || (!lanes.length && !bars.length)) return null;
  const width = frame.left + frame.width + 12, top = bars.length ? ROW : 0;
  return html`<div class="lanes"><svg width=${width} height=${top + drawn.rows.length * PITCH} role="list" aria-label="Decisions">
    ${bars.map((bar) => {
      const from = Math.max(frame.left, drawn.x(bar.from - 0.4)), to = Math.min(frame.left + frame.width, drawn.x(bar.to + 0.4));
      return to > from && html`<g class="bar ${bar.status}" role="listitem" aria-label=${bar.words}><title>${bar.words}</title><rect x=${from} y="3" width=${to - from} height=${ROW - 8} rx="3" /><text x=${from + 6} y="14">${bar.number}</text></g>`;
    })}
    ${drawn.rows.map((row, at) => {
      const y = top + at * PITCH;
      return html`<g key=${row.name}><text class="lane-name" x=${frame.left} y=${y + 9}>${row.name}</text>
        <line class="lane-line" x1=${frame.left} x2=${frame.left + frame.width} y1=${y + 23} y2=${y + 23} />
        ${row.marks.map((mark) => html`<g role="listitem" aria-label=${mark.words} class="mark ${mark.kind}"><title>${mark.words}</title>
          ${mark.kind === "waited" && row.crowded
            ? html`<line x1=${drawn.x(mark.x)} x2=${drawn.x(mark.x)} y1=${y + 27} y2=${y + 27 - 4 - 9 * (mark.part ?? 0.3)} />`
            : html`<text x=${drawn.x(mark.x) + (mark.aside ?? 0)} y=${y + 27.5} text-anchor="middle">${mark.sign}</text>`}</g>`)}</g>`;
    })}
  </svg></div>`;
}

/** Of marks that would lie on one another keep the one that says most. @param {Mark[]} marks @param {(x: number) => number} x @param {number} per */
function thinned(marks, x, per) {
  if (per >= 6) return marks;
  const weight = (/** @type {Mark} */ mark) => ["waited", "skipped", "scheduled"].includes(mark.kind) ? 0 : mark.kind === "stopped" ? 3 : 1;
  /** @type {Map<number, Mark>} */
  const kept = new Map();
  for (const mark of marks) {
    const slot = Math.round(x(mark.x) / 6), there = kept.get(slot);
    if (!there || weight(mark) >= weight(there)) kept.set(slot, mark);
  }
  return [...kept.values()];
}

/** Marks of one epoch, such as stopped and restored, stand beside each other. @param {Mark[]} marks */
function apart(marks) {
  /** @type {Map<number, Mark[]>} */
  const places = new Map();
  for (const mark of marks) places.set(mark.x, [...(places.get(mark.x) ?? []), mark]);
  return [...places.values()].flatMap((there) => there.map((mark, at) => ({ ...mark, aside: 13 * (at - (there.length - 1) / 2) })));
}

/** What a running run waits for: "4 of 5 waits used; val_loss needs < 0.212". @param {any} decisions @param {any[]} policies */
export function waitingFor(decisions, policies) {
  /** @type {Map<string, any>} */
  const last = new Map();
  for (const row of objects(decisions)) if (row.patience && row.wait !== null) last.set(`${row.policy} ${row.monitor}`, row);
  return [...last.values()].map((row) => {
    const own = policies.find((policy) => policy.policy === row.policy && policy.monitor === row.monitor);
    const best = number(row.best), delta = Number(own?.config?.min_delta ?? 0), rises = own?.config?.mode === "max";
    const need = best === null ? "" : `; ${row.monitor} needs ${rises ? ">" : "<"} ${shown(rises ? best + delta : best - delta)}`;
    return `${row.policy}: ${row.wait} of ${row.patience} waits used${need}`;
  });
}
