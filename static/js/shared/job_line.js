/** @file The line about covers that are being fetched. It is updated only if the page was rendered with it, so nothing moves. */
import { roughDuration } from "./time.js";

let isOverSpoken = false;

/**
 * @param {{total: number, done: number, failed?: number, eta_s?: number | null, is_paused?: boolean} | null} progress null if the queue is empty
 */
export function showProgress(progress) {
  const line = document.querySelector("[data-job]");
  if (!line) return;
  const dots = line.querySelector("progress");
  const job = progress ?? { total: dots.max, done: dots.max };
  const isOver = job.done >= job.total;
  const words = isOver ? result(job) : `${job.is_paused ? "Fetching is paused" : "Fetching covers"}, ${count(job.done)} of ${count(job.total)}`;
  line.querySelector("[data-job-words]").textContent = words;
  line.querySelector("[data-job-left]").textContent = isOver || job.is_paused || job.eta_s == null ? "" : `about ${roughDuration(job.eta_s)} left`;
  dots.max = job.total;
  dots.value = job.done;
  line.classList.toggle("is-over", isOver);
  line.querySelector(".lamp").className = `lamp ${isOver ? "well" : job.is_paused ? "waiting" : "working"}`;
  if (isOver === isOverSpoken) return; // a screen reader speaks the end and a new start, not every step
  isOverSpoken = isOver;
  document.querySelector("[data-job-said]").textContent = words;
}

/** @param {{total: number, failed?: number}} job */
function result(job) {
  return job.failed ? `${count(job.total - job.failed)} covers are here, ${count(job.failed)} could not be fetched` : "All covers are here";
}

/** @param {number} number */
function count(number) {
  return number.toLocaleString("en");
}
