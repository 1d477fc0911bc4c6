/** @file Updates the page of a stream with what has changed on the server: its numbers and new images. */
import { getPage } from "../shared/api.js";

/** The last update. Each waits for the one before it, so that old numbers never replace newer ones. */
let last = Promise.resolve();

/** @param {string[]} [parts] */
export function refresh(parts = ["numbers", "used", "trash", "gallery"]) {
  return (last = last.catch(() => {}).then(() => update(parts))); // a failure does not stop the next one
}

/** @param {string[]} parts */
async function update(parts) {
  const page = await getPage(location.href).catch(() => null);
  for (const name of parts) {
    const [old, fresh] = [document, page].map((root) => root?.querySelector(`[data-fresh="${name}"]`));
    if (!old || !fresh) continue;
    if (name === "gallery" && old.querySelector("[data-gallery]") && fresh.querySelector("[data-gallery]")) addImages(old, fresh);
    else old.replaceChildren(...document.adoptNode(fresh).childNodes);
  }
}

/** Add the further images of a long gallery that a link leads to. @param {HTMLAnchorElement} link */
export async function showMore(link) {
  const page = await getPage(link.href);
  const [old, fresh] = [document, page].map((root) => root.querySelector('[data-fresh="gallery"]'));
  const first = [...fresh.querySelectorAll(".shot")].find(({ id }) => !document.getElementById(id));
  const id = first?.id;
  if (old.querySelector(".day") || fresh.querySelector(".day")) old.replaceChildren(...document.adoptNode(fresh).childNodes);
  else {
    addImages(old, fresh);
    const more = fresh.querySelector("[data-more-images]");
    if (more) old.querySelector("[data-more-images]").replaceWith(document.adoptNode(more));
    else old.querySelector("[data-more-images]").remove();
  }
  history.replaceState(history.state, "", link.href); // a reload shows as many
  document.getElementById(id)?.querySelector("a").focus({ preventScroll: true });
}

/** Add new images in the order of the server. Those on the page stay, with the focus and whatever is open in them. */
function addImages(old, fresh) {
  const list = old.querySelector("[data-gallery]");
  let previous = null;
  for (const item of [...fresh.querySelector("[data-gallery]").children]) {
    const existing = document.getElementById(item.id);
    if (!existing) previous ? previous.after(document.adoptNode(item)) : list.prepend(document.adoptNode(item));
    previous = existing ?? document.getElementById(item.id);
  }
}
