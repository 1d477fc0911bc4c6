/**
 * @file Entry module of selections: long press, Shift+click, a drag over tiles, Ctrl+A, X on a tile. The checkboxes are those of the page
 * without scripts, and the band at the foot is their form: what it does is done in place, and undone from the band that follows.
 */
import { postChoice } from "../shared/api.js";
import { megabytes } from "./upload_row.js";

const LONG_PRESS_MS = 400;
const MOVED_PX = 10; // further is scrolling
const EDGE_PX = 64; // from here a drag scrolls the page
const SCROLL_PX = 8; // in each frame of a screen
const PARTS = ["numbers", "used", "trash", "done", "gallery", "band"];

/** @type {HTMLElement | null} the tile that a run starts from */
let anchor = null;
/** @type {Map<HTMLInputElement, boolean> | null} while a drag lasts: what was checked before it */
let dragged = null;
/** @type {{ x: number, y: number } | null} where the pointer of a drag is */
let held = null;
let frame = 0;
let press = null;
let isClickSpent = false;
/** @type {MutationObserver | null} marks images that arrive meanwhile */
let arrivals = null;

const band = () => document.querySelector("form[data-selection]");
const tiles = () => [...document.querySelectorAll(".shot")];
const boxOf = (tile) => tile?.querySelector(".mark-it input");
const boxes = () => [...document.querySelectorAll(".mark-it input")];

if (band()) begin();
addEventListener("pointerdown", startPress);
addEventListener("pointermove", moveOver);
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, endPress);
addEventListener("touchmove", (event) => dragged && event.preventDefault(), { passive: false });
addEventListener("contextmenu", (event) => (dragged || isClickSpent) && event.preventDefault());
addEventListener("click", handleClick, true);
addEventListener("change", (event) => event.target.closest?.(".mark-it") && update());
addEventListener("keydown", handleKey);
document.addEventListener("select-key", chooseFocused);
addEventListener("submit", send);
addEventListener("popstate", () => !history.state?.isSelecting && band() && canLeave() && end());

/** Show checkboxes and the band, unless the page has them. */
function start() {
  if (band()) return;
  const template = document.querySelector("template[data-selection-band]");
  if (!template) return;
  document.querySelector('[data-fresh="band"]').replaceChildren(template.content.cloneNode(true));
  document.body.classList.remove("noted");
  document.body.classList.add("choosing");
  for (const tile of tiles()) mark(tile);
  history.pushState({ isSelecting: true }, "");
  begin();
}

function begin() {
  const all = band().querySelector("[data-choose-all]");
  all.disabled = false;
  arrivals?.disconnect();
  arrivals = new MutationObserver(() => tiles().forEach(mark));
  const list = document.querySelector("[data-gallery]");
  if (list) arrivals.observe(list, { childList: true });
  update();
}

/** @param {HTMLElement} tile */
function mark(tile) {
  if (boxOf(tile)) return;
  const label = Object.assign(document.createElement("label"), { className: "mark-it" });
  const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "image", value: tile.dataset.id });
  box.setAttribute("form", "selection");
  const words = Object.assign(document.createElement("span"), { className: "vh", textContent: `Select ${tile.querySelector("img")?.alt ?? "image"}` });
  label.append(box, words);
  tile.querySelector(".frame").after(label);
}

/** A page that is nothing but its selection, such as the trash, is left by its links. */
function canLeave() {
  return Boolean(document.querySelector("template[data-selection-band]"));
}

function end() {
  arrivals?.disconnect();
  anchor = null;
  for (const box of boxes()) box.closest(".mark-it").remove();
  band()?.remove();
  document.body.classList.remove("choosing");
}

/** Say how many are selected, and offer what can be done with them. */
function update() {
  const form = band();
  if (!form) return;
  const chosen = boxes().filter(({ checked }) => checked);
  const bytes = chosen.reduce((sum, box) => sum + Number(box.closest(".shot").dataset.bytes ?? 0), 0);
  form.querySelector("[data-chosen-count]").textContent = chosen.length ? `${chosen.length} selected` : "Select images";
  form.querySelector("[data-chosen-facts]").textContent = bytes ? megabytes(bytes) : "";
  form.querySelector("[data-chosen-acts]").classList.toggle("is-idle", !chosen.length);
}

/** @param {HTMLElement} tile @param {boolean} [isChosen] */
function choose(tile, isChosen = true) {
  const box = boxOf(tile);
  if (box) box.checked = isChosen;
  update();
}

/** Select the tiles from the anchor to this one. @param {HTMLElement} tile */
function chooseRun(tile) {
  const all = tiles();
  const [from, to] = [all.indexOf(anchor), all.indexOf(tile)].sort((one, other) => one - other);
  all.forEach((one, at) => {
    const box = boxOf(one);
    if (box) box.checked = (at >= from && at <= to) || Boolean(dragged?.get(box));
  });
  update();
}

/** @param {PointerEvent} event */
function startPress(event) {
  isClickSpent = false;
  const tile = event.target.closest?.(".shot");
  if (!tile || event.button || event.shiftKey || !event.isPrimary) return;
  if (event.target.closest(".caption")) return;
  press = { tile, x: event.clientX, y: event.clientY, kind: event.pointerType };
  if (event.pointerType !== "mouse") press.timer = setTimeout(grab, LONG_PRESS_MS);
}

/** A long press, or a mouse that leaves the tile it was pressed on while images are selected. */
function grab() {
  const { tile } = press;
  start();
  if (!band()) return;
  dragged = new Map(boxes().map((box) => [box, box.checked]));
  anchor = tile;
  isClickSpent = true;
  if (press.kind !== "mouse") navigator.vibrate?.(10);
  choose(tile);
}

/** @param {PointerEvent} event */
function moveOver(event) {
  if (!press || !event.isPrimary) return;
  const over = document.elementFromPoint(event.clientX, event.clientY)?.closest(".shot");
  if (!dragged) {
    if (Math.hypot(event.clientX - press.x, event.clientY - press.y) < MOVED_PX) return;
    clearTimeout(press.timer);
    if (press.kind === "mouse" && band() && over && over !== press.tile) grab();
    else if (press.kind !== "mouse") press = null;
    return;
  }
  held = { x: event.clientX, y: event.clientY };
  if (over) chooseRun(over);
  frame ||= requestAnimationFrame(scrollOn);
}

/** Scroll while a drag is near an edge, also while it rests there, and select what comes under it. */
function scrollOn() {
  frame = 0;
  const step = !dragged || !held ? 0 : held.y < EDGE_PX ? -SCROLL_PX : held.y > innerHeight - EDGE_PX * 2 ? SCROLL_PX : 0;
  if (!step) return;
  scrollBy({ top: step, behavior: "instant" });
  const over = document.elementFromPoint(held.x, held.y)?.closest(".shot");
  if (over) chooseRun(over);
  frame = requestAnimationFrame(scrollOn);
}

function endPress() {
  clearTimeout(press?.timer);
  press = null;
  dragged = null;
  held = null;
}

/** @param {MouseEvent} event */
function handleClick(event) {
  const { target } = event;
  if (isClickSpent && target.closest?.(".shot")) {
    isClickSpent = false;
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  if (target.closest?.("[data-select]")) {
    event.preventDefault();
    start();
    boxes()[0]?.focus();
  } else if (target.closest?.("[data-choose-all]")) {
    for (const box of boxes()) box.checked = true;
    update();
  } else if (target.closest?.("[data-choose-none]") && canLeave()) {
    event.preventDefault();
    leave();
  } else if (target.closest?.("[data-undo-close]")) {
    event.preventDefault();
    target.closest("form").remove();
    history.replaceState(null, "", location.pathname);
  } else {
    clickTile(event, target.closest?.(".shot"));
  }
}

/** @param {MouseEvent} event @param {HTMLElement | null} tile */
function clickTile(event, tile) {
  if (!tile || event.target.closest(".caption")) return;
  if (event.shiftKey) {
    event.preventDefault();
    event.stopPropagation();
    start();
    if (!band()) return;
    if (anchor?.isConnected) {
      dragged = new Map(boxes().map((box) => [box, box.checked]));
      chooseRun(tile);
      dragged = null;
    } else choose(tile);
  }
  anchor = tile;
}

function leave() {
  if (history.state?.isSelecting) history.back();
  else location.assign(band().querySelector("[data-choose-none]").href);
}

/** @param {KeyboardEvent} event */
function handleKey(event) {
  const isTyping = event.target.matches?.("input:not([type=checkbox]), textarea, select");
  if (isTyping || document.querySelector(".pswp--open")) return;
  if (band() && event.key === "Escape" && canLeave()) leave();
  else if (band() && event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    for (const box of boxes()) box.checked = true;
    update();
  } else if (band() && event.key === "Delete") band().querySelector('[value="trash"]')?.click();
}

/** The key X, which `keys.js` knows and can be turned off there: start a selection with the image that has the focus. */
function chooseFocused() {
  const tile = document.activeElement?.closest(".shot");
  if (!tile) return;
  start();
  choose(tile, !boxOf(tile)?.checked);
  anchor = tile;
  boxOf(tile)?.focus();
}

/** Do it in place. What fails is sent as the browser would. @param {SubmitEvent} event */
async function send(event) {
  const form = event.target;
  if (!form.matches?.("[data-selection], [data-undo]") || form.matches("[data-by-page]") || event.submitter?.matches("[data-by-page]")) return;
  event.preventDefault();
  const chosen = boxes().find(({ checked }) => checked)?.closest(".shot");
  const next = chosen && tiles().slice(tiles().indexOf(chosen)).find((tile) => !boxOf(tile)?.checked)?.dataset.id;
  const before = new Set(tiles().map(({ dataset }) => dataset.id));
  let answer;
  try {
    answer = await postChoice(form, event.submitter);
  } catch {
    form.querySelector("[role=status]").textContent = "Not done. Could not reach VinylVault.";
    return;
  }
  if (form.matches("[data-selection]")) end();
  show(answer.page);
  history.replaceState(null, "", answer.url);
  const back = tiles().find(({ dataset }) => !before.has(dataset.id));
  (back ?? document.getElementById(`p-${next}`) ?? tiles()[0])?.querySelector(".frame")?.focus({ preventScroll: true });
}

/** Take the parts of the page that the server answered with. @param {Document} page */
function show(page) {
  for (const name of PARTS) {
    const [old, fresh] = [document, page].map((root) => root.querySelector(`[data-fresh="${name}"]`));
    if (old && fresh) old.replaceChildren(...document.adoptNode(fresh).childNodes);
  }
  document.body.classList.toggle("noted", Boolean(document.querySelector("[data-undo]")));
}
