/** @file Selecting records: boxes over the covers, ranges with Shift, and the bar at the foot. The form is the one without scripts. */
import { getPage } from "../shared/api.js";

/** What was selected, and what taken out of the selection that the page began with. Survives tiles that leave the page. */
const added = new Set();
const dropped = new Set();
let last = null;

/** Select on the page that the server made for it. */
export function startOnPage() {
  begin();
}

/** Turn the wall that is shown into one to select on. @param {Element} item the first one @param {string} address of the page for it */
export async function startInPlace(item, address) {
  document.body.classList.add("selecting");
  const page = await getPage(address).catch(() => null);
  const bar = page?.querySelector(".selected-bar");
  if (!bar) return location.assign(address);
  const sheet = page.querySelector('link[href$="/sheets/select.css"]');
  if (sheet) document.head.append(document.adoptNode(sheet));
  document.body.append(document.adoptNode(bar));
  const shown = () => document.querySelectorAll(".wall[data-append] > li:not(:has(.choice))").forEach(addChoice);
  shown();
  document.addEventListener("wall-extended", shown);
  bar.querySelector("[data-done]").addEventListener("click", (event) => {
    event.preventDefault();
    location.reload(); // the wall keeps its place
  });
  begin();
  const box = boxOf(item);
  if (box) {
    box.checked = true;
    change(box);
    box.focus({ preventScroll: true });
  }
}

function begin() {
  form().elements.shown.value = ""; // the boxes that are in the page are counted here
  document.addEventListener("change", (event) => event.target.matches?.(".choice input") && change(event.target));
  document.addEventListener("click", onClick, { capture: true });
  document.addEventListener("wall-extended", show);
  document.addEventListener("select-key", () => itemBox(document.activeElement)?.click());
  document.addEventListener("keydown", onKey);
  form().addEventListener("submit", fill);
  addEventListener("pageshow", (event) => event.persisted && setBoxes(false));
}

/** With Shift, everything between the last box and this one. @param {MouseEvent} event */
function onClick(event) {
  const box = event.target.closest?.(".choice")?.querySelector("input");
  if (!box || !event.shiftKey || !last) return;
  event.preventDefault();
  const boxes = [...document.querySelectorAll(".choice input")];
  const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
  const isOn = last.checked;
  setTimeout(() => {
    for (const one of boxes.slice(Math.max(0, from), to + 1)) {
      one.checked = isOn;
      change(one);
    }
  });
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.key === "Escape") form().querySelector("[data-done]").click();
  if (event.key !== "a" || !(event.ctrlKey || event.metaKey) || event.target.matches("input:not([type=checkbox]), textarea")) return;
  event.preventDefault();
  form().querySelector('[value="all"]')?.click();
}

/** @param {HTMLInputElement} box */
function change(box) {
  last = box;
  const [yes, no] = box.defaultChecked ? [dropped, added] : [added, dropped];
  no.delete(box.value);
  box.checked === box.defaultChecked ? yes.delete(box.value) : yes.add(box.value);
  count();
}

/** Tiles that came back have the boxes of the server: put what was selected since into them. */
function show() {
  for (const box of document.querySelectorAll(".choice input")) {
    if (added.has(box.value)) box.checked = true;
    if (dropped.has(box.value)) box.checked = false;
  }
}

function count() {
  const number = Number(form().dataset.kept) + added.size - dropped.size;
  const text = form().querySelector("[data-selected-count]");
  text.replaceChildren(Object.assign(document.createElement("b"), { textContent: number.toLocaleString("en") }), " selected");
}

/** Send numbers in one field instead of thousands of boxes. */
function fill() {
  form().elements.ids.value = [...added].join(",");
  form().elements.off.value = [...dropped].join(",");
  setBoxes(true);
}

/** @param {boolean} isOff */
function setBoxes(isOff) {
  for (const box of document.querySelectorAll(".choice input")) box.disabled = isOff;
}

/** @param {Element} item */
function addChoice(item) {
  const id = item.querySelector("a.tile")?.getAttribute("href").split("/").pop();
  if (!id) return;
  const label = Object.assign(document.createElement("label"), { className: "choice" });
  const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "id", value: id, checked: added.has(id) });
  box.defaultChecked = false;
  box.checked = added.has(id);
  box.setAttribute("form", "selection");
  box.setAttribute("aria-labelledby", `r${id}`);
  const mark = document.createElement("span");
  mark.ariaHidden = "true";
  label.append(box, mark);
  item.append(label);
}

/** @param {Element | null} item */
function boxOf(item) {
  return item?.querySelector(".choice input");
}

/** @param {Element | null} element */
function itemBox(element) {
  return boxOf(element?.closest?.(".wall > li"));
}

function form() {
  return document.querySelector("#selection");
}
