/** @file Keeps the dashboard up to date: parts whose contents changed are replaced, except a part that has the focus. */
import { getPage } from "../shared/api.js";
import { at } from "../shared/prefix.js";

const ADDRESS = at("/admin/cache");
const POLL_MS = 5000; // rates of the last 10 seconds are known while someone looks
const RETRY_MS = 30_000;

const parts = () => [...document.querySelectorAll("[data-live]")];
if (parts().length) poll();

async function poll() {
  for (;;) {
    await pauseOrReturn(POLL_MS);
    if (document.hidden) continue;
    try {
      refresh(await getPage(location.pathname === ADDRESS ? location.href : ADDRESS));
    } catch {
      await pauseOrReturn(RETRY_MS); // the next poll may succeed; the page stays as it is
    }
  }
}

/** @param {Document} page */
function refresh(page) {
  for (const part of parts()) {
    const fresh = page.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!fresh || part.contains(document.activeElement)) continue;
    for (const open of part.querySelectorAll("details[open]")) fresh.querySelector(`[data-keep="${open.dataset.keep}"]`)?.setAttribute("open", "");
    if (withoutTokens(fresh) !== withoutTokens(part)) part.replaceChildren(...fresh.childNodes);
  }
}

/** Return the HTML of a part without the CSRF tokens of its forms, which differ every time. @param {Element} part */
function withoutTokens(part) {
  return part.innerHTML.replace(/name="csrf_token" value="[^"]*"/g, "");
}

/** Wait, at most until the viewer returns to this tab. @param {number} ms */
function pauseOrReturn(ms) {
  return new Promise((resolve) => {
    const end = new AbortController();
    end.signal.addEventListener("abort", () => resolve());
    setTimeout(() => end.abort(), ms);
    document.addEventListener("visibilitychange", () => document.hidden || end.abort(), { signal: end.signal });
  });
}
