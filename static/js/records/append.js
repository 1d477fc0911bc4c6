/** @file The next page of the wall joins this one before its end is reached. The address follows; after ten pages a button waits. */
import { getPage, sparesData } from "../shared/api.js";
import { watch } from "../covers/watch.js";

const MOST_PAGES = 10; // a Pi has to hold all these sleeves at once
const AHEAD = "1200px 0px";

/** @param {AbortSignal} signal */
export function wakeAppend(signal) {
  const list = document.querySelector("[data-append]");
  if (!list || !pager()) return;
  const marks = [{ item: list.firstElementChild, address: location.pathname + location.search }];
  let isBusy = false;

  const eyes = new IntersectionObserver(([entry]) => entry.isIntersecting && next(), { rootMargin: AHEAD });
  signal.addEventListener("abort", () => eyes.disconnect());
  if (!sparesData()) eyes.observe(pager());
  whenScrolled(() => follow(marks), signal);

  async function next() {
    const link = pager().querySelector("[data-next]");
    if (!link || isBusy) return;
    if (marks.length >= MOST_PAGES) return offerMore(link);
    isBusy = true;
    try {
      const page = await getPage(link.href, signal);
      const items = [...(page.querySelector("[data-append]")?.children ?? [])].map((item) => document.adoptNode(item));
      if (!items.length) return;
      marks.push({ item: items[0], address: new URL(link.href).pathname + new URL(link.href).search });
      list.append(...items);
      replacePager(page.querySelector("[data-pager]"), list.dataset.first);
      document.dispatchEvent(new CustomEvent("wall-grew"));
      watch(list);
      eyes.disconnect();
      eyes.observe(pager());
    } catch {
      eyes.disconnect(); // the link to the next page is still there
    } finally {
      isBusy = false;
    }
  }
}

/** @param {HTMLAnchorElement} link */
function offerMore(link) {
  if (pager().querySelector(".more")) return;
  const more = document.createElement("a");
  more.className = "button primary more";
  more.href = link.href;
  more.textContent = "More";
  pager().prepend(more);
}

/** @param {Element | null} fresh @param {string} first number of the first record of this page */
function replacePager(fresh, first) {
  if (!fresh) return;
  const range = fresh.querySelector("[data-range]");
  range.textContent = `${first} to ${range.dataset.last} of ${range.dataset.total}`;
  pager().replaceWith(document.adoptNode(fresh));
}

function pager() {
  return document.querySelector("[data-pager]");
}

/** Let the address name the page in the middle of the screen. @param {{item: Element, address: string}[]} marks */
function follow(marks) {
  const here = marks.findLast(({ item }) => item.getBoundingClientRect().top < innerHeight / 2) ?? marks[0];
  if (here.address !== location.pathname + location.search) history.replaceState(history.state, "", here.address);
}

/** @param {() => void} act @param {AbortSignal} signal */
function whenScrolled(act, signal) {
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(act, 120);
  };
  addEventListener("scroll", later, { passive: true, signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
}
