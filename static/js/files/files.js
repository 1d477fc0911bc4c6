/** @file The page of files while something is on its way: the dots move, and the list is drawn anew when a file has arrived. */
import { getJson, getPage } from "../shared/api.js";

const SOON_MS = 1000;
const LATER_MS = 10_000;

const page = document.querySelector("[data-files]");
if (page) watch();

async function watch() {
  for (;;) {
    await pause(document.hidden ? LATER_MS : isMoving() ? SOON_MS : LATER_MS);
    try {
      await look();
    } catch {
      await pause(LATER_MS); // the next look may succeed; the page stays as it was drawn
    }
  }
}

/** Ask how far everything is. A file that came, went or changed its state needs other buttons: then the list is drawn anew. */
async function look() {
  const { files } = await getJson("/api/files");
  const known = new Map([...page.querySelectorAll("[data-file]")].map((line) => [line.dataset.file, line]));
  const isOther = files.length !== known.size || files.some((file) => known.get(file.digest)?.dataset.state !== stateOf(file));
  if (isOther) {
    await redraw(files);
    return;
  }
  for (const file of files) {
    const line = known.get(file.digest);
    const dots = line.querySelector("progress");
    if (dots && file.share !== null) dots.value = file.share;
    line.querySelector("[data-says]").textContent = file.says;
  }
}

/** @param {Array<{digest: string, name: string}>} files */
async function redraw(files) {
  const working = [...page.querySelectorAll('[data-state="working"]')].map((line) => line.dataset.file);
  const drawn = (await getPage("/files")).querySelector("[data-files]");
  if (!drawn) return; // logged out meanwhile
  const focused = page.contains(document.activeElement) ? document.activeElement.closest("[data-file]")?.dataset.file : null;
  page.replaceChildren(...drawn.childNodes);
  if (focused) page.querySelector(`[data-file="${focused}"] :is(button, a)`)?.focus();
  const arrived = files.filter((file) => working.includes(file.digest) && file.fetch === null).map((file) => file.name);
  if (arrived.length) document.querySelector("[data-files-said]").textContent = `${arrived.join(", ")} is here`;
}

function isMoving() {
  return page.querySelector('[data-state="working"], [data-state="waiting"]') !== null;
}

/** @param {{state: string, fetch: {state: string} | null}} file */
function stateOf(file) {
  return file.fetch ? file.fetch.state : file.state;
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
