/**
 * @file Tasks that outlast a request: lamp, sentence and dots follow quietly. Inside [data-tasks] the place is drawn anew when a task
 * ends; elsewhere, as on the wall, the line says how it ended and nothing moves.
 */
import { getJson, getPage } from "../shared/api.js";

const SOON_MS = 1000;
const LATER_MS = 5000;
const FEW_MS = 4000; // no guess about the time left before so much of it was seen

/** @typedef {{id: number, state: string, title: string, lamp: string, says: string, share: number | null, paused_s: number | null, is_over: boolean}} Job */

/** When each task was first looked at, and how far it was: a task may have slept for a night before. @type {Map<number, {at: number, share: number}>} */
const first = new Map();
const said = document.body.appendChild(Object.assign(document.createElement("p"), { className: "vh" }));
said.setAttribute("role", "status");

let isWatching = false;
addEventListener("tasks-drawn", watch); // a page that draws tasks anew says so
watch();

async function watch() {
  if (isWatching) return;
  isWatching = true;
  while (lines().length) {
    await pause(document.hidden ? LATER_MS : SOON_MS);
    try {
      for (const line of lines()) await follow(line);
    } catch {
      await pause(LATER_MS); // the next look may succeed; the page stays as it was drawn
    }
  }
  isWatching = false;
}

/** @returns {HTMLElement[]} the tasks of this page that are not over */
function lines() {
  return [...document.querySelectorAll('[data-task]:is([data-state="waiting"], [data-state="running"])')];
}

/** @param {HTMLElement} line */
async function follow(line) {
  /** @type {Job} */
  const job = await getJson(`/api/jobs/${line.dataset.task}`);
  if (!line.isConnected) return;
  show(line, job);
  if (!job.is_over) return;
  said.textContent = job.says;
  const place = line.closest("[data-tasks]");
  if (place) await redraw(place);
}

/** @param {HTMLElement} line @param {Job} job */
function show(line, job) {
  line.dataset.state = job.state;
  line.querySelector(".lamp").className = `lamp ${job.lamp}`;
  line.querySelector("[data-task-says]").textContent = job.says;
  const title = line.querySelector("[data-task-title]");
  if (title) title.hidden = job.says.startsWith(job.title); // the sentence names it already
  line.querySelector("[data-task-left]").textContent = left(job);
  line.classList.toggle("is-over", job.is_over);
  const dots = line.querySelector("progress");
  dots.hidden = job.share === null;
  if (job.share !== null) dots.value = job.share;
}

/** @param {HTMLElement} place */
async function redraw(place) {
  if (place.dataset.tasks === "reload") return location.reload(); // the page of an empty vault: now there is a wall
  const places = [...document.querySelectorAll("[data-tasks]")];
  const drawn = (await getPage(location.href)).querySelectorAll("[data-tasks]")[places.indexOf(place)];
  if (!drawn) return; // logged out meanwhile
  const hadFocus = place.contains(document.activeElement);
  place.replaceChildren(...drawn.childNodes);
  if (hadFocus) place.querySelector("a, button")?.focus();
  return undefined;
}

/** @param {Job} job @returns {string} a pause, or a guess from what was seen here */
function left({ id, share, paused_s: pausedS, is_over: isOver }) {
  if (isOver) return "";
  if (pausedS !== null) return pausedS ? `on again in ${rough(pausedS)}` : "";
  if (share === null) return "";
  const now = performance.now();
  const began = first.get(id) ?? { at: now, share };
  first.set(id, began);
  const gained = share - began.share;
  return gained > 0 && now - began.at > FEW_MS ? `about ${rough((((now - began.at) / gained) * (1 - share)) / 1000)} left` : "";
}

/** @param {number} seconds */
function rough(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
