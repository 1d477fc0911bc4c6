/** @file The tracks of a record that was opened for the first time: they come from elsewhere, and appear when they are here. */
import { getPage } from "../shared/api.js";

const FIRST_MS = 1000;
const LAST_MS = 16_000;

const place = document.querySelector('[data-details="coming"]');
if (place) watch();

/** Look again with growing pauses. What comes late, because the first try failed, is shown too; in the end the page says what it would. */
async function watch() {
  for (let wait = FIRST_MS; wait <= LAST_MS; wait *= 2) {
    await new Promise((done) => setTimeout(done, wait));
    const page = place.isConnected ? await getPage(location.href).catch(() => null) : null;
    const drawn = page?.querySelector("[data-details]");
    if (!drawn || (!drawn.querySelector(".sides") && wait < LAST_MS)) continue;
    place.replaceChildren(...document.adoptNode(drawn).childNodes);
    return;
  }
}
