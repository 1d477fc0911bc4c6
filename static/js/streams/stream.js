/** @file Entry module of streams and of their images: images open in the lightbox. */
import { onSwipe } from "../shared/swipe.js";
import { initLightbox } from "../shared/lightbox.js";
import { initPending } from "./pending.js";
import { showMore } from "./refresh.js";

document.addEventListener("change", showVisibility);
document.addEventListener("focusin", (event) => event.target.matches?.("[data-copy]") && event.target.select());
onSwipe(document.querySelector("[data-swipe]"));
initLightbox();
initPending();
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-more]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  link.setAttribute("aria-busy", "true");
  showMore(link).catch(() => location.assign(link.href));
});

/** A visibility is shown by its ring as soon as it is chosen. @param {Event} event */
function showVisibility(event) {
  const choice = event.target.closest?.("[data-choice]");
  if (choice) choice.dataset.visibility = event.target.value;
}
