/** @file Replaces the placeholders of images that the server is still rendering, as soon as they are there. */
import { imageStatus } from "../shared/api.js";

const FIRST_S = 1;
const LONGEST_S = 15;
// A placeholder is one pixel wide, but `srcset` scales natural widths, down to 0.
const PLACEHOLDER_PX = 8;

/** @type {Set<HTMLImageElement>} */
const pending = new Set();
/** @type {WeakSet<HTMLImageElement>} images that were swapped: a real one may be as small as a placeholder */
const swapped = new WeakSet();
let isPolling = false;

export function initPending() {
  document.addEventListener("load", ({ target }) => note(target), true); // a load does not bubble
  for (const image of document.images) if (image.complete) note(image);
}

/** @param {EventTarget | null} image */
function note(image) {
  if (!(image instanceof HTMLImageElement) || image.naturalWidth > PLACEHOLDER_PX || swapped.has(image) || !image.currentSrc.includes("/streams/")) return;
  pending.add(image);
  if (!isPolling) poll();
}

async function poll() {
  isPolling = true;
  for (let pauseS = FIRST_S; pending.size; ) {
    await new Promise((resolve) => setTimeout(resolve, pauseS * 1000));
    let hasArrived = false;
    for (const image of [...pending]) {
      const status = image.isConnected ? await imageStatus(image.currentSrc) : 404;
      if (status === 202 || status === 503 || !status) continue;
      pending.delete(image);
      if (status === 200) swap(image);
      hasArrived = true;
    }
    pauseS = hasArrived ? FIRST_S : Math.min(LONGEST_S, pauseS * 1.5);
  }
  isPolling = false;
}

/** Request the image again, at a URL that the browser has not got a placeholder for. @param {HTMLImageElement} image */
function swap(image) {
  swapped.add(image);
  const url = new URL(image.currentSrc);
  url.searchParams.set("again", String(Date.now()));
  image.removeAttribute("srcset");
  image.src = url.href;
}
