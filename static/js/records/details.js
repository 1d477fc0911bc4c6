/** @file The tracks of a record that is shown for the first time. They come from another server; the page adds them when they are here. */
import { getPage } from "../shared/api.js";
import { pause } from "../shared/time.js";

const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 16_000;

const place = document.querySelector('[data-details="coming"]');
if (place) poll();

/** Poll with growing pauses. The last time, show what the page says even if there are no tracks. */
async function poll() {
  for (let pauseMs = FIRST_PAUSE_MS; pauseMs <= MAX_PAUSE_MS; pauseMs *= 2) {
    await pause(pauseMs);
    const page = place.isConnected ? await getPage(location.href).catch(() => null) : null;
    const fresh = page?.querySelector("[data-details]");
    if (!fresh || (!fresh.querySelector(".sides") && pauseMs < MAX_PAUSE_MS)) continue;
    place.replaceChildren(...document.adoptNode(fresh).childNodes);
    return;
  }
}
