/** @file The page of a registry while its files are being downloaded: it is rendered again, and the focus stays where it was. */
import { getPage } from "../shared/api.js";
import { pause } from "../shared/time.js";
import { at } from "../shared/prefix.js";

const BUSY_MS = 2000;
const IDLE_MS = 10_000;

const registry = document.querySelector("[data-registry]");
if (registry) poll();

async function poll() {
  for (;;) {
    await pause(registry.dataset.state === "working" && !document.hidden ? BUSY_MS : IDLE_MS);
    try {
      await refresh();
    } catch {
      await pause(IDLE_MS); // the next poll may succeed; the page stays as it is
    }
  }
}

async function refresh() {
  const path = at(`/files/registries/${encodeURIComponent(registry.dataset.registry)}`);
  const fresh = (await getPage(path)).querySelector("[data-registry]");
  if (!fresh || fresh.innerHTML === registry.innerHTML) return; // logged out, or nothing has changed
  const controls = ":is(button, a)";
  const focused = [...registry.querySelectorAll(controls)].indexOf(document.activeElement);
  const text = focused < 0 ? "" : document.activeElement.textContent;
  registry.dataset.state = fresh.dataset.state;
  registry.replaceChildren(...fresh.childNodes);
  const again = [...registry.querySelectorAll(controls)];
  if (focused >= 0) (again[focused]?.textContent === text ? again[focused] : again.find((control) => control.textContent === text))?.focus();
}
