/** @file Entry module of the uploader: two uploads at a time, a row for each file, the reason of a refusal. Without scripts the form sends all. */
import { RequestFailed, sendFile } from "../shared/api.js";
import { refresh } from "./refresh.js";
import { addCancel, addNote, addRow, megabytes, setOutcome } from "./upload_row.js";

const MAX_PARALLEL = 2; // as many as the server accepts at a time
const BUSY = [429, 502, 503, 504];
const MAX_RETRIES = 6; // of an upload that comes while the server is busy, before it asks the person
const RETRY_MS = 2000; // before the first of them; twice as long before each further one
const MAX_RETRY_MS = 60_000;
const AUDIENCES = { public: "New images are public.", private: "New images are private.", subscribers: "New images are for subscribers." };
const SAVED = { public: "Uploaded, visible to everyone", private: "Uploaded, private", subscribers: "Uploaded, visible to subscribers" };

/** @typedef {{file: File, row: HTMLLIElement, form: HTMLFormElement, state: "waiting"|"working"|"resting"|"stored"|"refused"|"cancelled", retries?: number, stop?: AbortController}} Upload */

for (const place of document.querySelectorAll("[data-uploader]")) initUploader(place);

/** @param {HTMLElement} place */
function initUploader(place) {
  /** @type {Upload[]} */
  const uploads = [];
  const form = place.querySelector("form");
  const isBusy = () => uploads.some(({ state }) => state === "waiting" || state === "working" || state === "resting");
  const add = (files) => {
    for (const file of files) {
      const upload = { file, form, row: addRow(place, file), state: "waiting" };
      addCancel(upload.row, () => cancel([upload]));
      uploads.push(upload);
    }
    for (const upload of uploads) if (upload.state === "waiting") checkSize(upload, place.dataset);
    updateSummary(place, uploads);
    startWaiting();
  };
  const startWaiting = () => {
    while (uploads.filter(({ state }) => state === "working").length < MAX_PARALLEL) {
      const upload = uploads.find(({ state }) => state === "waiting");
      if (!upload) break;
      send(upload, place.dataset.uploader, retry).then(() => {
        updateSummary(place, uploads);
        if (!isBusy()) refresh();
        startWaiting();
      });
    }
  };
  const retry = (upload) => {
    if (upload.state === "cancelled") return;
    upload.state = "waiting";
    place.querySelector("[data-uploads]").append(upload.row);
    startWaiting();
  };

  /** @param {Upload[]} chosen those of them that are not over are cancelled */
  const cancel = (chosen) => {
    const open = chosen.filter(({ state }) => state === "waiting" || state === "working" || state === "resting");
    const hasSent = open.some(({ state }) => state === "working");
    for (const upload of open) {
      upload.state = "cancelled";
      upload.stop?.abort();
      upload.row.querySelector("progress").hidden = true;
      upload.row.querySelector("[data-upload-cancel]")?.remove();
      setOutcome(upload.row, "waiting", "Cancelled");
    }
    updateSummary(place, uploads);
    startWaiting();
    if (!hasSent && !isBusy()) refresh();
  };

  for (const input of place.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      add([...input.files]);
      input.value = "";
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  acceptDrops(place, add);
  acceptPastes(add);
  place.querySelector("[data-upload-close]")?.addEventListener("click", () => {
    place.querySelector("[data-upload-job]").hidden = true;
    for (const list of place.querySelectorAll("[data-uploads], [data-upload-refusals]")) list.replaceChildren();
    uploads.length = 0;
  });
  place.querySelector("[data-upload-cancel-all]")?.addEventListener("click", () => cancel(uploads));
  addEventListener("beforeunload", (event) => isBusy() && event.preventDefault());
}

/** Accept files anywhere on the page: one that is dropped beside the field would open in place of the page. */
function acceptDrops(place, add) {
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    showDrop(place, event.dataTransfer.items?.length ?? 0);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && hideDrop(place));
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    hideDrop(place);
    add([...event.dataTransfer.files]);
  });
}

/** Frame the window and say what a drop does. @param {HTMLElement} place @param {number} count */
function showDrop(place, count) {
  place.classList.add("is-over");
  if (!place.querySelector("[data-upload-job]") || document.querySelector("[data-dropping]")) return;
  document.body.classList.add("is-dropping");
  const band = Object.assign(document.createElement("div"), { className: "chosen-bar note-bar" });
  band.dataset.dropping = "";
  const { audience, maxMb } = place.dataset;
  const words = `Drop to add ${count === 1 ? "1 image" : `${count || ""} images`.trim()}. ${AUDIENCES[audience]} Up to ${maxMb} MB each.`;
  band.append(Object.assign(document.createElement("p"), { textContent: words }));
  document.body.append(band);
}

/** @param {HTMLElement} place */
function hideDrop(place) {
  place.classList.remove("is-over");
  document.body.classList.remove("is-dropping");
  document.querySelector("[data-dropping]")?.remove();
}

/** Accept pasted images, unless the cursor is in a text field. @param {(files: File[]) => void} add */
function acceptPastes(add) {
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    add(files);
  });
}

/** @param {Upload} upload @param {DOMStringMap} limits `leftBytes` only where the space of the owner has a limit */
function checkSize(upload, { maxBytes, maxVideoBytes, leftBytes }) {
  const { size, type } = upload.file;
  const isVideo = type.startsWith("video/");
  const most = Number(isVideo ? maxVideoBytes : maxBytes);
  if (isVideo && !most) refuse(upload, "This server cannot store videos. An operator can install ffmpeg.");
  else if (size > most) refuse(upload, `This file is ${megabytes(size)}. The limit is ${most / 1e6} MB.`);
  else if (leftBytes !== undefined && size > Number(leftBytes)) refuse(upload, `This file is ${megabytes(size)}, and you have ${megabytes(Number(leftBytes))} of space left. Delete images for good, or ask an operator for more space.`);
}

/** @param {Upload} upload @param {string} path @param {(upload: Upload) => void} retry */
async function send(upload, path, retry) {
  const { file, form, row } = upload;
  const body = new FormData();
  for (const [name, value] of new FormData(form)) if (typeof value === "string" && name !== "csrf_token") body.append(name, value);
  body.append("files", file, file.name);
  upload.state = "working";
  upload.stop = new AbortController();
  const startedAt = performance.now();
  const dots = row.querySelector("progress");
  row.querySelector(".why")?.remove();
  dots.hidden = false;
  try {
    const response = await sendFile(path, body, (share) => {
      dots.value = share;
      const leftS = ((performance.now() - startedAt) / 1000) * (1 / share - 1);
      setOutcome(row, "working", share < 1 ? `${Math.floor(share * 100)}%${leftS >= 1.5 ? `, ${Math.round(leftS)} s left` : ""}` : "Processing");
    }, upload.stop.signal);
    const [result] = response.results ?? [];
    if (result?.kind === "busy") return retryLater(upload, retry);
    if (!result?.ok) return refuse(upload, result?.reason ?? response.error ?? "The server gave no reason. Check its log.");
    upload.state = "stored";
    row.querySelector("[data-upload-cancel]")?.remove();
    dots.value = 1;
    row.className = "is-stored";
    setOutcome(row, "well", SAVED[result.visibility]);
    dots.hidden = Boolean(result.note);
    if (result.note) addNote(row, result.note);
  } catch (error) {
    if (upload.state === "cancelled") return undefined;
    if (error instanceof RequestFailed && BUSY.includes(error.status)) return retryLater(upload, retry, error.retryAfterS);
    const isUnreachable = error instanceof RequestFailed && !error.status;
    refuse(upload, isUnreachable ? "Could not reach VinylVault. Check your network." : "The server is busy.", () => retry(upload));
  }
  return undefined;
}

/** Try an upload again by itself, a few times. @param {Upload} upload @param {(upload: Upload) => void} retry @param {number} [afterS] */
function retryLater(upload, retry, afterS = 0) {
  upload.retries = (upload.retries ?? 0) + 1;
  if (upload.retries > MAX_RETRIES) {
    upload.retries = 0;
    return refuse(upload, "The server is busy.", () => retry(upload));
  }
  upload.state = "resting";
  upload.row.querySelector("progress").hidden = true;
  setOutcome(upload.row, "waiting", "Retrying in a moment");
  setTimeout(() => retry(upload), Math.min(MAX_RETRY_MS, Math.max(RETRY_MS * 2 ** (upload.retries - 1), afterS * 1000)));
  return undefined;
}

/** @param {Upload} upload @param {string} reason @param {() => void} [retry] */
function refuse(upload, reason, retry) {
  const { row } = upload;
  upload.state = "refused";
  row.querySelector("[data-upload-cancel]")?.remove();
  row.className = "is-refused";
  row.querySelector("progress").hidden = true;
  const text = addNote(row, `${reason} `);
  if (retry) text.append(Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: "Try again", onclick: retry }));
  setOutcome(row, "failed", "Not uploaded");
  row.closest("[data-uploader]")?.querySelector("[data-upload-refusals]")?.append(row);
}

/** Say the start and the end, not each file. @param {HTMLElement} place @param {Upload[]} uploads */
function updateSummary(place, uploads) {
  const count = (name) => uploads.filter(({ state }) => state === name).length;
  const open = count("waiting") + count("working") + count("resting");
  const refused = (count("refused") ? `, ${count("refused")} rejected` : "") + (count("cancelled") ? `, ${count("cancelled")} cancelled` : "");
  const words = open ? `Uploading ${uploads.length} ${uploads.length === 1 ? "image" : "images"}` : `${count("stored")} of ${uploads.length} uploaded${refused}`;
  const summary = place.querySelector("[data-uploads-said]");
  if (summary.textContent !== words) summary.textContent = words;
  const job = place.querySelector("[data-upload-job]");
  if (!job) return;
  job.hidden = false;
  job.querySelector("[data-upload-lamp]").className = `lamp ${open ? "working" : count("refused") ? "failed" : "well"}`;
  const dots = job.querySelector("[data-upload-dots]");
  dots.hidden = !open;
  dots.value = (uploads.length - open) / uploads.length;
  job.querySelector("[data-upload-close]").hidden = open > 0;
  job.querySelector("[data-upload-cancel-all]").hidden = !open;
  const parts = [`${count("stored")} stored`, `${count("working")} uploading`, `${count("waiting") + count("resting")} queued`];
  job.querySelector("[data-upload-summary]").textContent = open ? parts.join(", ") : "Show files";
}
