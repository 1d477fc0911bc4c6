/** @file Arrow keys: on a wall or gallery from tile to tile, on the page of a record or an image to the previous and next one. */

/** @param {string} key @returns {boolean} false if the key does nothing here, so that the page scrolls */
export function moveFocus(key) {
  if (document.body.matches(".album, .picture")) return openNeighbour(key);
  const tiles = [...document.querySelectorAll("main .tile, main .row, main .frame")];
  const current = tiles.indexOf(document.activeElement?.closest(".tile, .row, .frame"));
  if (current < 0) return key === "ArrowRight" && focusFirst(tiles);
  const next = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: tiles.length - 1 }[key] ?? inNextRow(tiles, current, key === "ArrowUp" ? -1 : 1);
  tiles[next]?.focus();
  tiles[next]?.scrollIntoView({ block: "nearest" });
  return true;
}

/** Focus the first tile that is not above the visible part of the page. @param {Element[]} tiles */
function focusFirst(tiles) {
  const first = tiles.find((tile) => tile.getBoundingClientRect().top >= 0);
  first?.focus();
  return Boolean(first);
}

/**
 * Return the index of the tile in the next row that is closest below (or above) this one, -1 if there is none. Rows are read from the
 * layout, because the number of columns changes with the window.
 * @param {Element[]} tiles @param {number} current @param {1 | -1} step @returns {number}
 */
function inNextRow(tiles, current, step) {
  const from = tiles[current].getBoundingClientRect();
  const middle = from.left + from.width / 2;
  let rowTop = null;
  let closest = -1;
  let distance = Infinity;
  for (let index = current + step; index >= 0 && index < tiles.length; index += step) {
    const box = tiles[index].getBoundingClientRect();
    if (Math.abs(box.top - from.top) < 4) continue;
    rowTop ??= box.top;
    if (Math.abs(box.top - rowTop) > 4) break;
    const offset = Math.abs(box.left + box.width / 2 - middle);
    if (offset < distance) [closest, distance] = [index, offset];
  }
  return closest;
}

/** @param {string} key */
function openNeighbour(key) {
  if (document.activeElement?.closest("[data-board]")) return false; // on the shelf, arrow keys scroll it
  const link = document.querySelector({ ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]' }[key] ?? ":not(*)");
  link?.click();
  return Boolean(link);
}
