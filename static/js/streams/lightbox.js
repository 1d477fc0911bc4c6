/**
 * @file Pictures of a gallery, one at a time, with zoom by fingers, wheel and keys. What shows them is fetched with the first
 * one that is opened. A link that is opened in a new window, or while it cannot be fetched, leads to the picture's own page.
 */
const PHOTOSWIPE = "../vendor/photoswipe-5.4.4/";

/** @typedef {HTMLAnchorElement} Frame a link around a picture; what is shown large stands in its data */

/** @param {AbortSignal} signal */
export function wakeLightbox(signal) {
  document.addEventListener("click", opened, { signal });
  const frames = document.querySelector("[data-shot]");
  const soon = () => import(PHOTOSWIPE + "photoswipe.esm.min.js").catch(() => undefined);
  if (frames) addEventListener("pointerdown", (event) => event.target.closest?.("[data-shot]") && soon(), { signal });
}

/** @param {MouseEvent} event */
async function opened(event) {
  const frame = event.target.closest?.("[data-shot]");
  if (!frame || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (isVeiled(frame)) return unveil(frame);
  const frames = [...frame.closest("[data-gallery]").querySelectorAll("[data-shot]")];
  try {
    await open(frames.length ? frames : [frame], frame);
  } catch {
    location.assign(frame.href);
  }
}

/** @param {Frame} frame @returns {boolean} whether only blurred bytes are shown */
function isVeiled(frame) {
  return frame.dataset.blurred !== undefined && frame.dataset.shown === undefined;
}

/** Ask for the bytes that are not blurred. @param {Frame} frame */
function unveil(frame) {
  const image = frame.querySelector("img");
  frame.dataset.shown = "";
  frame.querySelector(".plate")?.remove();
  if (!image) return;
  image.removeAttribute("srcset");
  image.src = frame.dataset.sharp;
  image.alt = frame.dataset.alt;
}

/** @param {Frame[]} frames @param {Frame} first */
async function open(frames, first) {
  const [{ default: PhotoSwipe }] = await Promise.all([import(PHOTOSWIPE + "photoswipe.esm.min.js"), sheets()]);
  const box = new PhotoSwipe({
    dataSource: frames.map(slide),
    index: Math.max(0, frames.indexOf(first)),
    bgOpacity: 1,
    loop: false,
    padding: { top: 60, bottom: 64, left: 0, right: 0 },
    mainClass: "over-all",
    trapFocus: true,
    returnFocus: true,
    errorMsg: "This picture is not here right now.",
    closeTitle: "Close",
    zoomTitle: "Zoom",
    arrowPrevTitle: "Previous",
    arrowNextTitle: "Next",
  });
  box.on("uiRegister", () => box.ui.registerElement(words(frames)));
  box.on("destroy", () => removeEventListener("popstate", back));
  const back = () => box.close();
  history.pushState({ isLightbox: true }, ""); // so that Back closes it, as a thumb expects
  addEventListener("popstate", back);
  box.on("close", () => history.state?.isLightbox && history.back());
  const look = () => sharpen(box.currSlide?.content.element, frames[box.currIndex]);
  box.addFilter("placeholderSrc", (src, content) => content.data.msrc ?? src);
  box.on("change", () => frames[box.currIndex].scrollIntoView({ block: "nearest" })); // closing leads back to it
  for (const moment of ["change", "afterInit", "contentAppend"]) box.on(moment, look);
  box.init();
  box.element.setAttribute("aria-label", "Pictures");
}

/**
 * A slide begins with the bytes that the page has already. @param {Frame} frame
 */
function slide(frame) {
  const { width, height, blurred } = frame.dataset;
  const image = frame.querySelector("img");
  const src = isVeiled(frame) ? blurred : image?.src;
  return { src, width: Number(width), height: Number(height), alt: image?.alt ?? "", msrc: image?.currentSrc, element: frame, thumbCropped: frame.matches(".frame") };
}

/**
 * Only the picture that is looked at is asked for in full: its neighbours wait beside it, and nobody has seen them yet.
 * @param {HTMLElement | undefined} element @param {Frame} frame
 */
function sharpen(element, frame) {
  if (element instanceof HTMLImageElement && !isVeiled(frame) && element.getAttribute("src") !== frame.dataset.large) element.src = frame.dataset.large;
}

/** The line below: title, description, the way to its page; for a blurred one the way to see it. @param {Frame[]} frames */
function words(frames) {
  return {
    name: "words",
    className: "says-it",
    appendTo: "root",
    order: 9,
    onInit(element, box) {
      const tell = () => {
        const frame = frames[box.currIndex];
        const title = frame.dataset.title ? [made("b", frame.dataset.title)] : [];
        const page = made("a", "Its page");
        page.href = frame.href;
        const show = made("button", "Blurred. Show it");
        show.type = "button";
        show.addEventListener("click", () => {
          unveil(frame);
          box.options.dataSource[box.currIndex] = slide(frame);
          box.refreshSlideContent(box.currIndex);
          tell();
        });
        element.replaceChildren(...title, ...(frame.dataset.text ? [made("span", frame.dataset.text)] : []), ...(isVeiled(frame) ? [show] : []), page);
        if (page.pathname === location.pathname || frame.matches(".viewed *")) page.remove();
      };
      box.on("change", tell);
      tell();
    },
  };
}

/** @param {string} name @param {string} text */
function made(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

/** @returns {Promise<unknown>} when both sheets are here; ours comes last and says the last word */
function sheets() {
  return Promise.all([sheet(PHOTOSWIPE + "photoswipe.css", "prepend"), sheet("../../css/streams/lightbox.css", "append")]);
}

/** @param {string} name @param {"prepend" | "append"} put @returns {Promise<void>} */
function sheet(name, put) {
  const href = new URL(name, import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: () => resolve(), onerror: reject });
    document.head[put](link);
  });
}
