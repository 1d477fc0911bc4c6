/**
 * @file Images of a gallery, or of a record, one at a time, with zoom by fingers, wheel and keys. PhotoSwipe is loaded with the first image that is
 * opened. A link that is opened in a new window, or while PhotoSwipe cannot be loaded, leads to the page of the image.
 */
const PHOTOSWIPE = "../../vendor/photoswipe-5.4.4/";
const COVER_PX = 1200; // the longest side of the largest rendering of a cover
const RENDER_TRIES = 60;
const RENDER_MS = 1000; // between two looks whether it was rendered

/** @typedef {HTMLAnchorElement} Frame a link around an image; its data attributes say what the lightbox shows */

export function initLightbox() {
  document.addEventListener("click", handleClick);
  // A finger on an image: its click is some 100 ms away.
  addEventListener("pointerdown", (event) => event.target.closest?.("[data-shot]") && loadPhotoSwipe().catch(() => {}));
}

/** @param {MouseEvent} event */
async function handleClick(event) {
  const frame = event.target.closest?.("[data-shot]");
  if (!frame || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (isBlurred(frame)) return showSharp(frame);
  const frames = [...frame.closest("[data-gallery]").querySelectorAll("[data-shot]")];
  try {
    await open(frames.length ? frames : [frame], frame);
  } catch {
    location.assign(frame.href);
  }
}

/** @param {Frame} frame @returns {boolean} true if only the blurred image is shown */
function isBlurred(frame) {
  return frame.dataset.blurred !== undefined && frame.dataset.shown === undefined;
}

/** Request the image that is not blurred. @param {Frame} frame */
function showSharp(frame) {
  const image = frame.querySelector("img");
  frame.dataset.shown = "";
  frame.querySelector(".plate")?.remove();
  if (!image) return;
  image.removeAttribute("srcset");
  image.src = frame.dataset.sharp;
  image.alt = frame.dataset.alt;
}

/** @returns {Promise<{default: any}>} */
function loadPhotoSwipe() {
  return import(PHOTOSWIPE + "photoswipe.esm.min.js");
}

/** @param {Frame[]} frames @param {Frame} first */
async function open(frames, first) {
  const [{ default: PhotoSwipe }] = await Promise.all([loadPhotoSwipe(), loadSheets()]);
  const lightbox = new PhotoSwipe({
    dataSource: frames.map(slideOf),
    index: Math.max(0, frames.indexOf(first)),
    bgOpacity: 1,
    loop: false,
    padding: { top: 60, bottom: 64, left: 0, right: 0 },
    mainClass: "over-all",
    trapFocus: true,
    returnFocus: true,
    errorMsg: "This image is unavailable right now.",
    closeTitle: "Close",
    zoomTitle: "Zoom",
    arrowPrevTitle: "Previous",
    arrowNextTitle: "Next",
  });
  const closeOnBack = () => lightbox.close();
  lightbox.on("uiRegister", () => lightbox.ui.registerElement(captionOf(frames)));
  lightbox.on("destroy", () => removeEventListener("popstate", closeOnBack));
  history.pushState({ isLightbox: true }, ""); // Back closes the lightbox
  addEventListener("popstate", closeOnBack);
  lightbox.on("close", () => history.state?.isLightbox && history.back());
  lightbox.addFilter("placeholderSrc", (src, content) => content.data.msrc ?? src);
  lightbox.on("change", () => frames[lightbox.currIndex].scrollIntoView({ block: "nearest" })); // where closing leads to
  const loadCurrent = () => loadLarge(lightbox.currSlide?.content.element, frames[lightbox.currIndex]);
  for (const name of ["change", "afterInit", "contentAppend"]) lightbox.on(name, loadCurrent);
  lightbox.init();
  lightbox.element.setAttribute("aria-label", "Images");
}

/** Return the slide of a frame. It starts with the image that the page shows already. @param {Frame} frame */
function slideOf(frame) {
  const { blurred } = frame.dataset;
  const image = imageOf(frame);
  const { width, height } = frame.dataset.width ? frame.dataset : enlarged(image);
  const src = isBlurred(frame) ? blurred : image?.src;
  return { src, width: Number(width), height: Number(height), alt: image?.alt ?? "", msrc: image?.currentSrc, element: frame.contains(image) ? frame : image, thumbCropped: frame.matches(".frame") };
}

/** Return the image of a frame, which covers it where the frame lies over it. @param {Frame} frame */
function imageOf(frame) {
  return frame.querySelector("img") ?? frame.parentElement.querySelector("img.detail");
}

/** Return the size of the largest rendering of a cover, from the shape of the one that is shown. @param {HTMLImageElement | null} image */
function enlarged(image) {
  const { naturalWidth: width = 1, naturalHeight: height = 1 } = image?.naturalWidth ? image : {};
  const scale = COVER_PX / Math.max(width, height);
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/**
 * Request the large image of the slide that is shown, not of its neighbours: a request counts as a view.
 * @param {HTMLElement | undefined} element @param {Frame} frame
 */
function loadLarge(element, frame) {
  const { large, file } = frame.dataset;
  if (!(element instanceof HTMLImageElement) || isBlurred(frame) || element.getAttribute("src") === large) return;
  if (file === undefined) element.src = large;
  else loadRendered(element, large);
}

/** Show the largest rendering of a cover. It may have to be made first: until then its address has an empty image. */
async function loadRendered(element, address) {
  for (let tries = 0; tries < RENDER_TRIES && (!tries || element.isConnected); tries += 1) {
    const answer = await fetch(address, { credentials: "same-origin" }).catch(() => null);
    if (answer?.status === 200) return (element.src = address);
    await new Promise((resolve) => setTimeout(resolve, RENDER_MS));
  }
}

/** Return the line below the image: title, description, a link to its page; for a blurred image the button that shows it. @param {Frame[]} frames */
function captionOf(frames) {
  return {
    name: "caption",
    className: "lightbox-caption",
    appendTo: "root",
    order: 9,
    onInit(element, lightbox) {
      const update = () => {
        const frame = frames[lightbox.currIndex];
        const title = frame.dataset.title ? [create("b", frame.dataset.title)] : [];
        const text = frame.dataset.text ? [create("span", frame.dataset.text)] : [];
        const page = Object.assign(create("a", "Open image page"), { href: frame.href });
        const show = Object.assign(create("button", "Sensitive. Show image"), { type: "button" });
        show.addEventListener("click", () => {
          showSharp(frame);
          lightbox.options.dataSource[lightbox.currIndex] = slideOf(frame);
          lightbox.refreshSlideContent(lightbox.currIndex);
          update();
        });
        element.replaceChildren(...title, ...text, ...(isBlurred(frame) ? [show] : []), page);
        if (page.pathname === location.pathname || frame.matches(".viewed *, [data-file]")) page.remove();
      };
      lightbox.on("change", update);
      update();
    },
  };
}

/** @param {string} name @param {string} text */
function create(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

/** @returns {Promise<unknown>} when both style sheets are loaded; ours comes last, so its rules win */
function loadSheets() {
  return Promise.all([loadSheet(PHOTOSWIPE + "photoswipe.css", "prepend"), loadSheet("../../css/components/lightbox.css", "append")]);
}

/** @param {string} name @param {"prepend" | "append"} place in the head @returns {Promise<void>} */
function loadSheet(name, place) {
  const href = new URL(name, import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href, onload: () => resolve(), onerror: reject });
    document.head[place](link);
  });
}
