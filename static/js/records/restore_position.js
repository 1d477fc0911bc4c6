/** @file Back from a record to its sleeve on the wall: the scroll position, and the transition of the sleeve between the two pages. */

import { at } from "../shared/prefix.js";

const ALBUM = /\/album\/(\d+)(?:$|[?#/])/;

/** Remember in the history which sleeve was opened, and move it from page to page. */
export function initTravellingSleeve() {
  document.addEventListener("click", (event) => {
    const album = ALBUM.exec(event.target.closest?.(".tile, .row")?.href ?? "")?.[1];
    if (album) history.replaceState({ ...history.state, album }, "");
  });
  addEventListener("pageswap", (event) => nameSleeve(event.viewTransition, event.activation?.entry?.url));
  addEventListener("pagereveal", (event) => nameSleeve(event.viewTransition, window.navigation?.activation?.from?.url));
}

/** After Back or a reload, when the browser had to load the page again, put the remembered sleeve where it was on the screen. */
export function restorePosition() {
  const { album, place } = history.state ?? {};
  const type = performance.getEntriesByType("navigation")[0]?.type;
  if (type !== "back_forward" && type !== "reload") return;
  const opened = type === "back_forward" && album ? sleeveOf(album)?.closest("a") : null;
  const placed = place && document.querySelector(`.wall a[href="${CSS.escape(place.href)}"]`);
  if (!opened && !placed) return;
  history.scrollRestoration = "manual";
  if (placed) scrollBy({ top: placed.closest("li").getBoundingClientRect().top - place.top, behavior: "instant" });
  else opened.scrollIntoView({ block: "center", behavior: "instant" });
  opened?.focus({ preventScroll: true });
}

/** @param {ViewTransition | null} transition @param {string | null | undefined} address of the other page */
function nameSleeve(transition, address) {
  for (const step of [transition?.ready, transition?.finished]) step?.catch(() => {}); // a slow page is shown without a transition
  const album = ALBUM.exec(address ?? "")?.[1];
  const sleeve = album && transition ? sleeveOf(album) : null;
  if (!sleeve || !isOnScreen(sleeve)) return;
  document.querySelector(".travels")?.classList.remove("travels");
  sleeve.classList.add("travels");
  transition.finished.catch(() => {}).finally(() => sleeve.classList.remove("travels"));
}

/** @param {string} album @returns {Element | null} */
function sleeveOf(album) {
  return document.querySelector(`.wall a[href="${at(`/album/${album}`)}"] .sleeve, .rows a[href="${at(`/album/${album}`)}"] .sleeve`);
}

/** @param {Element} element */
function isOnScreen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}
