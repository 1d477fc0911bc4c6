/** @file Entry module of the wall and the search, which replace each other while the viewer types. */
import { initCovers } from "../shared/cover_loader.js";
import { initDialogs } from "../shared/dialog.js";
import { initAppend } from "./append.js";
import { initFilters } from "./filters.js";
import { initTravellingSleeve, restorePosition } from "./restore_position.js";
import { initRuler } from "./ruler.js";
import { initSearch } from "./search.js";
import { initSelecting } from "./select_gestures.js";
import { initWall } from "./wall_window.js";

/** Ends what belongs to the contents of `main` when they are replaced. */
let contents = new AbortController();

/** Start what depends on the present contents of `main`. */
function initContents() {
  contents.abort();
  contents = new AbortController();
  initAppend(contents.signal);
  initWall(contents.signal);
  initRuler(contents.signal);
  if (document.querySelector(".find.wide")) import("./keyboard.js").then(({ offerKeys }) => offerKeys());
}

/** Start what depends on new contents, and what the first contents of this document did not need. */
function replaceContents() {
  initContents();
  initCovers();
  if (document.querySelector("[data-task]")) import("../shared/tasks.js").then(() => dispatchEvent(new Event("tasks-replaced")));
}

initFilters();
initDialogs();
initSearch(replaceContents);
initTravellingSleeve();
initContents();
initSelecting();
restorePosition();
