/** @file Keyboard shortcuts. They supplement Tab and Enter and replace neither; the page `/keys` lists them. */
import { moveFocus } from "./arrow_keys.js";
import { at } from "./prefix.js";

const SEQUENCE_MS = 1500; // longest pause between G and the key after it
const SETTING = "keys"; // in localStorage: "off", or absent

/** @type {Record<string, () => void>} */
const actions = {
  "/": () => focusSearch(),
  "?": () => openKeys(),
  s: () => go(at("/random")),
  r: () => go(at("/random")),
  p: () => click("[data-played] .primary"),
  x: () => document.dispatchEvent(new CustomEvent("select-key")),
  "-": () => changeDensity(-1),
  "+": () => changeDensity(1),
  "=": () => changeDensity(1),
};

/** Where G and a second key lead. @type {Record<string, string>} */
const places = { r: at("/"), w: at("/wants"), h: at("/have"), s: at("/streams"), a: at("/about"), d: at("/admin/cache") };

let sequenceEndsAt = 0;

export function initKeys() {
  initSwitch(document);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open], .pswp")) return;
    if (isTextField(event.target)) return leaveField(event);
    if (handle(event)) event.preventDefault();
  });
}

/** @param {KeyboardEvent} event @returns {boolean} true if the key is a shortcut */
function handle(event) {
  const { key, shiftKey } = event;
  if (key.startsWith("Arrow") || key === "Home" || key === "End") return moveFocus(key);
  if (key === "Escape") return leavePage();
  if (!areKeysOn()) return false;
  if (shiftKey && /^[A-Z]$/.test(key)) return click(`.cells a[data-label="${key}"]`);
  if (sequenceEndsAt > Date.now()) {
    sequenceEndsAt = 0;
    return go(places[key]);
  }
  if (key === "g") {
    sequenceEndsAt = Date.now() + SEQUENCE_MS;
    return true;
  }
  if (!actions[key]) return false;
  actions[key]();
  return true;
}

/** @param {EventTarget | null} target */
function isTextField(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox]), textarea, select"));
}

/** @param {KeyboardEvent} event */
function leaveField(event) {
  if (event.key === "Escape" && event.target.matches(".find input")) event.target.blur();
}

/** From an image to its stream, from a record or the search to the wall. */
function leavePage() {
  if (document.body.matches(".picture")) return click("a[rel=up]");
  if (!document.body.matches(".album, .found")) return false;
  const from = document.referrer && new URL(document.referrer);
  const cameFromWall = from && from.origin === location.origin && [at("/"), at("/search")].includes(from.pathname);
  cameFromWall && document.body.matches(".album") ? history.back() : location.assign(at("/"));
  return true;
}

function focusSearch() {
  const field = [...document.querySelectorAll(".find input")].find((input) => input.offsetParent !== null);
  if (!field) return go(at("/search"));
  field.focus();
  field.select();
  return true;
}

/** Show the list of shortcuts in a dialog, which has the switch for them. */
async function openKeys() {
  const { openDialog } = await import("./dialog.js");
  const dialog = await openDialog(at("/keys"));
  if (dialog) initSwitch(dialog);
}

/** @param {number} step */
function changeDensity(step) {
  const links = [...document.querySelectorAll(".head [data-density]")];
  const current = links.findIndex((link) => link.hasAttribute("aria-current"));
  links[current + step]?.click();
}

/** @param {string | undefined} address */
function go(address) {
  if (!address) return false;
  location.assign(address);
  return true;
}

/** @param {string} selector */
function click(selector) {
  const element = document.querySelector(selector);
  element?.click();
  return Boolean(element);
}

/** The switch for single keys; this browser remembers it. @param {ParentNode} root */
function initSwitch(root) {
  const label = root.querySelector("[data-keys-switch]");
  if (!label) return;
  label.hidden = false;
  const box = label.querySelector("input");
  box.checked = areKeysOn();
  box.addEventListener("change", () => {
    try {
      box.checked ? localStorage.removeItem(SETTING) : localStorage.setItem(SETTING, "off");
    } catch {
      box.checked = true; // this browser stores nothing, so the keys stay on
    }
  });
}

function areKeysOn() {
  try {
    return localStorage.getItem(SETTING) !== "off";
  } catch {
    return true;
  }
}
