/** @file Appends the next page of a search before the end of this one is reached. The address follows; after ten pages a link is shown. */
import { getPage, savesData } from "../shared/api.js";
import { observeCovers } from "../shared/cover_loader.js";

const MAX_PAGES = 10; // all these sleeves are in the memory of a small machine
const LOOKAHEAD = "1200px 0px";
const SCROLL_END_MS = 120;

/** @param {AbortSignal} signal */
export function initAppend(signal) {
  const list = document.querySelector(".rows[data-append]");
  if (!list || !pager()) return;
  const pages = [{ firstItem: list.firstElementChild, address: location.pathname + location.search }];
  let isLoading = false;

  const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && appendNext(), { rootMargin: LOOKAHEAD });
  signal.addEventListener("abort", () => observer.disconnect());
  if (!savesData()) observer.observe(pager());
  afterScroll(() => updateAddress(pages), signal);

  async function appendNext() {
    const link = pager().querySelector("[data-next]");
    if (!link || isLoading) return;
    if (pages.length >= MAX_PAGES) return showMoreLink(link);
    isLoading = true;
    try {
      const page = await getPage(link.href, signal);
      const items = [...(page.querySelector("[data-append]")?.children ?? [])].map((item) => document.adoptNode(item));
      if (!items.length) return;
      pages.push({ firstItem: items[0], address: new URL(link.href).pathname + new URL(link.href).search });
      list.append(...items);
      replacePager(page.querySelector("[data-pager]"), list.dataset.first);
      document.dispatchEvent(new CustomEvent("wall-extended"));
      observeCovers(list);
      observer.disconnect();
      observer.observe(pager());
    } catch {
      observer.disconnect(); // the link to the next page is still there
    } finally {
      isLoading = false;
    }
  }
}

/** @param {HTMLAnchorElement} link */
function showMoreLink(link) {
  if (pager().querySelector(".more")) return;
  pager().prepend(Object.assign(document.createElement("a"), { className: "button primary more", href: link.href, textContent: "More" }));
}

/** @param {Element | null} fresh @param {string} first the number of the first record on this page */
function replacePager(fresh, first) {
  if (!fresh) return;
  const range = fresh.querySelector("[data-range]");
  range.textContent = `${first} to ${range.dataset.last} of ${range.dataset.total}`;
  pager().replaceWith(document.adoptNode(fresh));
}

function pager() {
  return document.querySelector("[data-pager]");
}

/** Put the page in the middle of the screen into the address. @param {{firstItem: Element, address: string}[]} pages */
function updateAddress(pages) {
  const current = pages.findLast(({ firstItem }) => firstItem.getBoundingClientRect().top < innerHeight / 2) ?? pages[0];
  if (current.address !== location.pathname + location.search) history.replaceState(history.state, "", current.address);
}

/** Call `action` when scrolling has stopped. @param {() => void} action @param {AbortSignal} signal */
function afterScroll(action, signal) {
  let timer = 0;
  const restart = () => {
    clearTimeout(timer);
    timer = setTimeout(action, SCROLL_END_MS);
  };
  addEventListener("scroll", restart, { passive: true, signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
}
