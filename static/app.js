/**
 * @file Wakes a page. Every page is complete without this; here come arriving covers, more sleeves while scrolling,
 * search while typing, and keys.
 */
import { getJson, postJson } from "./js/shared/api.js";
import { wakeAlbum } from "./js/records/album.js";
import { wakeAppend } from "./js/records/append.js";
import { rememberSleeve, returnToSleeve } from "./js/records/back.js";
import { catchBrokenPictures } from "./js/covers/images.js";
import { listenForKeys } from "./js/shared/keys.js";
import { wakeLightbox } from "./js/streams/lightbox.js";
import { wakeRuler } from "./js/records/ruler.js";
import { listenForSearch } from "./js/records/search.js";
import { listenForSheets } from "./js/shared/sheet.js";
import { wakeStream } from "./js/streams/stream.js";
import { listenForTools } from "./js/records/filters.js";
import { wakeUploader } from "./js/streams/uploader.js";
import { preloadAll, wakeWatch } from "./js/covers/watch.js";

/** Ends what belongs to the contents of `main` when those are replaced. */
let contents = new AbortController();

/** Start everything that belongs to the present contents of `main`. */
function wake() {
  contents.abort();
  contents = new AbortController();
  const { signal } = contents;
  wakeWatch(signal);
  wakeAppend(signal);
  wakeRuler(signal);
  wakeAlbum(signal);
  wakeStream(signal);
  wakeUploader(signal);
  wakeLightbox(signal);
}

catchBrokenPictures();
listenForTools();
listenForSheets();
listenForKeys();
listenForSearch(wake);
rememberSleeve();
wake();
returnToSleeve();

/** The documented calls for other templates and for the console. */
window.VinylVault = Object.freeze({
  /** Queue every cover of this page that is not here yet. @returns {Promise<object>} the answer of the server */
  preloadCurrentPageImages: () => preloadAll(),
  /** @returns {Promise<object>} figures of the cache */
  getCacheStats: () => getJson("/api/cache/stats"),
  /** Delete every cached picture. Needs an operator. @returns {Promise<boolean>} whether it was done */
  clearImageCache: async () => {
    try {
      return (await postJson("/api/cache/clear", {})).success === true;
    } catch {
      return false;
    }
  },
});
