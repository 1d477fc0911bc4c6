/** @file Search while typing: `main` is replaced by that of the page the server answers with. Back leads to the wall again. */
import { getPage } from "../shared/api.js";
import { at } from "../shared/prefix.js";

const TYPING_PAUSE_MS = 180;

/** The scroll position of each address when it was left. @type {Map<string, number>} */
const positions = new Map();
let timer = 0;
let running = new AbortController();
let shownAddress = currentAddress();

/** @param {() => void} onReplace starts what belongs to new contents */
export function initSearch(onReplace) {
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.matches?.(".find input") || !document.body.matches(".records, .found")) return;
    clearTimeout(timer);
    timer = setTimeout(() => search(field, onReplace), TYPING_PAUSE_MS);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".find") || !document.body.matches(".found")) return;
    event.preventDefault();
    clearTimeout(timer);
    search(event.target.elements.q, onReplace);
  });
  addEventListener("popstate", async () => {
    if (currentAddress() === shownAddress) return; // only the part after # has changed
    if (await replaceMain(currentAddress(), onReplace)) scrollTo({ top: positions.get(currentAddress()) ?? 0, behavior: "instant" });
    else location.reload();
  });
}

/** @param {HTMLInputElement} field @param {() => void} onReplace */
async function search(field, onReplace) {
  const text = field.value.trim();
  const withoutText = field.closest(".wide") ? at("/search") : at("/");
  const target = text ? at(`/search?${new URLSearchParams({ q: text })}`) : withoutText;
  const isFirst = !document.body.matches(".found");
  positions.set(currentAddress(), scrollY);
  if (!(await replaceMain(target, onReplace))) return;
  if (isFirst) history.pushState({}, "", target);
  else history.replaceState({}, "", target);
  shownAddress = currentAddress();
  scrollTo({ top: 0, behavior: "instant" });
}

/**
 * Replace the contents of `main` by those of another page. A field of it that has the focus stays where it is.
 * @param {string} target @param {() => void} onReplace
 * @returns {Promise<boolean>} false if a newer search has begun or the server cannot be reached; the page then stays as it is
 */
async function replaceMain(target, onReplace) {
  running.abort();
  running = new AbortController();
  const page = await getPage(target, running.signal).catch(() => null);
  if (!page) return false;
  const main = document.querySelector("main");
  const fresh = document.adoptNode(page.querySelector("main"));
  const field = main.querySelector(".find.wide");
  const copy = fresh.querySelector(".find.wide");
  if (field && copy && field.contains(document.activeElement)) {
    for (const node of [...main.childNodes]) if (node !== field) node.remove();
    const nodes = [...fresh.childNodes];
    const index = nodes.indexOf(copy);
    field.before(...nodes.slice(0, index));
    field.after(...nodes.slice(index + 1));
  } else {
    main.replaceChildren(...fresh.childNodes);
  }
  document.title = page.title;
  document.body.className = page.body.className;
  shownAddress = currentAddress();
  onReplace();
  return true;
}

function currentAddress() {
  return location.pathname + location.search;
}
