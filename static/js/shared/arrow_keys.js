/** @file Arrow keys: from sleeve to sleeve by what stands where, or from record to record on an album page, from picture to picture in a stream. */

/** @param {string} key @returns {boolean} whether the key meant something here; if not, the page scrolls as ever */
export function move(key) {
  if (document.body.matches(".album, .picture")) return turn(key);
  const tiles = [...document.querySelectorAll("main .tile, main .row, main .frame")];
  const now = tiles.indexOf(document.activeElement?.closest(".tile, .row, .frame"));
  if (now < 0) return key === "ArrowRight" && enter(tiles);
  const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: tiles.length - 1 }[key] ?? nextRow(tiles, now, key === "ArrowUp" ? -1 : 1);
  tiles[next]?.focus();
  tiles[next]?.scrollIntoView({ block: "nearest" });
  return true;
}

/** Start with the first sleeve that can be seen whole. @param {Element[]} tiles */
function enter(tiles) {
  const first = tiles.find((tile) => tile.getBoundingClientRect().top >= 0);
  first?.focus();
  return Boolean(first);
}

/**
 * The tile of the next row that stands under the middle of this one: rows are what the eye sees, not a count.
 * @param {Element[]} tiles @param {number} now @param {1 | -1} step @returns {number}
 */
function nextRow(tiles, now, step) {
  const from = tiles[now].getBoundingClientRect();
  const middle = from.left + from.width / 2;
  let row = null;
  let best = -1;
  let distance = Infinity;
  for (let at = now + step; at >= 0 && at < tiles.length; at += step) {
    const box = tiles[at].getBoundingClientRect();
    if (Math.abs(box.top - from.top) < 4) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) > 4) break;
    const away = Math.abs(box.left + box.width / 2 - middle);
    if (away < distance) [best, distance] = [at, away];
  }
  return best;
}

/** @param {string} key */
function turn(key) {
  if (document.activeElement?.closest("[data-board]")) return false; // there the arrows scroll the shelf
  const link = document.querySelector({ ArrowLeft: 'a[rel="prev"]', ArrowRight: 'a[rel="next"]' }[key] ?? ":not(*)");
  link?.click();
  return Boolean(link);
}
