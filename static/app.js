/**
 * @file Entry module of every page: single keys, covers that are still to be fetched, and the documented `window.VinylVault`.
 * Pages are complete without scripts. What only some pages need is loaded by their own entry module.
 */
import { initKeys } from "./js/shared/keys.js";
import { at } from "./js/shared/prefix.js";

initKeys();
if (document.querySelector("img.lazy-load, img.placeholder, .sleeve img")) {
  import("./js/shared/cover_loader.js").then(({ initCovers }) => initCovers());
}

/** Calls for other templates and for the console. */
window.VinylVault = Object.freeze({
  /** Queue every cover of this page that is not in the cache. @returns {Promise<object>} the response of the server */
  preloadCurrentPageImages: async () => (await import("./js/shared/cover_loader.js")).preloadAll(),
  /** @returns {Promise<object>} statistics of the cache */
  getCacheStats: async () => (await import("./js/shared/api.js")).getJson("/api/cache/stats"),
  /** Delete every cached cover. Only for operators. @returns {Promise<boolean>} true if it was done */
  clearImageCache: async () => {
    const { postJson } = await import("./js/shared/api.js");
    try {
      return (await postJson(at("/api/cache/clear"), {})).success === true;
    } catch {
      return false;
    }
  },
});
