/** @file The dashboard keeps itself up to date: parts whose contents changed are replaced, what somebody uses is left alone. */
import { getPage } from "../shared/api.js";

const SOON_MS = 5000; // while something is going on
const LATER_MS = 30_000; // figures are written once a minute

const parts = () => [...document.querySelectorAll("[data-live]")];
if (parts().length) watch();

async function watch() {
  for (;;) {
    await pause(document.querySelector(".jobs .dots") ? SOON_MS : LATER_MS);
    if (document.hidden) continue; // whoever comes back rings
    try {
      refresh(await getPage(location.pathname === "/admin/cache" ? location.href : "/admin/cache"));
    } catch {
      await pause(LATER_MS); // the next look may succeed; the page stays as it was drawn
    }
  }
}

/** @param {Document} drawn */
function refresh(drawn) {
  for (const part of parts()) {
    const fresh = drawn.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!fresh || part.contains(document.activeElement)) continue;
    for (const open of part.querySelectorAll("details[open]")) fresh.querySelector(`[data-keep="${open.dataset.keep}"]`)?.setAttribute("open", "");
    if (bare(fresh) !== bare(part)) part.replaceChildren(...fresh.childNodes);
  }
}

/** The contents without the tokens of forms, which differ every time. @param {Element} part */
function bare(part) {
  return part.innerHTML.replace(/name="csrf_token" value="[^"]*"/g, "");
}

/** Wait, or until somebody comes back to the page. @param {number} ms */
function pause(ms) {
  return new Promise((done) => {
    const over = new AbortController();
    over.signal.addEventListener("abort", () => done());
    setTimeout(() => over.abort(), ms);
    document.addEventListener("visibilitychange", () => document.hidden || over.abort(), { signal: over.signal });
  });
}
