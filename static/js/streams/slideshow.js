/**
 * @file Entry module of a slideshow: the next image comes by itself, the buttons hide, and the first touch only wakes them. While the server
 * is out of reach the last image stays. Without it, the page leads to the next one by itself.
 */
import { getPage } from "../shared/api.js";

const QUIET_MS = 5000;
const AWAY_MS = 5000; // between two tries while the server is out of reach
const SHIFT_MS = 3_600_000; // the text moves by four pixels, so that nothing burns in
const FADE_MS = 360;
const isStill = matchMedia("(prefers-reduced-motion: reduce)");

const main = document.querySelector("main");
let timer = 0;
let quiet = 0;
let steps = 0; // a later step makes the answer of an earlier one void
let isPaused = false;
let lock = null;

const slide = () => document.querySelector("[data-slide]");

/** Give the page of a slide its buttons and its time. */
function opened() {
  const part = slide();
  const pause = part.querySelector("[data-pause]");
  const full = part.querySelector("[data-full]");
  if (pause) {
    pause.hidden = false;
    pause.textContent = isPaused ? "Play" : "Pause";
  }
  full.hidden = !document.fullscreenEnabled;
  part.dataset.shift = String(Math.floor(Date.now() / SHIFT_MS) % 4);
  plan(Number(part.dataset.seconds) * 1000);
}

/** @param {number} ms */
function plan(ms) {
  clearTimeout(timer);
  // A stream without images is looked at again, too: some may arrive.
  if (!isPaused) timer = setTimeout(() => go(slide().dataset.next), ms);
}

/** Show another slide, as soon as its image is there. @param {string} path */
async function go(path) {
  const step = (steps += 1);
  clearTimeout(timer);
  if (document.hidden) return plan(AWAY_MS);
  try {
    const page = await getPage(path);
    const image = page.querySelector("[data-slide-image]");
    if (!page.querySelector("[data-slide]")) throw new Error("no slide");
    if (image) {
      const ready = Object.assign(new Image(), { src: image.getAttribute("src") });
      await ready.decode();
      if (ready.naturalWidth <= 8) throw new Error("being prepared"); // a placeholder
    }
    if (step !== steps) return undefined;
    await fade(() => main.replaceChildren(...page.querySelector("main").childNodes));
    history.replaceState(null, "", path);
    opened();
  } catch {
    if (step === steps) plan(AWAY_MS);
  }
  return undefined;
}

/** @param {() => void} change */
async function fade(change) {
  if (isStill.matches) return change();
  const focused = document.activeElement?.matches("[data-go]") ? document.activeElement.rel : "";
  document.body.classList.add("leaving");
  await new Promise((resolve) => setTimeout(resolve, FADE_MS));
  change();
  document.body.classList.remove("leaving");
  if (focused) document.querySelector(`[data-go][rel="${focused}"]`)?.focus();
  return undefined;
}

function togglePause() {
  isPaused = !isPaused;
  opened();
}

async function toggleFull() {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen().catch(() => {});
}

/** Keep the screen on, where the browser allows it: on the server itself, or by HTTPS. */
async function stayAwake() {
  if (document.hidden || !navigator.wakeLock || (lock && !lock.released)) return;
  lock = await navigator.wakeLock.request("screen").catch(() => null);
}

/** @param {Event} event The first touch only wakes the buttons. */
function wake(event) {
  const wasQuiet = document.body.classList.contains("is-quiet");
  document.body.classList.remove("is-quiet");
  clearTimeout(quiet);
  quiet = setTimeout(() => document.body.classList.add("is-quiet"), QUIET_MS);
  if (wasQuiet && event.type === "click") {
    event.preventDefault();
    event.stopPropagation();
  }
}

for (const name of ["click", "keydown", "pointermove", "focusin"]) document.addEventListener(name, wake, true);
document.addEventListener("click", (event) => {
  if (event.defaultPrevented) return;
  const link = event.target.closest("[data-go]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    go(link.getAttribute("href"));
  } else if (event.target.closest("[data-pause]")) togglePause();
  else if (event.target.closest("[data-full]")) toggleFull();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && event.target.closest("button, a"))) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (rel) go(document.querySelector(`[data-go][rel="${rel}"]`)?.getAttribute("href") ?? slide().dataset.next);
  else if (event.key === " ") togglePause();
  else if (event.key.toLowerCase() === "f") toggleFull();
  else if (event.key === "Escape") document.querySelector("[data-close]")?.click();
  else return;
  event.preventDefault();
});
document.addEventListener("visibilitychange", stayAwake);
stayAwake();
quiet = setTimeout(() => document.body.classList.add("is-quiet"), QUIET_MS);
opened();
