/** @file What begins a selection on the wall: a long press, Shift and a click, or X on a sleeve. The module that selects is loaded then. */

const PRESS_MS = 400;
const SLIP_PX = 10;

/** The press ended in a selection, so that the click after it opens no record. */
let isHandled = false;

export function initSelecting() {
  if (document.body.matches(".selecting")) {
    import("./select.js").then(({ startOnPage }) => startOnPage());
    return;
  }
  document.addEventListener("pointerdown", onPress);
  document.addEventListener("contextmenu", (event) => isHandled && event.preventDefault());
  document.addEventListener("click", onClick, { capture: true });
  document.addEventListener("select-key", () => select(itemOf(document.activeElement)));
}

/** @param {PointerEvent} event */
function onPress(event) {
  const item = itemOf(event.target);
  isHandled = false;
  if (!item || event.button !== 0 || event.shiftKey) return;
  const ending = new AbortController();
  const timer = setTimeout(() => {
    ending.abort();
    isHandled = select(item);
  }, PRESS_MS);
  const end = () => {
    clearTimeout(timer);
    ending.abort();
  };
  for (const name of ["pointerup", "pointercancel", "scroll", "dragstart"]) addEventListener(name, end, { signal: ending.signal, capture: true });
  const isFar = ({ clientX, clientY }) => Math.hypot(clientX - event.clientX, clientY - event.clientY) > SLIP_PX;
  addEventListener("pointermove", (move) => isFar(move) && end(), { signal: ending.signal });
}

/** @param {MouseEvent} event */
function onClick(event) {
  const item = itemOf(event.target);
  if (!item) return;
  if (isHandled || (event.shiftKey && select(item))) {
    event.preventDefault();
    event.stopPropagation();
  }
  isHandled = false;
}

/** @param {Element | null} item @returns {boolean} true if this viewer can select */
function select(item) {
  const link = document.querySelector("[data-select]");
  if (!item || !link || document.body.matches(".selecting")) return false;
  import("./select.js").then(({ startInPlace }) => startInPlace(item, link.href));
  return true;
}

/** @param {EventTarget | null} target @returns {Element | null} */
function itemOf(target) {
  return target instanceof Element ? target.closest(".wall[data-append] > li") : null;
}
