/** @file Uploads, two at a time: a line for each file, how far it is, and why when it is refused. Without this the form sends them all. */
import { RequestFailed, sendFile } from "../shared/api.js";
import { refresh } from "./stream.js";
import { drawRow, mb, say } from "./upload_row.js";

const AT_ONCE = 2; // as many as the server takes in at a time
const SPOKEN = { public: "Saved as public", private: "Saved as private", subscribers: "Saved for subscribers" };

/** @typedef {{file: File, row: HTMLLIElement, form: HTMLFormElement, state: "waiting"|"working"|"stored"|"refused"}} Upload */

/** @param {AbortSignal} signal */
export function wakeUploader(signal) {
  for (const place of document.querySelectorAll("[data-uploader]")) wakeOne(place, signal);
}

/** @param {HTMLElement} place @param {AbortSignal} signal */
function wakeOne(place, signal) {
  /** @type {Upload[]} */
  const uploads = [];
  const form = place.querySelector("form");
  const isBusy = () => uploads.some(({ state }) => state === "waiting" || state === "working");
  const add = (files) => {
    for (const file of files) uploads.push({ file, form, row: drawRow(place, file), state: "waiting" });
    for (const upload of uploads) if (upload.state === "waiting") checkSize(upload, Number(place.dataset.maxBytes));
    tell(place, uploads);
    next();
  };
  const next = () => {
    while (uploads.filter(({ state }) => state === "working").length < AT_ONCE) {
      const upload = uploads.find(({ state }) => state === "waiting");
      if (!upload) break;
      send(upload, place.dataset.uploader, again).then(() => {
        tell(place, uploads);
        if (!isBusy()) refresh();
        next();
      });
    }
  };
  const again = (upload) => {
    upload.state = "waiting";
    next();
  };

  for (const input of place.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      add([...input.files]);
      input.value = "";
    }, { signal });
  }
  form.addEventListener("submit", (event) => event.preventDefault(), { signal });
  listenForDrops(place, add, signal);
  addEventListener("beforeunload", (event) => isBusy() && event.preventDefault(), { signal });
}

/** A file that is dropped beside the field must not open in place of the page. */
function listenForDrops(place, add, signal) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    place.classList.add("is-over");
  }, { signal });
  addEventListener("dragleave", (event) => event.relatedTarget === null && place.classList.remove("is-over"), { signal });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    place.classList.remove("is-over");
    add([...event.dataTransfer.files]);
  }, { signal });
}

/** @param {Upload} upload @param {number} maxBytes */
function checkSize(upload, maxBytes) {
  if (upload.file.size > maxBytes) refuse(upload, `${mb(upload.file.size)} is over the ${maxBytes / 1e6} MB limit.`);
}

/** @param {Upload} upload @param {string} path @param {(upload: Upload) => void} again */
async function send(upload, path, again) {
  const { file, form, row } = upload;
  const body = new FormData();
  for (const [name, value] of new FormData(form)) if (typeof value === "string" && name !== "csrf_token") body.append(name, value);
  body.append("files", file, file.name);
  upload.state = "working";
  const began = performance.now();
  const dots = row.querySelector("progress");
  row.querySelector(".why")?.remove();
  dots.hidden = false;
  try {
    const answer = await sendFile(path, body, (share) => {
      dots.value = share;
      const leftS = ((performance.now() - began) / 1000) * (1 / share - 1);
      say(row, "working", share < 1 ? `${Math.floor(share * 100)}%${leftS >= 1.5 ? `, ${Math.round(leftS)} s left` : ""}` : "Looking at it");
    });
    const [outcome] = answer.results ?? [];
    if (!outcome?.ok) return refuse(upload, outcome?.reason ?? answer.error ?? "The machine did not say why.");
    upload.state = "stored";
    dots.value = 1;
    row.className = "is-stored";
    say(row, "well", SPOKEN[outcome.visibility]);
  } catch (error) {
    const isAway = error instanceof RequestFailed && !error.status;
    refuse(upload, isAway ? "This machine cannot be reached." : "This machine is busy.", () => again(upload));
  }
  return undefined;
}

/** @param {Upload} upload @param {string} why @param {() => void} [again] */
function refuse(upload, why, again) {
  const { row } = upload;
  upload.state = "refused";
  row.className = "is-refused";
  row.querySelector("progress").hidden = true;
  const text = Object.assign(document.createElement("span"), { className: "why", textContent: `${why} ` });
  if (again) text.append(Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: "Try again", onclick: again }));
  row.querySelector("progress").after(text);
  say(row, "failed", "Not uploaded");
}

/** Said once at the start and once at the end, not for each file. @param {HTMLElement} place @param {Upload[]} uploads */
function tell(place, uploads) {
  const count = (name) => uploads.filter(({ state }) => state === name).length;
  const open = count("waiting") + count("working");
  const refused = count("refused") ? `, ${count("refused")} refused` : "";
  const words = open ? `Uploading ${uploads.length} ${uploads.length === 1 ? "picture" : "pictures"}` : `${count("stored")} of ${uploads.length} stored${refused}`;
  const said = place.querySelector("[data-uploads-said]");
  if (said.textContent !== words) said.textContent = words;
}
