/** @file Entry module of the page of a record: its place on the shelf, a swipe to its neighbours, plays counted without a reload. */
import { getPage, postForm } from "../shared/api.js";
import { initLightbox } from "../shared/lightbox.js";
import { onSwipe } from "../shared/swipe.js";
import { at } from "../shared/prefix.js";

centreSpine();
onSwipe(document.querySelector(".stage"));
initLightbox();
document.addEventListener("submit", countPlay);
document.addEventListener("cover-ready", addTint);

function centreSpine() {
  const board = document.querySelector("[data-board]");
  const spine = board?.querySelector(".own");
  if (spine) board.scrollLeft = spine.offsetLeft - board.offsetLeft - board.clientWidth / 2 + 23;
}

/** @param {SubmitEvent} event */
async function countPlay(event) {
  const form = event.target;
  if (!form.matches("[data-played]")) return;
  event.preventDefault();
  const hadFocus = form.contains(document.activeElement) && form.closest("[data-part]");
  try {
    const page = await postForm(form);
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
      if (fresh) part.replaceChildren(...document.adoptNode(fresh).childNodes);
    }
    if (hadFocus) document.querySelector("[data-played] .primary")?.focus();
  } catch {
    form.submit(); // without scripts the server says what is wrong
  }
}

/** Add the tint of the page when the first image of the cover has been rendered, because its colour is known now. */
async function addTint() {
  if (document.body.matches(".tinted")) return;
  const page = await getPage(location.href).catch(() => null);
  const href = page?.querySelector(`link[href^="${at("/tint/")}"]`)?.getAttribute("href");
  if (!href) return;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  link.addEventListener("load", () => document.body.classList.add("tinted"));
  document.head.append(link);
}
