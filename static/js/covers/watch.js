/**
 * @file The covers of this page that are not here yet: what can be seen is asked for first, the whole set is looked after
 * with growing pauses, and what scrolled away goes back in the queue.
 */
import { postJson, sparesData } from "../shared/api.js";
import { digestOf, isOpen, mark, show } from "./images.js";
import { tellJob } from "./job_line.js";

const FIRST_PAUSE_MS = 600; // two open pages stay below the limit of the server, 240 questions a minute
const LONGEST_PAUSE_MS = 8000;
const GROWTH = 1.5;
const SETTLE_MS = 150; // a flick passes many sleeves; only where it comes to rest is asked for
const MOST = 400; // digests in one question; the server takes 500

/** @type {Set<HTMLImageElement>} pictures that are not here yet */
const open = new Set();
/** @type {Set<HTMLImageElement>} those of them that are on the screen or close to it */
const near = new Set();
/** @type {Set<string>} digests that were asked for as visible */
const asked = new Set();
/** @type {IntersectionObserver | undefined} */
let eyes;
let pauseMs = FIRST_PAUSE_MS;
let pollTimer = 0;
let settleTimer = 0;

/** Begin with the pictures of the present page. @param {AbortSignal} signal ends it */
export function wakeWatch(signal) {
  eyes = new IntersectionObserver(notice, { rootMargin: "200px 0px" });
  signal.addEventListener("abort", stop);
  document.addEventListener("visibilitychange", () => document.hidden || soon(), { signal });
  findPlaceholders(signal);
  watch(document);
}

/** Look after the pictures below `root` as well. @param {ParentNode} root */
export function watch(root) {
  for (const image of root.querySelectorAll("img.lazy-load[data-src]")) {
    if (sparesData()) delete image.dataset.srcset;
    if (!isOpen(image)) continue;
    open.add(image);
    eyes?.observe(image);
  }
  if (open.size) soon();
}

/** Queue every cover of this page. @returns {Promise<object>} the last answer of the server */
export async function preloadAll() {
  const images = [...document.querySelectorAll("img.lazy-load[data-src]")];
  const urls = [...new Set(images.map(digestOf).filter(Boolean))];
  let answer = { success: true, preloaded: 0, total: 0 };
  for (let at = 0; at < urls.length; at += MOST) answer = await postJson("/api/cache/preload", { urls: urls.slice(at, at + MOST), priority: "page" });
  return answer;
}

/** @param {IntersectionObserverEntry[]} entries */
function notice(entries) {
  for (const { target, isIntersecting } of entries) isIntersecting ? near.add(target) : near.delete(target);
  clearTimeout(settleTimer);
  settleTimer = setTimeout(ask, SETTLE_MS);
}

/** Ask once for what can be seen and is missing, and let go of what cannot be seen any more. */
async function ask() {
  const seen = new Set([...near].filter((image) => open.has(image)).map(digestOf));
  const missing = [...open].map(digestOf);
  const urls = [...seen].filter((digest) => !asked.has(digest));
  const drop = missing.filter((digest) => asked.has(digest) && !seen.has(digest));
  if (!urls.length && !drop.length) return;
  urls.forEach((digest) => asked.add(digest));
  drop.forEach((digest) => asked.delete(digest));
  try {
    await postJson("/api/cache/preload", { urls, drop, priority: "visible" });
    soon();
  } catch {
    urls.forEach((digest) => asked.delete(digest)); // the next look asks again
  }
}

/** Ask how far the set is, show what is ready, and come back later. */
async function poll() {
  const first = [...near].filter((image) => open.has(image));
  const digests = [...new Set([...first, ...open].map(digestOf))].slice(0, MOST);
  if (!digests.length || document.hidden) return;
  try {
    const states = await postJson("/api/cache/state", { digests });
    const arrived = settle(states);
    tellJob(states.progress);
    pauseMs = arrived ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, pauseMs * GROWTH);
  } catch (error) {
    pauseMs = Math.max(LONGEST_PAUSE_MS, 1000 * (error.retryAfterS ?? 0));
  }
  if (open.size) pollTimer = setTimeout(poll, pauseMs);
}

/** @param {Record<"ready"|"working"|"waiting"|"failed"|"none", string[]>} states @returns {boolean} whether anything came to its end */
function settle(states) {
  const state = new Map(Object.keys(states).filter((name) => Array.isArray(states[name])).flatMap((name) => states[name].map((digest) => [digest, name])));
  let ended = false;
  for (const image of open) {
    const name = state.get(digestOf(image));
    if (name === "ready") show(image);
    else if (name) mark(image, name === "none" ? "failed" : name);
    if (!["ready", "failed", "none"].includes(name)) continue;
    ended = true;
    open.delete(image);
    near.delete(image);
    eyes?.unobserve(image);
    if (name === "ready") image.dispatchEvent(new CustomEvent("cover-ready", { bubbles: true }));
  }
  return ended;
}

/**
 * A picture that was promised can be missing: one of twice the size is made when first asked for, and any can have been
 * evicted. The cache then answers 202 with a placeholder; the smaller one stands in, or the picture is waited for.
 */
function findPlaceholders(signal) {
  if (!PerformanceObserver.supportedEntryTypes?.includes("resource")) return;
  const ears = new PerformanceObserver((list) => {
    const names = new Set(list.getEntries().filter((entry) => entry.responseStatus === 202).map((entry) => entry.name));
    if (!names.size) return;
    for (const image of document.querySelectorAll("img.lazy-load[data-src]")) {
      if (!names.has(image.currentSrc)) continue;
      const isLarger = image.hasAttribute("srcset") && image.currentSrc !== new URL(image.dataset.src, location.href).href;
      image.removeAttribute("srcset");
      if (isLarger) continue;
      image.dataset.again = String(Number(image.dataset.again ?? 0) + 1);
      delete image.dataset.shown;
      image.removeAttribute("src");
    }
    watch(document);
  });
  ears.observe({ type: "resource", buffered: true });
  signal.addEventListener("abort", () => ears.disconnect());
}

function soon() {
  clearTimeout(pollTimer);
  pauseMs = FIRST_PAUSE_MS;
  pollTimer = setTimeout(poll, open.size && !asked.size ? 0 : pauseMs);
}

function stop() {
  clearTimeout(pollTimer);
  clearTimeout(settleTimer);
  eyes?.disconnect();
  [open, near, asked].forEach((set) => set.clear());
}
