/** @file Search while typing. The page below the field is replaced by what the server answers; Back leads to the wall again. */
import { getPage } from "../shared/api.js";

const PAUSE_MS = 180;

/** Where each address was scrolled to when it was left. @type {Map<string, number>} */
const places = new Map();
let timer = 0;
let running = new AbortController();
let address = here();

/** @param {() => void} wake starts what belongs to new contents */
export function listenForSearch(wake) {
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.matches?.(".find input") || !document.body.matches(".records, .found")) return;
    clearTimeout(timer);
    timer = setTimeout(() => search(field, wake), PAUSE_MS);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".find") || !document.body.matches(".found")) return;
    event.preventDefault();
    clearTimeout(timer);
    search(event.target.elements.q, wake);
  });
  addEventListener("popstate", async () => {
    if (here() === address) return; // only the part after # changed
    if (await replace(here(), wake)) scrollTo({ top: places.get(here()) ?? 0, behavior: "instant" });
    else location.reload();
  });
}

/** @param {HTMLInputElement} field @param {() => void} wake */
async function search(field, wake) {
  const text = field.value.trim();
  const bare = field.closest(".wide") ? "/search" : "/";
  const target = text ? `/search?${new URLSearchParams({ q: text })}` : bare;
  const isFirst = !document.body.matches(".found");
  places.set(here(), scrollY);
  if (!(await replace(target, wake))) return;
  if (isFirst) history.pushState({}, "", target);
  else history.replaceState({}, "", target);
  address = here();
  scrollTo({ top: 0, behavior: "instant" });
}

/**
 * Put the contents of another page in place of these. The field that is typed in stays where it is.
 * @param {string} target @param {() => void} wake @returns {Promise<boolean>}
 */
async function replace(target, wake) {
  running.abort();
  running = new AbortController();
  let page;
  try {
    page = await getPage(target, running.signal);
  } catch (error) {
    return error.name === "AbortError" ? false : stay();
  }
  const main = document.querySelector("main");
  const fresh = document.adoptNode(page.querySelector("main"));
  const field = main.querySelector(".find.wide");
  const copy = fresh.querySelector(".find.wide");
  if (field && copy && field.contains(document.activeElement)) {
    for (const node of [...main.childNodes]) if (node !== field) node.remove();
    const nodes = [...fresh.childNodes];
    const at = nodes.indexOf(copy);
    field.before(...nodes.slice(0, at));
    field.after(...nodes.slice(at + 1));
  } else {
    main.replaceChildren(...fresh.childNodes);
  }
  document.title = page.title;
  document.body.className = page.body.className;
  address = here();
  wake();
  return true;
}

/** The server cannot be reached: what is on the screen stays, and the form still works by Enter. */
function stay() {
  return false;
}

function here() {
  return location.pathname + location.search;
}
