/** @file One cover on a page: whether its image is here, how it is shown when it arrives, and what is shown when it fails. */

const ADDRESS = /\/([0-9a-f]{64})\.(?:webp|jpg)(?:\?.*)?$/;
const MAX_LAMPS = 3; // as many as downloads run at a time

/**
 * Return true if an image still shows something other than what `data-src` names.
 * @param {HTMLImageElement} image
 */
export function isPending(image) {
  const { src, shown, again } = image.dataset;
  const isNamed = !again && image.getAttribute("src") === src;
  return Boolean(src) && shown === undefined && !isNamed && digestOf(image) !== "";
}

/** @param {HTMLImageElement} image @returns {string} 64 hex digits, empty if the address is not one of the cache */
export function digestOf(image) {
  return ADDRESS.exec(image.dataset.src ?? "")?.[1] ?? "";
}

/**
 * Show an image that is in the cache now. The drawn sleeve below it stays until it is loaded; then it fades in. An image that the
 * browser had in its own cache never fades in.
 * @param {HTMLImageElement} image
 */
export function showImage(image) {
  // A retry needs another address: for the plain one, this document has a placeholder in memory.
  const retry = image.dataset.again ? `?again=${image.dataset.again}` : "";
  image.dataset.shown = "";
  image.addEventListener("load", () => image.classList.add("arrives"), { once: true });
  if (image.dataset.srcset && !retry) image.srcset = image.dataset.srcset;
  image.src = image.dataset.src + retry;
  setState(image, "ready");
}

/**
 * Set the state of the sleeve around an image: its lamp, its words for screen readers, and the empty sleeve after a failure.
 * @param {HTMLImageElement} image @param {"waiting"|"working"|"ready"|"failed"} state
 */
export function setState(image, state) {
  const sleeve = image.closest(".sleeve");
  if (!sleeve || sleeve.dataset.state === state) return;
  sleeve.dataset.state = state;
  sleeve.toggleAttribute("data-lamp", state === "working" && document.querySelectorAll("[data-lamp]").length < MAX_LAMPS);
  const words = sleeve.closest("a")?.querySelector(".says");
  if (state === "ready") words?.remove();
  if (state !== "failed") return;
  if (words) words.textContent = "no cover yet";
  image.dataset.shown = "";
  showEmptySleeve(sleeve);
}

/** Replace the colour behind a cover by the empty inner sleeve, which keeps its text; a sleeve with its lettering stays. @param {Element} sleeve */
function showEmptySleeve(sleeve) {
  const inner = document.querySelector('template[data-drawing="inner"]')?.content.firstElementChild.cloneNode(true);
  const drawn = sleeve.querySelector(".drawn:not(.lettered)");
  if (!inner || !drawn) return;
  inner.append(...drawn.querySelectorAll("text"));
  inner.querySelector("text")?.removeAttribute("fill");
  drawn.replaceWith(inner);
}

/** A browser that cannot read WebP gets the JPEG; an image that fails twice leaves the drawn sleeve. */
export function replaceBrokenImages() {
  document.addEventListener("error", (event) => replace(event.target), { capture: true });
  for (const image of document.querySelectorAll("img.lazy-load[src]")) {
    if (image.complete && !image.naturalWidth) image.decode().catch(() => replace(image)); // it failed before the listener was there
  }
}

/** @param {EventTarget | null} image */
function replace(image) {
  if (!(image instanceof HTMLImageElement) || !image.matches("img.lazy-load, .sleeve img, img.placeholder")) return;
  const address = image.currentSrc || image.src;
  image.removeAttribute("srcset");
  if (address.includes(".webp")) image.src = new URL(address, location.href).pathname.replace(/\.webp$/, ".jpg");
  else image.removeAttribute("src");
}
