/**
 * @file Entry module of the order by hand. Each image gets a handle: it is dragged, or moved with the arrow keys. What is saved are the
 * numbers of the form, which work without it.
 */
const EDGE_PX = 64; // from here a drag scrolls the page

const form = document.querySelector("form#order");
const list = document.querySelector("[data-gallery]");
/** @type {HTMLElement | null} the tile that is dragged or moved by keys */
let held = null;
/** @type {HTMLElement | null} the tile that came after it before */
let home = null;
let isMoving = false; // a button that is moved loses the focus for a moment

if (form && list) {
  const said = Object.assign(document.createElement("p"), { className: "vh" });
  said.setAttribute("role", "status");
  form.append(said);
  for (const tile of list.children) addGrip(tile, said);
  addEventListener("pointermove", drag);
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, drop);
}

/** @param {HTMLElement} tile @param {HTMLElement} said */
function addGrip(tile, said) {
  const name = tile.querySelector("img")?.alt ?? "image";
  const grip = Object.assign(document.createElement("button"), { type: "button", className: "grip", textContent: "≡" });
  grip.setAttribute("aria-label", `Move ${name}. Arrow keys move it.`);
  grip.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    grip.focus();
    hold(tile);
  });
  grip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (step) {
      event.preventDefault();
      if (held !== tile) hold(tile);
      const other = step < 0 ? tile.previousElementSibling : tile.nextElementSibling;
      if (other) move(tile, () => (step < 0 ? other.before(tile) : other.after(tile)));
      said.textContent = `${name}, ${[...list.children].indexOf(tile) + 1} of ${list.children.length}`;
    } else if (event.key === "Enter" && held) {
      event.preventDefault();
      drop();
    } else if (event.key === "Escape" && held) {
      move(tile, () => list.insertBefore(tile, home));
      drop();
    }
  });
  grip.addEventListener("blur", () => isMoving || drop());
  tile.append(grip);
}

/** @param {HTMLElement} tile */
function hold(tile) {
  drop();
  held = tile;
  home = tile.nextElementSibling;
  tile.classList.add("is-held");
}

/** @param {PointerEvent} event */
function drag(event) {
  if (!held || !event.buttons) return;
  if (event.clientY < EDGE_PX) scrollBy(0, -EDGE_PX / 4);
  if (event.clientY > innerHeight - EDGE_PX * 2) scrollBy(0, EDGE_PX / 4);
  const over = document.elementFromPoint(event.clientX, event.clientY)?.closest(".shot");
  if (!over || over === held || over.parentElement !== list) return;
  const isLater = over.compareDocumentPosition(held) & Node.DOCUMENT_POSITION_PRECEDING;
  // The tile under the finger goes out of the way, to the side that the held one came from.
  move(held, () => (isLater ? over.after(held) : over.before(held)));
}

/** @param {HTMLElement} tile @param {() => void} place puts it elsewhere */
function move(tile, place) {
  isMoving = true;
  place();
  tile.querySelector(".grip").focus({ preventScroll: true });
  isMoving = false;
  renumber();
}

function drop() {
  held?.classList.remove("is-held");
  held = null;
}

function renumber() {
  [...list.children].forEach((tile, at) => (tile.querySelector('input[form="order"]').value = String(at + 1)));
}
