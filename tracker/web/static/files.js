// Saved files: what is known of them, checked with progress, pinned, copied.
import { html, useState } from "./vendor/htm-preact-standalone.module.js";
import { Refused, send } from "./api.js";
import { command, counted, NOTHING, size, Status } from "./format.js";
import { Copy, Problem, Table } from "./parts.js";
import { Link, runPath } from "./route.js";

/** @param {{table: any, runs: string[] | null, onDone: () => void, withRun?: boolean}} props */
export function Files({ table, runs, onDone, withRun = false }) {
  const [progress, set] = useState(/** @type {{done: number, total: number} | null} */ (null));
  const [said, say] = useState("");
  const [error, refuse] = useState(/** @type {any} */ (null));
  const verify = async () => {
    refuse(null);
    say("");
    set({ done: 0, total: 1 });
    try {
      const answer = await send("POST", "/verify", { runs });
      const results = await lines(/** @type {any} */ (answer.body), set);
      const wrong = results.filter((/** @type {any} */ row) => row.state !== "available");
      say(wrong.length
        ? `${wrong.length} of ${counted(results.length, "file")} ${wrong.length === 1 ? "is not as it was" : "are not as they were"} saved: ${wrong.slice(0, 5).map((/** @type {any} */ row) => `${row.path} is ${row.state}`).join(", ")}.`
        : `${counted(results.length, "file")} checked: as saved, size and SHA-256.`);
      onDone();
    } catch (problem) {
      refuse(problem);
    }
    set(null);
  };
  const pin = async (/** @type {any} */ row) => {
    try {
      await send("PUT", `/checkpoints/${row.id}/pin`, { pinned: !row.pinned });
      onDone();
    } catch (problem) {
      refuse(problem);
    }
  };
  const render = {
    run: (/** @type {string} */ name, /** @type {any} */ row) => html`<${Link} to=${runPath(row.run_id)}>${name}<//>`,
    state: (/** @type {string} */ state) => html`<${Status} status=${state} />`,
    pinned: (/** @type {boolean} */ pinned, /** @type {any} */ row) => html`<button class="quiet small" aria-pressed=${pinned} onClick=${() => pin(row)}>${pinned ? "▲ pinned" : "pin"}</button>`,
    path: (/** @type {string} */ path, /** @type {any} */ row) => html`<span class="path">${path}</span> <${Copy} label="copy command" text=${command(["tracker", "checkpoints", "restore", row.id])} />`,
    alias: (/** @type {any} */ alias) => (alias ? html`<strong>${alias}</strong>` : NOTHING),
  };
  const kept = table.columns.findIndex((/** @type {any} */ column) => column.name === "kept");
  const nothingKept = table.rows.every((/** @type {any[]} */ row) => !row[kept]);
  const hidden = ["sha256", "file", "attempt", "step", "policy", ...(withRun ? ["id"] : ["run"]), ...(nothingKept ? ["kept"] : [])];
  return html`<div class="files"><div class="bar"><button onClick=${verify} disabled=${progress !== null}>Verify files</button>
      ${progress && html`<progress max=${progress.total || 1} value=${progress.done} aria-label="Files read"></progress><span>${size(progress.done)} of ${size(progress.total)}</span>`}
      <span role="status" class="verified">${said}</span></div>
    <${Problem} error=${error} /><${Table} short=${!withRun} table=${table} label="Checkpoints" hidden=${hidden} render=${render} /></div>`;
}

/** Read one JSON object per line. @param {ReadableStream<Uint8Array>} body @param {(progress: any) => void} step @returns {Promise<any[]>} */
async function lines(body, step) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let rest = "", found = /** @type {any[]} */ ([]);
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const parts = rest.split("\n");
    rest = /** @type {string} */ (parts.pop());
    for (const part of parts.filter(Boolean)) {
      const line = JSON.parse(part);
      if (line.error) throw new Refused(line.error, 500, line.kind);
      if (line.checkpoints) found = line.checkpoints;
      else step(line);
    }
    if (done) return found;
  }
}
