/** @file The line about covers that are being fetched. It is updated only if the page was rendered with it, so nothing moves. */

let isOverSpoken = false;

/**
 * The server says it in words, the same ones as on a page without scripts.
 *
 * @param {{total: number, done: number, words: string, left: string, lamp: string} | null} progress null if nothing is being fetched
 * @param {string} outcome what is to be said then
 */
export function showProgress(progress, outcome) {
  const line = document.querySelector("[data-job]");
  if (!line) return;
  const dots = line.querySelector("progress");
  const isOver = progress === null;
  const job = progress ?? { total: dots.max, done: dots.max, words: outcome, left: "", lamp: "well" };
  line.querySelector("[data-job-words]").textContent = job.words;
  line.querySelector("[data-job-left]").textContent = job.left;
  dots.max = job.total;
  dots.value = job.done;
  line.classList.toggle("is-over", isOver);
  line.querySelector(".lamp").className = `lamp ${job.lamp}`;
  if (isOver === isOverSpoken) return; // a screen reader speaks the end and a new start, not every step
  isOverSpoken = isOver;
  document.querySelector("[data-job-said]").textContent = job.words;
}
