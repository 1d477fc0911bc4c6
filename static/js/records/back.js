/** @file Back from an album to the same sleeve, and the sleeve that travels between the two pages. */

const ALBUM = /\/album\/(\d+)(?:$|[?#/])/;

/** Note in the history which sleeve was opened, and let it travel. */
export function rememberSleeve() {
  document.addEventListener("click", (event) => {
    const album = ALBUM.exec(event.target.closest?.(".tile, .row")?.href ?? "")?.[1];
    if (album) history.replaceState({ ...history.state, album }, "");
  });
  addEventListener("pageswap", (event) => travel(event.viewTransition, event.activation?.entry?.url));
  addEventListener("pagereveal", (event) => travel(event.viewTransition, window.navigation?.activation?.from?.url));
}

/** After a fresh load (not out of the back-forward cache) bring the noted sleeve back to the middle of the screen. */
export function returnToSleeve() {
  const album = history.state?.album;
  const kind = performance.getEntriesByType("navigation")[0]?.type;
  if (!album || kind !== "back_forward") return;
  const tile = sleeveOf(album)?.closest("a");
  if (!tile) return;
  history.scrollRestoration = "manual";
  tile.scrollIntoView({ block: "center", behavior: "instant" });
  tile.focus({ preventScroll: true });
}

/** @param {ViewTransition | null} transition @param {string | null | undefined} address where to, or where from */
function travel(transition, address) {
  for (const end of [transition?.ready, transition?.finished]) end?.catch(() => {}); // a page that comes late is shown without it
  const album = ALBUM.exec(address ?? "")?.[1];
  const sleeve = album && transition ? sleeveOf(album) : null;
  if (!sleeve || !isOnScreen(sleeve)) return;
  document.querySelector(".travels")?.classList.remove("travels");
  sleeve.classList.add("travels");
  transition.finished.catch(() => {}).finally(() => sleeve.classList.remove("travels"));
}

/** @param {string} album @returns {Element | null | undefined} */
function sleeveOf(album) {
  return document.querySelector(`.wall a[href="/album/${album}"] .sleeve, .rows a[href="/album/${album}"] .sleeve`);
}

/** @param {Element} element */
function isOnScreen(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}
