/** @file Entry module of streams and of their images: images open in the lightbox. */
import { onSwipe } from "../shared/swipe.js";
import { initLightbox } from "../shared/lightbox.js";
import { initPending } from "./pending.js";

document.addEventListener("change", showVisibility);
document.addEventListener("focusin", (event) => event.target.matches?.("[data-copy]") && event.target.select());
onSwipe(document.querySelector("[data-swipe]"));
initLightbox();
initPending();

/** A visibility is shown by its ring as soon as it is chosen. @param {Event} event */
function showVisibility(event) {
  const choice = event.target.closest?.("[data-choice]");
  if (choice) choice.dataset.visibility = event.target.value;
}
