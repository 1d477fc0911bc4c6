/** @file The tracks of a record that was opened for the first time: they come from elsewhere, and appear when they are here. */
import { getPage } from "./api.js";

const FIRST_MS = 1000;
const LAST_MS = 16_000;

const place = document.querySelector('[data-details="coming"]');
if (place) watch();

async function watch() {
  for (let wait = FIRST_MS; wait <= LAST_MS; wait *= 2) {
    await new Promise((done) => setTimeout(done, wait));
    if (!place.isConnected) return;
    const page = await getPage(location.href).catch(() => null);
    const drawn = page?.querySelector("[data-details]");
    if (!drawn || (drawn.dataset.details === "coming" && !drawn.querySelector(".sides"))) continue;
    place.replaceChildren(...document.adoptNode(drawn).childNodes);
    place.dataset.details = "";
    return;
  }
}
