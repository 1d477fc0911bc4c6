/** @file One picture of the cache: whether it is here, and how it is shown once it is. */

const ADDRESS = /\/([0-9a-f]{64})\.(?:webp|jpg)(?:\?.*)?$/;
const LAMPS = 3; // as many as downloads run

/**
 * Whether a picture still shows something else than what `data-src` names.
 * @param {HTMLImageElement} image
 */
export function isOpen(image) {
  const { src, shown } = image.dataset;
  return Boolean(src) && shown === undefined && image.getAttribute("src") !== src && digestOf(image) !== "";
}

/** @param {HTMLImageElement} image @returns {string} 64 hex digits, empty for an address that is none of the cache's */
export function digestOf(image) {
  return ADDRESS.exec(image.dataset.src ?? "")?.[1] ?? "";
}

/**
 * Show a picture that has arrived. The drawn sleeve below stays until it is here; then it fades in, which one from the
 * browser's own cache never does.
 * @param {HTMLImageElement} image
 */
export function show(image) {
  const again = image.dataset.again ? `?again=${image.dataset.again}` : ""; // this document has a placeholder under the bare address
  image.dataset.shown = "";
  image.addEventListener("load", () => image.classList.add("arrives"), { once: true });
  if (image.dataset.srcset && !again) image.srcset = image.dataset.srcset;
  image.src = image.dataset.src + again;
  mark(image, "ready");
}

/**
 * Let the sleeve around a picture say how far it is.
 * @param {HTMLImageElement} image @param {"waiting"|"working"|"ready"|"failed"} state
 */
export function mark(image, state) {
  const sleeve = image.closest(".sleeve");
  if (!sleeve || sleeve.dataset.state === state) return;
  sleeve.dataset.state = state;
  const isBlinking = state === "working" && document.querySelectorAll("[data-lamp]").length < LAMPS;
  sleeve.toggleAttribute("data-lamp", isBlinking);
  const says = sleeve.closest("a")?.querySelector(".says");
  if (state === "ready") says?.remove();
  if (state !== "failed") return;
  if (says) says.textContent = "no cover yet";
  image.dataset.shown = "";
  const inner = document.querySelector('template[data-drawing="inner"]')?.content.firstElementChild.cloneNode(true);
  const drawn = sleeve.querySelector(".drawn");
  if (!inner || !drawn) return;
  inner.append(...drawn.querySelectorAll("text"));
  inner.querySelector("text")?.removeAttribute("fill");
  drawn.replaceWith(inner);
}

/** A browser that cannot read WebP gets the JPEG beside it; what fails twice leaves the drawn sleeve. */
export function catchBrokenPictures() {
  document.addEventListener("error", (event) => mend(event.target), { capture: true });
  for (const image of document.querySelectorAll("img.lazy-load[src]")) {
    if (image.complete && !image.naturalWidth) image.decode().catch(() => mend(image)); // it failed before anybody listened
  }
}

/** @param {EventTarget | null} image */
function mend(image) {
  if (!(image instanceof HTMLImageElement) || !image.matches("img.lazy-load, .sleeve img, img.placeholder")) return;
  const tried = image.currentSrc || image.src;
  image.removeAttribute("srcset");
  if (tried.includes(".webp")) image.src = new URL(tried, location.href).pathname.replace(/\.webp$/, ".jpg");
  else image.removeAttribute("src");
}
