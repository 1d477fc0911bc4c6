/**
 * @file Keys on the screen for the search, for a touch screen without a keyboard, such as that of a kiosk. A button opens them; on a
 * low screen that never saw a key pressed they open themselves. Phones and tablets have keys of their own and get none of this.
 */
const LETTERS = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];
const DIGITS = ["1234567890", "-/.,:&'\"!", "()?+#*%"];
/** What a long press offers. */
const MORE = { a: "äàáâåæ", c: "çć", e: "éèêë", i: "íîï", l: "ł", n: "ñń", o: "öøóôœ", s: "ßš", u: "üúûů", y: "ýÿ", z: "žź" };
const LONG_MS = 480;
const SEEN = "has-keys"; // in localStorage, once a key was pressed

const isOffered = matchMedia("(pointer: coarse)").matches && !/Android|iPhone|iPad|Mobile/.test(navigator.userAgent);
const isLow = matchMedia("(max-height: 512px)");
/** @type {HTMLElement | null} */
let board = null;
let isDigits = false;
let held = 0;

const field = () => document.querySelector(".find.wide input");

if (isOffered) {
  addEventListener("keydown", (event) => {
    if (!event.isTrusted) return;
    if (event.key === "Escape" && board) close();
    else if (event.key.length === 1) localStorage.setItem(SEEN, "1");
  });
  document.addEventListener("focusin", (event) => event.target === field() && !board && opensItself() && open());
}

/** Put the button beside the field of this page; once more after the contents of `main` were replaced. */
export function offerKeys() {
  if (!isOffered || !field()) return;
  if (!field().form.querySelector(".keys-open")) {
    const opener = button("Keyboard", "Show the keyboard", () => (board ? close() : open()));
    opener.className = "button keys-open";
    field().form.append(opener);
  }
  if (board) show();
  else if (opensItself()) open();
}

function opensItself() {
  return isLow.matches && !localStorage.getItem(SEEN);
}

async function open() {
  board = Object.assign(document.createElement("div"), { className: "keys-board", role: "region", ariaLabel: "Keyboard" });
  board.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
  await loadSheet();
  if (!board) return;
  draw();
  document.body.append(board);
  show();
  field()?.focus({ preventScroll: true });
}

/** Make room for the keys; the keyboard of the system stays away from the field as long as they are there. */
function show() {
  document.body.classList.add("has-keys");
  const input = field();
  if (input) input.inputMode = "none";
}

function close() {
  board?.remove();
  board = null;
  document.body.classList.remove("has-keys");
  field()?.removeAttribute("inputmode");
}

/** @returns {Promise<void>} when its sheet is there, or cannot be loaded */
function loadSheet() {
  const href = new URL("../../css/components/keyboard.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
  });
}

function draw() {
  const rows = (isDigits ? DIGITS : LETTERS).map((letters) => [...letters].map(key));
  rows[1].push(button("⌫", "Delete", () => type("")));
  rows[2].unshift(button(isDigits ? "abc" : "123", isDigits ? "Letters" : "Digits", () => draw((isDigits = !isDigits))));
  rows[2].push(space(), button("Esc", "Close the keyboard", close));
  board.replaceChildren(...rows.map(row));
}

/** @param {HTMLElement[]} keys */
function row(keys) {
  const line = Object.assign(document.createElement("div"), { className: "keys-row" });
  line.append(...keys);
  return line;
}

function space() {
  return Object.assign(button("Space", "Space", () => type(" ")), { className: "keys-space" });
}

/** @param {string} letter */
function key(letter) {
  const found = button(letter, letter, () => type(letter));
  if (!MORE[letter]) return found;
  found.classList.add("has-more");
  found.addEventListener("pointerdown", () => (held = setTimeout(() => offer(letter), LONG_MS)));
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) found.addEventListener(name, () => clearTimeout(held));
  found.addEventListener("contextmenu", (event) => event.preventDefault());
  return found;
}

/** Put the letters of a long press in place of the first row. @param {string} letter */
function offer(letter) {
  const keys = [letter, ...MORE[letter]].map((one) => button(one, one, () => (type(one), draw())));
  board.firstElementChild.replaceWith(row([...keys, button("Esc", "Back to the letters", () => draw())]));
}

/** Type into the field, "" deletes; the search notices it as it notices a key. @param {string} text */
function type(text) {
  const input = field();
  if (!input) return;
  const [start, end] = [input.selectionStart ?? input.value.length, input.selectionEnd ?? input.value.length];
  input.setRangeText(text, text || start !== end ? start : Math.max(0, start - 1), end, "end");
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

/** @param {string} text @param {string} name @param {() => void} press */
function button(text, name, press) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: text, ariaLabel: name });
  made.addEventListener("click", press);
  return made;
}
