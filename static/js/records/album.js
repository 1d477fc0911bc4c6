/** @file The page of a record: its place on the shelf, a swipe to the next one, and plays counted without leaving. */
import { getPage, postForm } from "../shared/api.js";

const SWIPE_PX = 48;

/** @param {AbortSignal} signal */
export function wakeAlbum(signal) {
  const record = document.querySelector("[data-album]");
  if (!record) return;
  centreOwnSpine();
  listenForSwipe(record.querySelector(".stage"), signal);
  document.addEventListener("submit", played, { signal });
  document.addEventListener("cover-ready", tint, { signal });
}

function centreOwnSpine() {
  const board = document.querySelector("[data-board]");
  const own = board?.querySelector(".own");
  if (own) board.scrollLeft = own.offsetLeft - board.offsetLeft - board.clientWidth / 2 + 23;
}

/** @param {HTMLElement} stage @param {AbortSignal} signal */
function listenForSwipe(stage, signal) {
  let start = null;
  stage.addEventListener("pointerdown", (event) => (start = event.pointerType === "mouse" ? null : event), { signal });
  stage.addEventListener("pointercancel", () => (start = null), { signal });
  stage.addEventListener(
    "pointerup",
    (event) => {
      const x = start ? event.clientX - start.clientX : 0;
      const y = start ? event.clientY - start.clientY : 0;
      start = null;
      if (Math.abs(x) < SWIPE_PX || Math.abs(x) < 1.5 * Math.abs(y)) return;
      document.querySelector(x < 0 ? 'a[rel="next"]' : 'a[rel="prev"]')?.click();
    },
    { signal },
  );
}

/** @param {SubmitEvent} event */
async function played(event) {
  const form = event.target;
  if (!form.matches("[data-played]")) return;
  event.preventDefault();
  const had = form.contains(document.activeElement) && form.closest("[data-part]");
  try {
    const page = await postForm(form);
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh) part.replaceChildren(...document.adoptNode(fresh).childNodes);
    }
    if (had) document.querySelector("[data-played] .primary")?.focus();
  } catch {
    form.submit(); // the plain way says what is wrong
  }
}

/** The first picture of a record has just been made: its colour is known now. */
async function tint() {
  if (document.body.matches(".tinted")) return;
  const page = await getPage(location.href).catch(() => null);
  const sheet = page?.querySelector('link[href^="/tint/"]');
  if (!sheet) return;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = sheet.getAttribute("href");
  link.addEventListener("load", () => document.body.classList.add("tinted"));
  document.head.append(link);
}
