/**
 * @file The wall keeps its place: pages are loaded above and below what is seen, at most six are in the page, and the address and the
 * history follow. Without scripts, or for a browser that saves data, the links to the pages do.
 */
import { getPage, savesData } from "../shared/api.js";
import { observeCovers } from "../shared/cover_loader.js";
import { WallGrid } from "./wall_grid.js";

const MAX_PAGES = 6; // 360 sleeves: what a small machine draws without effort
const SCREENS_AHEAD = 2;
const SCROLL_END_MS = 120;
const RETRY_MS = 4000;

/** @typedef {{items: Element[], pager: Element | null, opening: string}} WallPage */

/** @param {AbortSignal} signal */
export function initWall(signal) {
  const list = document.querySelector(".wall[data-append]");
  if (!list || savesData() || Number(list.dataset.pages) < 2) return;
  const wall = new WallWindow(list, signal);
  let frame = 0;
  let timer = 0;
  const onScroll = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      wall.load();
    });
    clearTimeout(timer);
    timer = setTimeout(() => wall.remember(), SCROLL_END_MS);
  };
  addEventListener("scroll", onScroll, { passive: true, signal });
  addEventListener("pagehide", () => wall.remember(), { signal });
  document.addEventListener("click", (event) => wall.remember(event.target.closest?.(".wall > li")), { capture: true, signal });
  const resizes = new ResizeObserver(() => wall.resize());
  resizes.observe(list);
  signal.addEventListener("abort", () => {
    resizes.disconnect();
    clearTimeout(timer);
  });
  wall.load();
}

class WallWindow {
  /** @param {HTMLElement} list @param {AbortSignal} signal */
  constructor(list, signal) {
    this.list = list;
    this.signal = signal;
    this.size = Number(list.dataset.size);
    this.grid = new WallGrid(list, Number(list.dataset.total));
    this.low = this.high = Number(list.dataset.page);
    const opening = document.querySelector(".cells")?.dataset.opening ?? "";
    /** @type {Map<number, WallPage>} */
    this.pages = new Map([[this.low, { items: [...list.children], pager: null, opening }]]);
    this.isLoading = false;
    this.retryAt = 0;
    /** @type {{item: Element, top: number} | undefined} a tile and its place on the screen when scrolling stopped */
    this.seen = undefined;
    this.keepView(() => {
      document.querySelector(".earlier")?.remove();
      this.grid.measure();
      this.arrange();
    });
    history.scrollRestoration = "manual";
    if (this.low > 1 && !location.hash) list.firstElementChild.scrollIntoView({ block: "start", behavior: "instant" });
  }

  /** Change the layout while the tile in the middle of the screen stays where it is. @param {() => void} change */
  keepView(change) {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const item = this.middleItem() ?? target;
    const before = item?.getBoundingClientRect().top;
    change();
    if (item && (scrollY > 0 || this.low > 1)) scrollBy({ top: item.getBoundingClientRect().top - before, behavior: "instant" });
  }

  /** @returns {Element | undefined} the first tile whose middle is below that of the screen, else the last one on it */
  middleItem() {
    const seen = [...this.list.children].filter((item) => {
      const { top, bottom } = item.getBoundingClientRect();
      return top < innerHeight && bottom > 0;
    });
    return seen.find((item) => item.getBoundingClientRect().bottom > innerHeight / 2) ?? seen.at(-1);
  }

  resize() {
    const { column, columns } = this.grid;
    const tracks = getComputedStyle(this.list).gridTemplateColumns.split(" ");
    if (tracks.length === columns && parseFloat(tracks[0]) === column) return; // only its height has changed
    const { item, top } = this.seen ?? {}; // as it was before the layout changed
    this.grid.measure();
    this.arrange();
    if (item?.isConnected && scrollY > 0) scrollBy({ top: item.getBoundingClientRect().top - Math.min(top, innerHeight / 2), behavior: "instant" });
    this.load();
  }

  /** Load the pages on the screen and around it, one at a time, the one in the middle first. */
  async load() {
    const wanted = this.missingPage();
    if (!wanted || this.isLoading || this.signal.aborted || Date.now() < this.retryAt) return;
    this.isLoading = true;
    try {
      const page = await getPage(addressOf(wanted), this.signal);
      const fresh = page.querySelector(".wall[data-append]");
      if (!fresh) throw new Error("no wall"); // every record was removed meanwhile
      this.grid.total = Number(fresh.dataset.total);
      this.add(wanted, {
        items: [...fresh.children].map((item) => document.adoptNode(item)),
        pager: document.adoptNode(page.querySelector("[data-pager]")),
        opening: page.querySelector(".cells")?.dataset.opening ?? "",
      });
    } catch (error) {
      if (error.name === "AbortError") return;
      const pauseMs = Math.max(RETRY_MS, 1000 * (error.retryAfterS ?? 0));
      this.retryAt = Date.now() + pauseMs;
      setTimeout(() => this.load(), pauseMs + 50);
    } finally {
      this.isLoading = false;
    }
    this.missingPage() ? this.load() : this.remember(); // scrolling had stopped before they were here
  }

  /** @returns {number} the page to load next, 0 if all that could be seen soon are here */
  missingPage() {
    const ahead = SCREENS_AHEAD * innerHeight;
    const pageAt = (y) => Math.floor(this.grid.recordAt(y) / this.size) + 1;
    const middle = pageAt(innerHeight / 2);
    const candidates = [middle, pageAt(innerHeight), pageAt(0), pageAt(innerHeight + ahead), pageAt(-ahead)];
    return candidates.find((number) => !this.pages.has(number)) ?? 0;
  }

  /** @param {number} number @param {WallPage} page */
  add(number, page) {
    // Asked before the tiles change: it makes the browser lay out, and while the space around the tiles is that of others, the wall is
    // too low and the end of it scrolls.
    const middle = Math.floor(this.grid.recordAt(innerHeight / 2) / this.size) + 1;
    const focused = document.activeElement;
    if (number === this.high + 1) {
      this.list.append(...page.items);
      this.high = number;
    } else if (number === this.low - 1) {
      this.list.prepend(...page.items);
      this.low = number;
    } else {
      for (const other of [...this.pages.keys()]) this.drop(other);
      this.list.replaceChildren(...page.items);
      this.low = this.high = number;
    }
    this.pages.set(number, page);
    while (this.pages.size > MAX_PAGES) this.drop(middle - this.low > this.high - middle ? this.low++ : this.high--);
    this.arrange();
    if (!focused.isConnected) document.querySelector("main").focus({ preventScroll: true });
    observeCovers(this.list);
    document.dispatchEvent(new CustomEvent("wall-extended"));
  }

  /** @param {number} number */
  drop(number) {
    this.pages.get(number).items.forEach((item) => item.remove());
    this.pages.delete(number);
  }

  /** Put the tiles where they belong, number them for screen readers, and let ruler and pager speak of what is here. */
  arrange() {
    const start = (this.low - 1) * this.size;
    this.grid.place(start, this.list.children.length);
    [...this.list.children].forEach((item, index) => {
      item.setAttribute("aria-posinset", String(start + index + 1));
      item.setAttribute("aria-setsize", String(this.grid.total));
    });
    const cells = document.querySelector(".cells");
    if (cells) cells.dataset.opening = this.pages.get(this.low)?.opening ?? "";
    const pager = this.pages.get(this.high)?.pager;
    const shown = document.querySelector("[data-pager]");
    if (pager && shown !== pager) shown?.replaceWith(pager);
    const range = document.querySelector("[data-range]");
    if (range) range.textContent = `${(start + 1).toLocaleString("en")} to ${range.dataset.last} of ${range.dataset.total}`;
  }

  /** Put the page of a tile into the address, and its place on the screen into the history. @param {Element | null} [item] */
  remember(item) {
    const tile = item ?? this.middleItem();
    const number = [...this.pages.keys()].find((page) => this.pages.get(page).items.includes(tile));
    if (!number) return;
    const { top } = tile.getBoundingClientRect();
    this.seen = { item: tile, top };
    const place = { href: tile.querySelector("a").getAttribute("href"), top };
    history.replaceState({ ...history.state, place }, "", addressOf(number));
  }
}

/** @param {number} number @returns {string} the address of another page of this wall */
export function addressOf(number) {
  const values = new URLSearchParams(location.search);
  number > 1 ? values.set("page", String(number)) : values.delete("page");
  return location.pathname + (values.size ? `?${values}` : "");
}
