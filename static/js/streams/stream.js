/** @file Entry module of streams and of their images: visibility is saved when it is chosen, images open in the lightbox. */
import { patchJson } from "../shared/api.js";
import { onSwipe } from "../shared/swipe.js";
import { initLightbox } from "../shared/lightbox.js";
import { initPending } from "./pending.js";
import { refresh } from "./refresh.js";
import { at } from "../shared/prefix.js";

const SAVED = { public: "Visible to everyone", private: "Private", subscribers: "Visible to subscribers" };

document.addEventListener("change", saveVisibility);
document.addEventListener("focusin", (event) => event.target.matches?.("[data-copy]") && event.target.select());
onSwipe(document.querySelector("[data-swipe]"));
initLightbox();
initPending();

/** @param {Event} event */
async function saveVisibility(event) {
  const choice = event.target.closest?.("[data-choice]");
  if (!choice) return;
  const before = choice.dataset.visibility;
  choice.dataset.visibility = event.target.value;
  const form = choice.closest("[data-visibility-of]");
  if (!form) return; // a field of a form with a button
  const message = form.querySelector(".said");
  try {
    const image = await patchJson(at(`/api/images/${form.dataset.visibilityOf}`), { visibility: event.target.value });
    message.className = "said";
    message.textContent = SAVED[image.visibility];
    refresh(["numbers"]);
  } catch (error) {
    choice.dataset.visibility = event.target.value = before;
    message.className = "said is-wrong";
    message.textContent = error.status ? "Not saved" : "Not saved. Could not reach VinylVault";
  }
}
