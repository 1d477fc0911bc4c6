/** @file Titles in place: a click on a title, or F2 on an image. Enter saves, Tab goes to the next one, Escape restores. */
import { patchJson } from "../shared/api.js";
import { at } from "../shared/prefix.js";

document.addEventListener("click", (event) => edit(event.target.closest?.(".caption:not(.is-edited, .always)")?.closest("[data-bytes]")));
document.addEventListener("keydown", (event) => {
  if (event.key === "F2") edit(event.target.closest?.(".shot[data-bytes]"));
});

/** @param {HTMLElement | null} [tile] of an image that this viewer edits */
function edit(tile) {
  const caption = tile?.querySelector(".caption");
  if (!caption || caption.querySelector("input") || tile.querySelector(".mark-it")) return;
  const before = [...caption.childNodes];
  const title = caption.querySelector("b")?.textContent ?? "";
  const field = Object.assign(document.createElement("input"), { value: title, maxLength: 200, autocomplete: "off" });
  field.setAttribute("aria-label", "Title");
  caption.classList.add("is-edited");
  caption.replaceChildren(field);
  field.focus();
  field.select();
  const close = (nodes) => {
    caption.classList.remove("is-edited");
    caption.replaceChildren(...nodes);
  };
  let isDone = false;
  const save = async () => {
    if (isDone) return;
    isDone = true;
    if (field.value.trim() === title) return close(before);
    try {
      const image = await patchJson(at(`/api/images/${tile.dataset.id}`), { title: field.value });
      const word = Object.assign(document.createElement(image.title ? "b" : "span"), { textContent: image.title || image.filename });
      if (!image.title) word.className = "file";
      tile.querySelector(".frame").dataset.title = image.title;
      close([word]);
    } catch (error) {
      isDone = false;
      field.setCustomValidity(error.status === 400 ? "A title is plain text without HTML." : "Not saved. Could not reach VinylVault.");
      field.reportValidity();
    }
    return undefined;
  };
  field.addEventListener("input", () => field.setCustomValidity(""));
  field.addEventListener("blur", save);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      isDone = true;
      close(before);
      tile.querySelector(".frame").focus();
    } else if (event.key === "Enter") save();
    else if (event.key === "Tab") {
      const next = event.shiftKey ? tile.previousElementSibling : tile.nextElementSibling;
      if (!next) return;
      event.preventDefault();
      save();
      edit(next);
    }
  });
}
