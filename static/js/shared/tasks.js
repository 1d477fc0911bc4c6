/**
 * @file Follows tasks that outlast a request: their lamp, sentence and dots. Inside [data-tasks] the place is rendered again when a task
 * ends; elsewhere, as on the wall, the line says how it ended and nothing moves. Used by pages that show parts/task.html.
 */
import { getJson, getPage } from "./api.js";
import { pause, roughDuration } from "./time.js";
import { at } from "./prefix.js";

const POLL_MS = 1000;
const HIDDEN_POLL_MS = 5000; // while the page is hidden, and after a failure
const MIN_SAMPLE_MS = 4000; // no estimate of the time left before this

/** @typedef {{id: number, state: string, title: string, lamp: string, says: string, share: number | null, paused_s: number | null, is_over: boolean}} Job */

/** Time and share when each task was first seen here. It may have slept for a night before. @type {Map<number, {at: number, share: number}>} */
const firstSeen = new Map();
const spoken = document.body.appendChild(Object.assign(document.createElement("p"), { className: "vh" }));
spoken.setAttribute("role", "status");

let isPolling = false;
addEventListener("tasks-replaced", poll); // sent by a page that has new tasks
poll();

async function poll() {
  if (isPolling) return;
  isPolling = true;
  while (openTasks().length) {
    await pause(document.hidden ? HIDDEN_POLL_MS : POLL_MS);
    try {
      for (const line of openTasks()) await follow(line);
    } catch {
      await pause(HIDDEN_POLL_MS); // the next poll may succeed; the page stays as it is
    }
  }
  isPolling = false;
}

/** @returns {HTMLElement[]} the tasks of this page that are not over */
function openTasks() {
  return [...document.querySelectorAll('[data-task]:is([data-state="waiting"], [data-state="running"])')];
}

/** @param {HTMLElement} line */
async function follow(line) {
  /** @type {Job} */
  const job = await getJson(at(`/api/jobs/${line.dataset.task}`));
  if (!line.isConnected) return;
  update(line, job);
  if (!job.is_over) return;
  spoken.textContent = job.says;
  const place = line.closest("[data-tasks]");
  if (place) await renderAgain(place);
}

/** @param {HTMLElement} line @param {Job} job */
function update(line, job) {
  line.dataset.state = job.state;
  line.querySelector(".lamp").className = `lamp ${job.lamp}`;
  line.querySelector("[data-task-says]").textContent = job.says;
  line.querySelector("[data-task-left]").textContent = timeLeft(job);
  line.classList.toggle("is-over", job.is_over);
  const dots = line.querySelector("progress");
  dots.hidden = job.share === null;
  if (job.share !== null) dots.value = job.share;
}

/** @param {HTMLElement} place */
async function renderAgain(place) {
  if (place.dataset.tasks === "reload") return location.reload(); // the first page of an empty vault: now there is a wall
  const places = [...document.querySelectorAll("[data-tasks]")];
  const page = await getPage(location.href);
  const fresh = page.querySelectorAll("[data-tasks]")[places.indexOf(place)];
  if (!fresh) return; // logged out in the meantime
  countAgain(page);
  const hadFocus = place.contains(document.activeElement);
  place.replaceChildren(...fresh.childNodes);
  if (hadFocus) place.querySelector("a, button")?.focus();
  return undefined;
}

/** Show the numbers of records that stand outside of [data-tasks] as a newer page has them. @param {Document} page */
export function countAgain(page) {
  const counted = page.querySelectorAll("[data-counted]");
  document.querySelectorAll("[data-counted]").forEach((old, index) => {
    const fresh = counted[index];
    if (!fresh) return;
    if (old instanceof HTMLInputElement) old.placeholder = fresh.placeholder;
    else old.replaceChildren(...fresh.childNodes);
  });
}

/** @param {Job} job @returns {string} how long a pause lasts, or an estimate from the progress that was seen here */
function timeLeft({ id, share, paused_s: pausedS, is_over: isOver }) {
  if (isOver) return "";
  if (pausedS !== null) return pausedS ? `resumes in ${roughDuration(pausedS)}` : "";
  if (share === null) return "";
  const now = performance.now();
  const seen = firstSeen.get(id) ?? { at: now, share, lastAt: now, last: share, endsAt: Infinity };
  firstSeen.set(id, seen);
  if (share !== seen.last) Object.assign(seen, { last: share, lastAt: now });
  const gained = seen.last - seen.share;
  if (gained <= 0 || seen.lastAt - seen.at < MIN_SAMPLE_MS) return "";
  // The end that was shown is never moved to later: while nothing moves, the estimate runs out instead of growing.
  seen.endsAt = Math.min(seen.endsAt, seen.lastAt + ((seen.lastAt - seen.at) / gained) * (1 - seen.last));
  return seen.endsAt > now ? `about ${roughDuration((seen.endsAt - now) / 1000)} left` : "";
}
