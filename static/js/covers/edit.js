/** @file The pages about covers while a search runs: its line counts on, and what was found comes in without a reload. */
import { getPage } from "../shared/api.js";
import { watch } from "./watch.js";

const PAUSE_MS = 4000;

const here = part("search");
if (here?.dataset.searching) follow();

async function follow() {
  for (;;) {
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    if (document.hidden) continue;
    const page = await getPage(location.href).catch(() => null); // the next look may succeed
    if (!page) continue;
    for (const name of ["search", "count", "rows", "offers"]) take(name, page);
    if (part("search", page)?.dataset.searching) continue;
    const said = document.querySelector("[data-search-said]");
    if (said) said.textContent = "The search for covers has ended";
    return;
  }
}

/** Take a part of the page as it is now, unless somebody is in it. @param {string} name @param {Document} page */
function take(name, page) {
  const [old, fresh] = [part(name), part(name, page)];
  if (!old || !fresh || old.contains(document.activeElement) || old.innerHTML === fresh.innerHTML) return;
  old.replaceChildren(...document.adoptNode(fresh).childNodes);
  watch(old);
}

/** @param {string} name @param {Document} [page] @returns {HTMLElement | null} */
function part(name, page = document) {
  return page.querySelector(`[data-part="${name}"]`);
}
