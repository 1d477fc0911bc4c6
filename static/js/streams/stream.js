/** @file The page of a stream: who may see each picture is changed where it stands, and what others changed comes in. */
import { getPage, patchJson } from "../shared/api.js";

const SAVED = { public: "Saved as public", private: "Saved as private", subscribers: "Saved for subscribers" };

/** @param {AbortSignal} signal */
export function wakeStream(signal) {
  document.addEventListener("change", changed, { signal });
  document.addEventListener("focusin", (event) => event.target.matches?.("[data-copy]") && event.target.select(), { signal });
  listenForSwipe(document.querySelector("[data-swipe]"), signal);
}

/** @param {Event} event */
async function changed(event) {
  const choice = event.target.closest?.("[data-choice]");
  if (!choice) return;
  const before = choice.dataset.visibility;
  choice.dataset.visibility = event.target.value;
  const form = choice.closest("[data-visibility-of]");
  if (!form) return; // part of a form that has a button
  const said = form.querySelector(".said");
  try {
    const image = await patchJson(`/api/images/${form.dataset.visibilityOf}`, { visibility: event.target.value });
    said.className = "said";
    said.textContent = SAVED[image.visibility];
    refresh(["numbers"]);
  } catch (error) {
    choice.dataset.visibility = event.target.value = before;
    said.className = "said is-wrong";
    said.textContent = error.status ? "Not saved" : "Not saved: this machine cannot be reached";
  }
}

/** The last look at the server. Each waits for the one before it, so that older numbers never come after newer ones. */
let looking = Promise.resolve();

/** Take in what is new on this page: numbers, and pictures that have come. @param {string[]} [parts] */
export function refresh(parts = ["numbers", "used", "gallery"]) {
  return (looking = looking.catch(() => {}).then(() => take(parts))); // one that failed does not end them all
}

/** @param {string[]} parts */
async function take(parts) {
  const page = await getPage(location.href).catch(() => null);
  for (const name of parts) {
    const [here, fresh] = [document, page].map((root) => root?.querySelector(`[data-fresh="${name}"]`));
    if (!here || !fresh) continue;
    if (name === "gallery" && here.querySelector("[data-gallery]") && fresh.querySelector("[data-gallery]")) join(here, fresh);
    else here.replaceChildren(...document.adoptNode(fresh).childNodes);
  }
}

/** New pictures stand where the server puts them; those that are here stay, with the focus and whatever is open in them. */
function join(here, fresh) {
  const list = here.querySelector("[data-gallery]");
  let last = null;
  for (const item of [...fresh.querySelector("[data-gallery]").children]) {
    const known = document.getElementById(item.id);
    if (!known) last ? last.after(document.adoptNode(item)) : list.prepend(document.adoptNode(item));
    last = known ?? document.getElementById(item.id);
  }
}

/** @param {HTMLElement | null} stage @param {AbortSignal} signal */
function listenForSwipe(stage, signal) {
  let start = null;
  stage?.addEventListener("touchstart", (event) => (start = event.touches.length === 1 ? event.touches[0] : null), { signal, passive: true });
  stage?.addEventListener("touchend", (event) => {
    if (!start || visualViewport?.scale > 1.05) return; // a finger that moves an enlarged page
    const [x, y] = [event.changedTouches[0].clientX - start.clientX, event.changedTouches[0].clientY - start.clientY];
    if (Math.abs(x) > 48 && Math.abs(x) > 1.5 * Math.abs(y)) document.querySelector(x < 0 ? 'a[rel="next"]' : 'a[rel="prev"]')?.click();
  }, { signal });
}
