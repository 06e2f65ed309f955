// The JSON interface, and the stream that says what changed.
import { useCallback, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.module.js";

const API = "/api/v1";

/** An answer that is an error: its text is the server's sentence. */
export class Refused extends Error {
  /** @param {string} text @param {number} status @param {string} kind */
  constructor(text, status, kind) {
    super(text);
    this.status = status;
    this.kind = kind;
  }
}

/** @param {string} path @param {Record<string, any>} [params] */
export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `${API}${path}${text ? `?${text}` : ""}`;
}

/** @param {string} url @param {RequestInit} [options] */
async function asked(url, options) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    if (/** @type {any} */ (error).name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is tracker ui still running?", 0, "Offline");
  }
  if (!answer.ok) {
    const text = await answer.text();
    let problem = { error: text, kind: "" };
    try {
      problem = JSON.parse(text);
    } catch {
      // Plain text of the door.
    }
    throw new Refused(problem.error || text, answer.status, problem.kind);
  }
  return answer;
}

/** @param {string} url @param {AbortSignal} [signal] */
export const get = async (url, signal) => (await asked(url, { signal })).json();

/** @param {string} method @param {string} path @param {any} data */
export async function send(method, path, data) {
  const headers = { "Content-Type": "application/json" };
  return asked(API + path, { method, headers, body: JSON.stringify(data) });
}

/** Rows of a table as objects. @param {any} table @returns {any[]} */
export function objects(table) {
  if (!table) return [];
  const names = table.columns.map((/** @type {any} */ column) => column.name);
  return table.rows.map((/** @type {any[]} */ row) =>
    Object.fromEntries(row.map((cell, at) => [names[at], cell])));
}

/** NaN and infinities are text in JSON. @param {any} value @returns {number | null} */
export function number(value) {
  return value === null || value === undefined ? null : Number(value);
}

/** A step metric, thinned by the server. @param {string} run @param {Record<string, any>} params @param {AbortSignal} [signal] */
export async function series(run, params, signal) {
  const answer = await asked(address(`/runs/${encodeURIComponent(run)}/series`, params), { signal });
  const heads = answer.headers;
  const points = Number(heads.get("X-Points")), odd = Number(heads.get("X-Odd"));
  const all = new Float64Array(await answer.arrayBuffer());
  const end = (/** @type {string} */ name) => {
    const text = heads.get(name);
    return text ? Number(text) : null;
  };
  return {
    x: all.subarray(0, points),
    y: all.subarray(points, 2 * points),
    odd: [...all.subarray(2 * points, 2 * points + odd)].map((x, at) => ({
      x, value: all[2 * points + odd + at],
    })),
    total: Number(heads.get("X-Total")),
    first: end("X-First"),
    last: end("X-Last"),
  };
}

/** @typedef {{runs: string[], other: boolean}} Change */

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();
/** @type {Set<(state: string) => void>} */
const watchers = new Set();
/** @type {{hear: () => void, leave: () => void} | null} */
let stream = null;
let state = "connecting";

/** @param {string} now */
function become(now) {
  const wasLost = state === "offline" || state === "refused";
  state = now;
  for (const watcher of watchers) watcher(now);
  // Whatever was missed, and whatever was refused meanwhile.
  if (wasLost && now === "live") heard({ runs: [], other: true });
}

/** @param {Change} change */
function heard(change) {
  for (const listener of [...listeners]) listener(change);
}

/** The stream that all tabs share, or where a browser has no shared workers one of this tab's own. */
function opened() {
  if (!("SharedWorker" in globalThis)) return ownStream();
  const worker = new SharedWorker("/static/live.worker.js");
  worker.port.onmessage = ({ data }) => (data.change ? heard(data.change) : become(data.state));
  worker.onerror = () => {
    stream = ownStream();
    connect();
  };
  return { hear: () => worker.port.postMessage("shown"), leave: () => worker.port.postMessage("hidden") };
}

function ownStream() {
  /** @type {EventSource | null} */
  let source = null;
  const hear = () => {
    if (source && source.readyState !== EventSource.CLOSED) return;
    source = new EventSource(`${API}/events`);
    source.addEventListener("open", () => become("live"));
    // A stream that is closed was refused, and is not opened again.
    source.addEventListener("error", () => become(source?.readyState === EventSource.CLOSED ? "refused" : "offline"));
    source.addEventListener("change", (event) => heard(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  };
  const leave = () => {
    source?.close();
    source = null;
  };
  return { hear, leave };
}

function connect() {
  if (document.hidden) return;
  stream ??= opened();
  stream.hear();
}

function pause() {
  stream?.leave();
  become("paused");
}

addEventListener("pagehide", pause);
addEventListener("pageshow", (event) => void (event.persisted && connect()));
document.addEventListener("visibilitychange", () => {
  // A hidden tab keeps no connection.
  if (document.hidden) {
    pause();
  } else {
    connect();
    heard({ runs: [], other: true });
  }
});

/** Whether changes are heard: live, connecting, offline, refused or paused. */
export function useConnection() {
  const [now, set] = useState(state);
  useEffect(() => {
    watchers.add(set);
    connect();
    set(state);
    return () => void watchers.delete(set);
  }, []);
  return now;
}

const PAUSE = 400;

/**
 * Call something when runs change, at most every 0.4 seconds.
 * @param {(change: Change) => void} act @param {string[] | null} runs only for these; null for all
 */
export function useLive(act, runs = null) {
  const latest = useRef(act);
  latest.current = act;
  const key = runs === null ? null : runs.join(",");
  useEffect(() => {
    /** @type {Change | null} */
    let pending = null;
    /** @type {number | undefined} */
    let timer;
    let last = 0;
    const fire = () => {
      timer = undefined;
      last = Date.now();
      const change = pending;
      pending = null;
      if (change) latest.current(change);
    };
    const listener = (/** @type {Change} */ change) => {
      const wanted = key === null ? null : key.split(",");
      if (wanted && !change.other && !change.runs.some((run) => wanted.includes(run))) return;
      pending = pending
        ? { runs: [...new Set([...pending.runs, ...change.runs])], other: pending.other || change.other }
        : change;
      timer ??= setTimeout(fire, Math.max(0, PAUSE - (Date.now() - last)));
    };
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      clearTimeout(timer);
    };
  }, [key]);
}

/**
 * Ask at once, and whenever what comes back is called. A question under way is not asked beside itself but once more
 * after its answer, so that a slow server is never asked faster than it answers.
 * @param {(signal: AbortSignal) => Promise<void>} ask @param {any[]} inputs what the question depends on
 */
export function useAsking(ask, inputs) {
  const latest = useRef(ask);
  latest.current = ask;
  const now = useRef(/** @type {{control: AbortController, again: boolean} | null} */ (null));
  const again = useCallback(() => {
    if (now.current) {
      now.current.again = true;
      return;
    }
    const own = (now.current = { control: new AbortController(), again: false });
    latest.current(own.control.signal).finally(() => {
      if (now.current !== own) return;
      now.current = null;
      if (own.again) again();
    });
  }, []);
  useEffect(() => {
    again();
    return () => {
      now.current?.control.abort();
      now.current = null;
    };
  }, inputs);
  return again;
}

/**
 * Ask, and ask again when runs change; what was there stays until the answer comes.
 * @param {string | null} url null for nothing to ask
 * @param {string[] | null | false} runs ask again when these change; null for any, false for never
 */
export function useData(url, runs = null) {
  const [found, set] = useState(/** @type {any} */ ({ url: null, data: null, error: null, busy: true }));
  const load = useAsking(async (signal) => {
    if (url === null) return;
    set((/** @type {any} */ was) => ({ ...was, busy: true }));
    try {
      const data = await get(url, signal);
      set({ url, data, error: null, busy: false });
    } catch (error) {
      if (signal.aborted) return;
      set((/** @type {any} */ was) => ({ ...was, error, busy: false }));
    }
  }, [url]);
  useLive(() => runs !== false && load(), runs || null);
  return { ...found, reload: load };
}
