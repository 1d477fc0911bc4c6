/**
 * @file Entry module of `/now`: counts the time of a side down, follows what other devices do, moves the mosaic. Without it, the page
 * reloads itself and its buttons are forms.
 */
import { getPage, postForm } from "../shared/api.js";
import { at } from "../shared/prefix.js";
import { initMosaic } from "./mosaic.js";

const POLL_MS = 1000;
const AWAY_MS = 5000; // between two tries while the server is away
const READY_S = 180; // a record that no one starts gives way to what plays
const SHIFT_S = 300;
const LINES = 5;
const KEYS = { " ": "start", ".": "stop", s: "spin" };

const main = document.querySelector("main");
let tag = "";
let offset = 0; // seconds that the clock of the server is ahead of ours
let awaySince = null;
let openedAt = Date.now();
let refreshed = ""; // the revision and phase that the page was fetched again for, so that it is done once
let mosaic = null;
let timer = 0; // of the next poll
let isAsking = false;

const two = (number) => String(number).padStart(2, "0");
const timeOfDay = (date) => `${two(date.getHours())}:${two(date.getMinutes())}`;
const shown = () => document.querySelector("[data-now]");
const serverNow = () => Date.now() / 1000 + offset;

function opened() {
  const part = shown();
  offset = Number(part.dataset.serverAt) - Date.now() / 1000;
  tag = `"now-${part.dataset.revision}"`;
  openedAt = Date.now();
  mosaic?.();
  mosaic = part.dataset.now === "idle" ? initMosaic(part) : null;
  tick();
}

/** Take the page of the server in place of this one. @param {Document} page */
function take(page) {
  if (!page.querySelector("[data-now]")) return location.assign(at("/now"));
  main.replaceChildren(...page.querySelector("main").childNodes);
  document.title = page.title;
  const tint = page.querySelector("link[data-tint]");
  document.querySelector("link[data-tint]")?.remove();
  if (tint) document.head.append(tint);
  document.body.className = page.body.className;
  import("../shared/cover_loader.js").then(({ initCovers }) => initCovers());
  opened();
}

async function reload() {
  const page = await getPage(at("/now"));
  history.replaceState(null, "", at("/now"));
  take(page);
}

/** Ask the server what plays, and again after a while; not while no one can see the page. */
async function poll() {
  clearTimeout(timer);
  timer = 0;
  if (document.hidden || isAsking) return;
  isAsking = true;
  let wait = POLL_MS;
  try {
    const answer = await fetch(at("/api/now"), { headers: { "If-None-Match": tag }, cache: "no-store", credentials: "same-origin" });
    if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
    if (awaySince) say((awaySince = null));
    if (answer.status === 200 && answer.headers.get("ETag") !== tag) await reload();
  } catch {
    awaySince ??= new Date();
    say(`Offline since ${timeOfDay(awaySince)}. The time goes on.`);
    wait = AWAY_MS;
  }
  isAsking = false;
  timer = setTimeout(poll, wait);
}

/** @param {string | null} text */
function say(text) {
  const line = document.querySelector("[data-offline]");
  if (!line) return;
  line.hidden = !text;
  line.lastElementChild.textContent = text ?? "";
}

function tick() {
  const part = shown();
  const clock = part.querySelector("[data-clock]");
  if (clock) clock.textContent = timeOfDay(new Date(serverNow() * 1000));
  const { now, startedAt, endsAt, idleAt, revision } = part.dataset;
  part.dataset.shift = String(Math.floor(Date.now() / 1000 / SHIFT_S) % 4);
  const isOver = (now === "playing" && endsAt && serverNow() >= Number(endsAt)) || (idleAt && serverNow() >= Number(idleAt));
  const isForgotten = now === "ready" && Date.now() - openedAt > READY_S * 1000;
  const key = `${revision} ${now}`;
  if ((isOver || isForgotten) && refreshed !== key && !awaySince) {
    refreshed = key;
    reload().catch(() => (refreshed = ""));
    return;
  }
  if (now !== "playing" || !endsAt) return;
  const left = Math.max(0, Math.round(Number(endsAt) - serverNow()));
  part.classList.toggle("is-last", left < 60);
  part.querySelector("[data-left]").textContent = `${Math.floor(left / 60)}:${two(left % 60)}`;
  part.querySelector("[data-progress]").value = Math.max(0, serverNow() - Number(startedAt));
  const said = part.querySelector("[data-said]");
  if (left < 60 && !said.textContent) said.textContent = "about 1 minute left";
  mark(part.querySelector("[data-run]"), serverNow() - Number(startedAt));
}

/** Mark the track that plays; on a low screen show it with its neighbours. @param {HTMLElement | null} list @param {number} played */
function mark(list, played) {
  if (!list) return;
  const tracks = [...list.querySelectorAll("li:not(.rest)")];
  const current = tracks.findIndex(({ dataset }) => played >= Number(dataset.begins) && played < Number(dataset.ends));
  const first = innerHeight <= 512 && tracks.length > LINES ? Math.max(0, Math.min(current - 1, tracks.length - LINES + 1)) : 0;
  const last = innerHeight <= 512 && tracks.length > LINES ? first + LINES - 1 : tracks.length;
  tracks.forEach((track, index) => {
    track.classList.toggle("over", played >= Number(track.dataset.ends));
    index === current ? track.setAttribute("aria-current", "true") : track.removeAttribute("aria-current");
    track.hidden = index < first || index >= last;
  });
  const hidden = tracks.length - Math.min(last, tracks.length);
  let rest = list.querySelector(".rest");
  if (!rest) list.append((rest = Object.assign(document.createElement("li"), { className: "rest" })));
  rest.hidden = !hidden;
  rest.textContent = `and ${hidden} more`;
}

main.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    take(await postForm(form));
    history.replaceState(null, "", location.href.includes("album=") ? at("/now") : location.href);
  } catch {
    form.submit(); // the browser shows the reason, such as the form to log in
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, button, a")) return;
  if (event.key === "Escape") location.assign(at("/"));
  const button = document.querySelector(`[data-key="${KEYS[event.key.toLowerCase()] ?? "none"}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

opened();
setInterval(tick, 1000);
timer = setTimeout(poll, POLL_MS);
document.addEventListener("visibilitychange", poll);
