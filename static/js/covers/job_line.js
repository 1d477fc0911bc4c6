/** @file The one line under the ruler while covers are fetched. It was there when the page was drawn, or it stays away: nothing moves. */

let hasEnded = false;

/**
 * @param {{total: number, done: number, failed?: number, eta_s?: number | null, is_paused?: boolean} | null} told null when nothing is in line
 */
export function tellJob(told) {
  const line = document.querySelector("[data-job]");
  if (!line) return;
  const dots = line.querySelector("progress");
  const job = told ?? { total: dots.max, done: dots.max };
  const isOver = job.done >= job.total;
  const words = isOver ? ended(job) : `${job.is_paused ? "Fetching is paused" : "Fetching covers"}, ${count(job.done)} of ${count(job.total)}`;
  line.querySelector("[data-job-words]").textContent = words;
  line.querySelector("[data-job-left]").textContent = isOver || job.is_paused || job.eta_s == null ? "" : `about ${rough(job.eta_s)} left`;
  dots.max = job.total;
  dots.value = job.done;
  line.classList.toggle("is-over", isOver);
  line.querySelector(".lamp").className = `lamp ${isOver ? "well" : job.is_paused ? "waiting" : "working"}`;
  if (isOver === hasEnded) return; // a reader hears the end and a new start, not every step
  hasEnded = isOver;
  document.querySelector("[data-job-said]").textContent = words;
}

/** @param {{total: number, failed?: number}} job */
function ended(job) {
  return job.failed ? `${count(job.total - job.failed)} covers are here, ${count(job.failed)} could not be fetched` : "All covers are here";
}

/** @param {number} number */
function count(number) {
  return number.toLocaleString("en");
}

/** @param {number} seconds */
function rough(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
