// One stream of changes for all tabs of a browser: it allows six connections to a server, and a notebook has more pages.

/** @type {Set<MessagePort>} tabs that are looked at */
const tabs = new Set();
/** @type {EventSource | null} */
let stream = null;
let state = "connecting";

/** @param {any} message */
const tell = (message) => tabs.forEach((tab) => tab.postMessage(message));

/** @param {string} now */
function become(now) {
  state = now;
  tell({ state });
}

function listen() {
  // A stream that was refused is closed for good: a tab with a new key asks once more.
  if (stream && stream.readyState !== EventSource.CLOSED) return;
  stream = new EventSource("/api/v1/events");
  stream.addEventListener("open", () => become("live"));
  stream.addEventListener("error", () => become(stream?.readyState === EventSource.CLOSED ? "refused" : "offline"));
  stream.addEventListener("change", (event) => tell({ change: JSON.parse(/** @type {MessageEvent} */ (event).data) }));
}

addEventListener("connect", (event) => {
  const tab = /** @type {MessageEvent} */ (event).ports[0];
  tab.onmessage = ({ data }) => {
    if (data === "shown") {
      tabs.add(tab);
      listen();
      tab.postMessage({ state });
    } else {
      tabs.delete(tab);
      if (tabs.size) return;
      stream?.close();
      stream = null;
      state = "connecting";
    }
  };
});
