/**
 * @file Covers of the page that are not in the cache yet. Those on the screen are requested first; all of them are polled with growing
 * pauses; what was scrolled away goes back to its place in the queue.
 */
import { postJson, savesData } from "./api.js";
import { digestOf, isPending, replaceBrokenImages, setState, showImage } from "./cover_image.js";
import { showProgress } from "./job_line.js";
import { at } from "./prefix.js";

const FIRST_PAUSE_MS = 600; // two open pages stay below the rate limit of the server, 240 requests per minute
const MAX_PAUSE_MS = 8000;
const GROWTH = 1.5;
const SETTLE_MS = 150; // fast scrolling passes many sleeves; only those where it stops are requested
const MAX_DIGESTS = 400; // per request; the server accepts 500
const PLACEHOLDER_PX = 8; // it is one pixel wide, and `srcset` scales natural widths

/** @type {Set<HTMLImageElement>} images that are not here yet */
const pending = new Set();
/** @type {Set<HTMLImageElement>} images on the screen or close to it */
const visible = new Set();
/** @type {Set<string>} digests that were requested as visible */
const requested = new Set();
/** @type {IntersectionObserver | undefined} */
let visibility;
/** @type {PerformanceObserver | undefined} */
let responses;
let isListening = false;
let pauseMs = FIRST_PAUSE_MS;
let pollTimer = 0;
let settleTimer = 0;

/** Start with the images of the page as it is now. Call it again when `main` has new contents. */
export function initCovers() {
  stop();
  if (!isListening) {
    isListening = true;
    replaceBrokenImages();
    document.addEventListener("visibilitychange", () => document.hidden || pollSoon());
  }
  visibility = new IntersectionObserver(noteVisible, { rootMargin: "200px 0px" });
  observePlaceholders();
  observeCovers(document);
}

/** Load the images below `root` too. @param {ParentNode} root */
export function observeCovers(root) {
  for (const image of root.querySelectorAll("img.lazy-load[data-src]")) {
    if (savesData()) delete image.dataset.srcset;
    if (!isPending(image)) continue;
    pending.add(image);
    visibility?.observe(image);
  }
  if (pending.size) pollSoon();
}

/** Queue every cover of this page. @returns {Promise<object>} the last response of the server */
export async function preloadAll() {
  const images = [...document.querySelectorAll("img.lazy-load[data-src]")];
  const urls = [...new Set(images.map(digestOf).filter(Boolean))];
  let response = { success: true, preloaded: 0, total: 0 };
  for (let start = 0; start < urls.length; start += MAX_DIGESTS) {
    response = await postJson(at("/api/cache/preload"), { urls: urls.slice(start, start + MAX_DIGESTS), priority: "page" });
  }
  return response;
}

/** @param {IntersectionObserverEntry[]} entries */
function noteVisible(entries) {
  for (const { target, isIntersecting } of entries) isIntersecting ? visible.add(target) : visible.delete(target);
  clearTimeout(settleTimer);
  settleTimer = setTimeout(requestVisible, SETTLE_MS);
}

/** Request each visible cover once, and withdraw the requests for those that are no longer visible. */
async function requestVisible() {
  const seen = new Set([...visible].filter((image) => pending.has(image)).map(digestOf));
  const missing = [...pending].map(digestOf);
  const urls = [...seen].filter((digest) => !requested.has(digest));
  const drop = missing.filter((digest) => requested.has(digest) && !seen.has(digest));
  if (!urls.length && !drop.length) return;
  urls.forEach((digest) => requested.add(digest));
  drop.forEach((digest) => requested.delete(digest));
  try {
    await postJson(at("/api/cache/preload"), { urls, drop, priority: "visible" });
    pollSoon();
  } catch {
    urls.forEach((digest) => requested.delete(digest)); // requested again after the next scroll
  }
}

/** Ask for the state of all pending images, show those that are ready, and schedule the next poll. */
async function poll() {
  forgetRemoved();
  const first = [...visible].filter((image) => pending.has(image));
  const digests = [...new Set([...first, ...pending].map(digestOf))].slice(0, MAX_DIGESTS);
  if (!digests.length || document.hidden) return;
  try {
    const states = await postJson(at("/api/cache/state"), { digests });
    const hasChanged = update(states);
    showProgress(states.progress, states.outcome);
    pauseMs = hasChanged ? FIRST_PAUSE_MS : Math.min(MAX_PAUSE_MS, pauseMs * GROWTH);
  } catch (error) {
    pauseMs = Math.max(MAX_PAUSE_MS, 1000 * (error.retryAfterS ?? 0));
  }
  if (pending.size) pollTimer = setTimeout(poll, pauseMs);
}

/** Images that have left the page are not waited for. */
function forgetRemoved() {
  for (const image of pending) {
    if (image.isConnected) continue;
    pending.delete(image);
    visible.delete(image);
    visibility?.unobserve(image);
  }
}

/** @param {Record<"ready"|"working"|"waiting"|"failed"|"none", string[]>} states @returns {boolean} true if an image is ready or has failed */
function update(states) {
  const lists = Object.entries(states).filter(([, digests]) => Array.isArray(digests));
  const stateOf = new Map(lists.flatMap(([state, digests]) => digests.map((digest) => [digest, state])));
  let hasChanged = false;
  for (const image of pending) {
    const state = stateOf.get(digestOf(image));
    if (state === "ready") showImage(image);
    else if (state) setState(image, state === "none" ? "failed" : state);
    if (!["ready", "failed", "none"].includes(state)) continue;
    hasChanged = true;
    pending.delete(image);
    visible.delete(image);
    visibility?.unobserve(image);
    if (state === "ready") image.dispatchEvent(new CustomEvent("cover-ready", { bubbles: true }));
  }
  return hasChanged;
}

/**
 * An image that the page took for ready can be missing: one of another size is rendered when it is first requested, and any image can
 * have been evicted. The cache then answers 202: with the same image in a larger size, which is shown as it is, or with a placeholder.
 */
function observePlaceholders() {
  if (!PerformanceObserver.supportedEntryTypes?.includes("resource")) return;
  responses = new PerformanceObserver((list) => {
    const addresses = new Set(list.getEntries().filter((entry) => entry.responseStatus === 202).map((entry) => entry.name));
    if (!addresses.size) return;
    for (const image of document.querySelectorAll("img.lazy-load[data-src]")) {
      if (addresses.has(image.currentSrc)) replacePlaceholder(image);
    }
  });
  responses.observe({ type: "resource", buffered: true });
}

/** Use the smaller image, or wait for this one: what is drawn below shows through until it is here. @param {HTMLImageElement} image */
async function replacePlaceholder(image) {
  const address = image.currentSrc;
  await image.decode().catch(() => {}); // its size is known then; if it is broken, the listener for errors sees to it
  if (!image.isConnected || image.currentSrc !== address || image.naturalWidth > PLACEHOLDER_PX) return;
  const isLarger = image.hasAttribute("srcset") && address !== new URL(image.dataset.src, location.href).href;
  image.removeAttribute("srcset");
  if (isLarger) return;
  image.dataset.again = String(Number(image.dataset.again ?? 0) + 1);
  delete image.dataset.shown;
  observeCovers(image.parentElement);
}

function pollSoon() {
  clearTimeout(pollTimer);
  pauseMs = FIRST_PAUSE_MS;
  pollTimer = setTimeout(poll, pending.size && !requested.size ? 0 : pauseMs);
}

function stop() {
  clearTimeout(pollTimer);
  clearTimeout(settleTimer);
  visibility?.disconnect();
  responses?.disconnect();
  [pending, visible, requested].forEach((set) => set.clear());
}
