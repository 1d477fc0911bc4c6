/** @file A swipe to the left or right follows the link to the next or previous page. */

const MIN_PX = 48;
const MIN_RATIO = 1.5; // horizontal to vertical; less is scrolling

/** @param {HTMLElement | null} element in which a swipe may start */
export function onSwipe(element) {
  /** @type {PointerEvent | null} */
  let start = null;
  element?.addEventListener("pointerdown", (event) => (start = start || event.pointerType === "mouse" ? null : event)); // a second finger is no swipe
  element?.addEventListener("pointercancel", () => (start = null));
  element?.addEventListener("pointerup", (event) => {
    const from = start;
    start = null;
    if (!from || visualViewport?.scale > 1.05) return; // on an enlarged page a finger moves the page
    const [x, y] = [event.clientX - from.clientX, event.clientY - from.clientY];
    if (Math.abs(x) < MIN_PX || Math.abs(x) < MIN_RATIO * Math.abs(y)) return;
    document.querySelector(x < 0 ? 'a[rel="next"]' : 'a[rel="prev"]')?.click();
  });
}
