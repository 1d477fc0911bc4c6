/** @file The ruler: which letter stands on top of the screen, and jumps to letters that are on this page already. */

/** @param {AbortSignal} signal */
export function wakeRuler(signal) {
  const cells = document.querySelector(".cells");
  if (!cells) return;
  const passed = new Set();
  const line = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) + 8; // where a jump brings its target to

  const eyes = new IntersectionObserver(
    (entries) => {
      for (const { target, boundingClientRect, rootBounds } of entries) {
        boundingClientRect.top < (rootBounds?.top ?? line) ? passed.add(target) : passed.delete(target);
      }
      const last = heads().findLast((head) => passed.has(head));
      point(cells, (scrollY > 8 && last?.dataset.group) || cells.dataset.opening);
    },
    { rootMargin: `-${line}px 0px 0px 0px`, threshold: [0, 1] },
  );
  const look = () => heads().forEach((head) => eyes.observe(head));
  look();
  point(cells, cells.dataset.opening);
  document.addEventListener("wall-grew", look, { signal });
  signal.addEventListener("abort", () => eyes.disconnect());
  cells.addEventListener("click", jump, { signal });
}

/** @returns {HTMLElement[]} the sleeves that open a group */
function heads() {
  return [...document.querySelectorAll(".wall > [data-group]")];
}

/** @param {Element} cells @param {string | undefined} label */
function point(cells, label) {
  const now = cells.querySelector("[aria-current]");
  const next = [...cells.querySelectorAll("a")].find((cell) => cell.dataset.label === label);
  if (now === next) return;
  now?.removeAttribute("aria-current");
  if (!next) return;
  next.setAttribute("aria-current", "true");
  if (cells.scrollWidth > cells.clientWidth) cells.scrollTo({ left: next.offsetLeft - cells.offsetLeft - cells.clientWidth / 2 + 22 });
}

/** @param {MouseEvent} event */
function jump(event) {
  const cell = event.target.closest("a");
  const target = cell && document.getElementById(decodeURIComponent(cell.hash.slice(1)));
  if (!target || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  target.scrollIntoView({ block: "start" });
  target.querySelector("a")?.focus({ preventScroll: true });
}
