/** @file The list of files while one is being fetched: its dots move, and the list is rendered again when a file changes its state. */
import { getJson, getPage } from "../shared/api.js";
import { pause } from "../shared/time.js";
import { at } from "../shared/prefix.js";

const BUSY_MS = 1000;
const IDLE_MS = 10_000;

const list = document.querySelector("[data-files]");
if (list) poll();

async function poll() {
  for (;;) {
    await pause(isFetching() && !document.hidden ? BUSY_MS : IDLE_MS);
    try {
      await refresh();
    } catch {
      await pause(IDLE_MS); // the next poll may succeed; the page stays as it is
    }
  }
}

/** Update the dots. A file that is new, gone or in another state needs other buttons, so the list is rendered again. */
async function refresh() {
  const { files: all, groups, grouped } = await getJson(at("/api/files"));
  const files = all.filter((file) => !grouped.includes(file.digest));
  const lines = new Map([...list.querySelectorAll("[data-file]")].map((line) => [line.dataset.file, line]));
  const groupLines = new Map([...list.querySelectorAll("[data-group]")].map((line) => [line.dataset.group, line]));
  const haveGroupsChanged = groups.length !== groupLines.size || groups.some((group) => groupLines.get(group.name)?.dataset.state !== group.state);
  const hasChanged = haveGroupsChanged || files.length !== lines.size || files.some((file) => lines.get(file.digest)?.dataset.state !== stateOf(file));
  if (hasChanged) {
    await renderAgain(files);
    return;
  }
  for (const file of files) {
    const line = lines.get(file.digest);
    const dots = line.querySelector("progress");
    if ((dots === null) !== (file.share === null)) return renderAgain(files); // its length is known now
    if (dots) dots.value = file.share;
    line.querySelector("[data-says]").textContent = file.says;
  }
  for (const group of groups) {
    const line = groupLines.get(group.name);
    line.querySelector("progress").value = group.share;
    line.querySelector("[data-says]").textContent = group.says;
  }
}

/** @param {Array<{digest: string, name: string, fetch: object | null}>} files */
async function renderAgain(files) {
  const fetching = [...list.querySelectorAll('[data-state="working"]')].map((line) => line.dataset.file);
  const fresh = (await getPage(at("/files"))).querySelector("[data-files]");
  if (!fresh) return; // logged out in the meantime
  const focused = list.contains(document.activeElement) ? document.activeElement.closest("[data-file]")?.dataset.file : null;
  list.replaceChildren(...fresh.childNodes);
  if (focused) list.querySelector(`[data-file="${focused}"] :is(button, a)`)?.focus();
  const arrived = files.filter((file) => fetching.includes(file.digest) && file.fetch === null).map((file) => file.name);
  if (arrived.length) document.querySelector("[data-files-said]").textContent = `Downloaded: ${arrived.join(", ")}`;
}

function isFetching() {
  return list.querySelector('[data-state="working"], [data-state="waiting"]') !== null;
}

/** @param {{state: string, fetch: {state: string} | null}} file */
function stateOf(file) {
  return file.fetch ? file.fetch.state : file.state;
}
