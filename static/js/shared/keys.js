/** @file Single keys. They come on top of Tab and Enter and replace neither; `/keys` lists them. */
import { move } from "./arrow_keys.js";
import { areKeysOn, openSheet } from "./sheet.js";

const WAIT_MS = 1500; // between G and what follows

/** @type {Record<string, () => void>} */
const actions = {
  "/": () => focusSearch(),
  "?": () => openSheet("/keys"),
  s: () => go("/random"),
  r: () => go("/random"),
  p: () => press("[data-played] .primary"),
  "-": () => resize(-1),
  "+": () => resize(1),
  "=": () => resize(1),
};

/** @type {Record<string, string>} */
const places = { r: "/", s: "/streams", a: "/about", d: "/admin/cache" };

let afterG = 0;

export function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open], .pswp")) return;
    if (isTyping(event.target)) return leaveField(event);
    if (act(event)) event.preventDefault();
  });
}

/** @param {KeyboardEvent} event @returns {boolean} whether the key meant something */
function act(event) {
  const { key, shiftKey } = event;
  if (key.startsWith("Arrow") || key === "Home" || key === "End") return move(key);
  if (key === "Escape") return backToWall();
  if (!areKeysOn()) return false;
  if (shiftKey && /^[A-Z]$/.test(key)) return press(`.cells a[data-label="${key}"]`);
  if (afterG > Date.now()) {
    afterG = 0;
    return go(places[key]);
  }
  if (key === "g") {
    afterG = Date.now() + WAIT_MS;
    return true;
  }
  if (!actions[key]) return false;
  actions[key]();
  return true;
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox]), textarea, select"));
}

/** @param {KeyboardEvent} event */
function leaveField(event) {
  if (event.key === "Escape" && event.target.matches(".find input")) event.target.blur();
}

function backToWall() {
  if (document.body.matches(".picture")) return press("a[rel=up]");
  if (!document.body.matches(".album, .found")) return false;
  const from = document.referrer && new URL(document.referrer);
  const cameFromWall = from && from.origin === location.origin && ["/", "/search"].includes(from.pathname);
  cameFromWall && document.body.matches(".album") ? history.back() : location.assign("/");
  return true;
}

function focusSearch() {
  const field = [...document.querySelectorAll(".find input")].find((input) => input.offsetParent !== null);
  if (!field) return go("/search");
  field.focus();
  field.select();
  return true;
}

/** @param {number} step */
function resize(step) {
  const links = [...document.querySelectorAll(".head [data-density]")];
  const at = links.findIndex((link) => link.hasAttribute("aria-current"));
  links[at + step]?.click();
}

/** @param {string | undefined} address */
function go(address) {
  if (!address) return false;
  location.assign(address);
  return true;
}

/** @param {string} selector */
function press(selector) {
  const element = document.querySelector(selector);
  element?.click();
  return Boolean(element);
}
