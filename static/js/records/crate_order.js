/**
 * @file Entry module of the order of a crate. Each record gets a handle: it is dragged, or moved with the arrow keys, and each move is
 * saved at once. The buttons and the number of each row work without it.
 */
import { moveInCrate } from "../shared/api.js";

const EDGE_PX = 72; // from here a drag scrolls the page
const SCROLL_PX = 12; // a frame
const KEYS_MS = 400; // a key that is held down is saved when it rests

const list = document.querySelector("ol.ordered");
const said = document.querySelector("[data-said]");
/** @type {{row: HTMLElement, from: number, x: number, y: number} | null} what is dragged, where it was, and where the pointer is */
let held = null;
let timer = 0;
let isMoving = false; // a handle that is moved loses the focus for a moment
/** @type {{row: HTMLElement, from: number} | null} a move by keys that is not saved yet */
let pending = null;
let saving = Promise.resolve();

if (list && said) {
  for (const row of list.children) addGrip(row);
  addEventListener("pointermove", (event) => held && Object.assign(held, { x: event.clientX, y: event.clientY }));
  addEventListener("pointerup", drop);
  addEventListener("pointercancel", giveUp);
  addEventListener("keydown", (event) => event.key === "Escape" && giveUp());
  addEventListener("pagehide", saveKeys);
}

/** @param {HTMLElement} row */
function addGrip(row) {
  const grip = Object.assign(document.createElement("button"), { type: "button", className: "handle", textContent: "≡" });
  grip.setAttribute("aria-label", `Move ${row.dataset.name}. Arrow keys move it.`);
  grip.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    grip.focus({ preventScroll: true });
    saveKeys();
    held = { row, from: placeOf(row), x: event.clientX, y: event.clientY };
    row.classList.add("is-held");
    requestAnimationFrame(follow);
  });
  grip.addEventListener("keydown", (event) => {
    const last = list.children.length - 1;
    const at = indexOf(row);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (pending?.row !== row) saveKeys();
    pending ??= { row, from: placeOf(row) };
    isMoving = true;
    put(row, Math.min(Math.max(to, 0), last));
    grip.focus();
    isMoving = false;
    say(`${row.dataset.name}: place ${placeOf(row)}.`);
    clearTimeout(timer);
    timer = setTimeout(saveKeys, KEYS_MS);
  });
  grip.addEventListener("blur", () => isMoving || saveKeys());
  row.querySelector("[name=place]").addEventListener("change", () => row.querySelector("form").requestSubmit(row.querySelector("[value=move]")));
  row.prepend(grip);
}

/** Move what is held to where the pointer is, and scroll at the edges, also while the finger rests there. */
function follow() {
  if (!held) return;
  if (held.y < EDGE_PX) scrollBy({ top: -SCROLL_PX, behavior: "instant" });
  if (held.y > innerHeight - EDGE_PX) scrollBy({ top: SCROLL_PX, behavior: "instant" });
  const at = indexOf(held.row);
  const { top, bottom } = held.row.getBoundingClientRect();
  const [before, after] = [held.row.previousElementSibling, held.row.nextElementSibling];
  if (before && held.y < top && held.y < middle(before)) put(held.row, at - 1);
  else if (after && held.y > bottom && held.y > middle(after)) put(held.row, at + 1);
  requestAnimationFrame(follow);
}

function drop() {
  if (!held) return;
  const { row, from } = held;
  row.classList.remove("is-held");
  held = null;
  save(row, from);
}

/** Put what is held back to where it was. */
function giveUp() {
  if (!held) return;
  put(held.row, held.from - first());
  held.row.classList.remove("is-held");
  held = null;
}

function saveKeys() {
  clearTimeout(timer);
  if (pending) save(pending.row, pending.from);
  pending = null;
}

/** @param {HTMLElement} row @param {number} from its place before */
function save(row, from) {
  const place = placeOf(row);
  if (place === from) return;
  saving = saving
    .then(() => moveInCrate(row.querySelector("form"), place))
    .then(() => say(`${row.dataset.name} moved from ${from} to ${place}.`, () => (put(row, from - first()), save(row, place))))
    .catch(({ message }) => (put(row, from - first()), say(`Not moved: ${message}. Try again.`)));
}

/** @param {string} text @param {() => void} [undo] */
function say(text, undo) {
  said.replaceChildren(text);
  if (!undo) return;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: "Undo" });
  button.addEventListener("click", undo);
  said.append(" ", button);
}

/** @param {HTMLElement} row @param {number} index where it goes on this page */
function put(row, index) {
  const at = indexOf(row);
  if (index < at) list.children[index].before(row);
  if (index > at) list.children[index].after(row);
  [...list.children].forEach((one, number) => (one.querySelector("[name=place]").value = String(first() + number)));
}

const first = () => Number(list.start);
const indexOf = (row) => [...list.children].indexOf(row);
const placeOf = (row) => first() + indexOf(row);

/** @param {Element} row @returns {number} */
function middle(row) {
  const { top, height } = row.getBoundingClientRect();
  return top + height / 2;
}
