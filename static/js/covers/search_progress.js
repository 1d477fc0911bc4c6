/** @file Pages about covers while a search runs: its progress and what it finds appear without a reload. */
import { getPage } from "../shared/api.js";
import { observeCovers } from "../shared/cover_loader.js";
import { pause } from "../shared/time.js";

const POLL_MS = 4000;
const PARTS = ["search", "count", "rows", "offers"];

if (part("search")?.dataset.searching) follow();

async function follow() {
  for (;;) {
    await pause(POLL_MS);
    if (document.hidden) continue;
    const page = await getPage(location.href).catch(() => null); // the next poll may succeed
    if (!page) continue;
    for (const name of PARTS) update(name, page);
    if (part("search", page)?.dataset.searching) continue;
    const spoken = document.querySelector("[data-search-said]");
    if (spoken) spoken.textContent = "Cover search finished";
    return;
  }
}

/** Replace a part of the page that has changed, unless the focus is in it. @param {string} name @param {Document} page */
function update(name, page) {
  const [old, fresh] = [part(name), part(name, page)];
  if (!old || !fresh || old.contains(document.activeElement) || old.innerHTML === fresh.innerHTML) return;
  old.replaceChildren(...document.adoptNode(fresh).childNodes);
  observeCovers(old);
}

/** @param {string} name @param {Document} [page] @returns {HTMLElement | null} */
function part(name, page = document) {
  return page.querySelector(`[data-part="${name}"]`);
}
