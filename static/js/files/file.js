/** @file The page of one file while it is being downloaded: figures and dots move; when its state changes, the page is loaded again. */
import { getJson } from "../shared/api.js";
import { pause } from "../shared/time.js";
import { at } from "../shared/prefix.js";

const BUSY_MS = 1000;
const IDLE_MS = 10_000;

const running = document.querySelector("[data-running]");
if (running) poll();

async function poll() {
  for (;;) {
    await pause(running.dataset.state === "working" && !document.hidden ? BUSY_MS : IDLE_MS);
    try {
      show(await getJson(at(`/api/files/${running.dataset.running}`)));
    } catch {
      await pause(IDLE_MS); // the next poll may succeed; the page stays as it is
    }
  }
}

/** @param {{says: string, share: number | null, figures: Array<[string, string]>, fetch: {state: string} | null}} file */
function show(file) {
  const dots = running.querySelector("progress");
  if (file.fetch?.state !== running.dataset.state || (dots === null) !== (file.share === null)) {
    location.reload(); // it needs other buttons
    return;
  }
  if (dots) dots.value = file.share;
  document.querySelector("[data-says]").textContent = file.says;
  running.querySelector("dl").replaceChildren(...file.figures.map(figure));
}

/** @param {[string, string]} pair */
function figure([name, value]) {
  const group = document.createElement("div");
  for (const [tag, text] of [["dt", name], ["dd", value]]) {
    const cell = document.createElement(tag);
    cell.textContent = text;
    group.append(cell);
  }
  return group;
}
