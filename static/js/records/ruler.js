/** @file The ruler of the wall: it marks the letter at the top of the screen, and jumps to letters that are on this page. */
import { addressOf } from "./wall_window.js";

/** @param {AbortSignal} signal */
export function initRuler(signal) {
  const cells = document.querySelector(".cells");
  if (!cells) return;
  const above = new Set(); // heads that were scrolled past the line
  const line = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) + 8; // where a jump scrolls its target to

  const mark = () => {
    const last = groupHeads().findLast((head) => above.has(head));
    markCurrent(cells, (scrollY > 8 && last?.dataset.group) || cells.dataset.opening);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, boundingClientRect, rootBounds } of entries) {
        boundingClientRect.top < (rootBounds?.top ?? line) ? above.add(target) : above.delete(target);
      }
      mark();
    },
    { rootMargin: `-${line}px 0px 0px 0px`, threshold: [0, 1] },
  );
  const observeHeads = () => {
    for (const head of above) if (!head.isConnected) above.delete(head);
    groupHeads().forEach((head) => observer.observe(head));
    mark();
  };
  observeHeads();
  document.addEventListener("wall-extended", observeHeads, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
  cells.addEventListener("click", jump, { signal });
}

/** @returns {HTMLElement[]} the first sleeve of each group */
function groupHeads() {
  return [...document.querySelectorAll(".wall > [data-group]")];
}

/** @param {Element} cells @param {string | undefined} label */
function markCurrent(cells, label) {
  const current = cells.querySelector("[aria-current]");
  const next = [...cells.querySelectorAll("a")].find((cell) => cell.dataset.label === label);
  if (current === next) return;
  current?.removeAttribute("aria-current");
  if (!next) return;
  next.setAttribute("aria-current", "true");
  if (cells.scrollWidth > cells.clientWidth) cells.scrollTo({ left: next.offsetLeft - cells.offsetLeft - cells.clientWidth / 2 + 22 });
}

/** @param {MouseEvent} event */
function jump(event) {
  const cell = event.target.closest("a");
  const target = cell && document.getElementById(decodeURIComponent(cell.hash.slice(1)));
  if (!cell || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (!target && !cell.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  if (!target) return location.assign(addressOf(Number(cell.dataset.page)) + cell.hash); // it was scrolled away, and left the page
  target.scrollIntoView({ block: "start" });
  target.querySelector("a")?.focus({ preventScroll: true });
}
