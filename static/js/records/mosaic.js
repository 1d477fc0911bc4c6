/** @file The wall while nothing plays: one cover changes now and then, the clock moves, and the first touch only wakes the screen. */

const STEP_MS = 21600; // twelve turns
const MOVE_MS = 600000; // all move by one cell
const SLEEP_MS = 60000;
const FADE_MS = 360;

/** Start the mosaic; returns what stops it. @param {HTMLElement} list */
export function initMosaic(list) {
  let sleep = 0;
  const doze = () => (sleep = setTimeout(() => document.body.classList.add("asleep"), SLEEP_MS));
  const wake = (event) => {
    clearTimeout(sleep);
    if (document.body.classList.contains("asleep") && event.type === "click") {
      event.preventDefault();
      event.stopPropagation();
      document.body.classList.remove("asleep");
    }
    doze();
  };
  document.addEventListener("click", wake, true);
  document.addEventListener("keydown", wake, true);
  doze();
  const step = setInterval(() => change(list), STEP_MS);
  const move = setInterval(() => list.append(list.firstElementChild), MOVE_MS);
  return () => {
    clearInterval(step);
    clearInterval(move);
    clearTimeout(sleep);
    document.removeEventListener("click", wake, true);
    document.removeEventListener("keydown", wake, true);
    document.body.classList.remove("asleep");
  };
}

/** Replace one cover by one that is out of sight, and let the clock change places with a neighbour. @param {HTMLElement} list */
function change(list) {
  const cells = [...list.children];
  const seen = cells.filter((cell) => cell.getBoundingClientRect().top < innerHeight - 1);
  const away = cells.slice(seen.length);
  const clock = list.querySelector("[data-free]");
  const others = seen.filter((cell) => cell !== clock);
  if (!others.length) return;
  const leaving = others[Math.floor(Math.random() * others.length)];
  const coming = away[Math.floor(Math.random() * away.length)];
  leaving.classList.add("leaving");
  setTimeout(() => {
    if (coming) swap(leaving, coming);
    leaving.classList.remove("leaving");
    const at = seen.indexOf(clock);
    const next = seen[at + 1] ?? seen[at - 1];
    if (next && next !== leaving) swap(clock, next);
  }, FADE_MS);
}

/** @param {HTMLElement} one @param {HTMLElement} other */
function swap(one, other) {
  const mark = document.createComment("");
  one.replaceWith(mark);
  other.replaceWith(one);
  mark.replaceWith(other);
}
