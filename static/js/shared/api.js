/** @file Requests to the server. All scripts make theirs here. */

/** The server answered with an error status, or could not be reached (status 0). */
export class RequestFailed extends Error {
  /** @param {number} status @param {number} retryAfterS seconds to wait before a retry, 0 if the server named none */
  constructor(status, retryAfterS) {
    super(status ? `the server answered ${status}` : "the server cannot be reached");
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** @param {string} path @returns {Promise<any>} */
export async function getJson(path) {
  return (await request(path, { headers: { Accept: "application/json" } })).json();
}

/** @param {string} path @param {object} body @returns {Promise<any>} */
export async function postJson(path, body) {
  return sendJson("POST", path, body);
}

/** @param {string} path @param {object} body the fields to change @returns {Promise<any>} */
export async function patchJson(path, body) {
  return sendJson("PATCH", path, body);
}

/**
 * Upload files and return the JSON response. A refusal that gives its reason is returned as well.
 * @param {string} path @param {FormData} body @param {(share: number) => void} onProgress @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function sendFile(path, body, onProgress, signal) {
  const upload = await send(path, body, { Accept: "application/json", "X-CSRFToken": csrfToken() }, "json", onProgress, signal);
  const { response, status } = upload;
  if (response?.results || (response?.error && status < 429)) return response;
  throw new RequestFailed(status, Number(upload.getResponseHeader("Retry-After")) || 0);
}

/**
 * Fetch another page as a document, to take parts of it. Throws `RequestFailed` for an error page.
 * @param {string} path @param {AbortSignal} [signal] @returns {Promise<Document>}
 */
export async function getPage(path, signal) {
  return parse(await request(path, { headers: { Accept: "text/html" }, signal }));
}

/** Send a form as the browser would, and return the page it leads to. @param {HTMLFormElement} form */
export async function postForm(form) {
  return parse(await request(form.action, { method: "POST", headers: { Accept: "text/html" }, body: new FormData(form) }));
}

/**
 * Send a form as the browser would with this button, and return the page it leads to, with its address.
 * @param {HTMLFormElement} form @param {HTMLButtonElement | null} submitter @returns {Promise<{page: Document, url: string}>}
 */
export async function postChoice(form, submitter) {
  const path = form.getAttribute("action"); // `form.action` is a button if one has this name
  const response = await request(path, { method: "POST", headers: { Accept: "text/html" }, body: new FormData(form, submitter) });
  return { page: await parse(response), url: response.url };
}

/**
 * Move a record of a crate, also while the page is left. @param {HTMLFormElement} form of its row @param {number} place from 1
 */
export async function moveInCrate(form, place) {
  const body = new FormData(form);
  body.set("action", "move");
  body.set("place", String(place));
  await request(form.getAttribute("action"), { method: "POST", headers: { Accept: "application/json" }, body, keepalive: true });
}

/**
 * Send a form with a file as the browser would, and return the page it leads to. An error page is returned as well.
 * @param {HTMLFormElement} form @param {(share: number) => void} onProgress @returns {Promise<Document>}
 */
export async function sendForm(form, onProgress) {
  const upload = await send(form.action, new FormData(form), { Accept: "text/html" }, "document", onProgress);
  if (!upload.response) throw new RequestFailed(upload.status, 0);
  return upload.response;
}

/** Return the status of an image without its bytes, 0 if the server cannot be reached. @param {string} path @returns {Promise<number>} */
export async function imageStatus(path) {
  return request(path, { method: "HEAD", cache: "no-store" }).then(
    ({ status }) => status,
    (error) => error.status ?? 0,
  );
}

/** @returns {boolean} true if the browser is set to save data */
export function savesData() {
  return navigator.connection?.saveData === true;
}

/** @param {string} method @param {string} path @param {object} body */
async function sendJson(method, path, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": csrfToken() };
  return (await request(path, { method, headers, body: JSON.stringify(body) })).json();
}

/**
 * Post with XMLHttpRequest, because `fetch` does not report how much of a body has been sent.
 * @param {string} path @param {FormData} body @param {Record<string, string>} headers @param {XMLHttpRequestResponseType} type
 * @param {(share: number) => void} onProgress @param {AbortSignal} [signal] @returns {Promise<XMLHttpRequest>}
 */
function send(path, body, headers, type, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    upload.open("POST", path);
    for (const [name, value] of Object.entries(headers)) upload.setRequestHeader(name, value);
    upload.responseType = type;
    upload.upload.addEventListener("progress", ({ loaded, total }) => total && onProgress(loaded / total));
    upload.addEventListener("load", () => resolve(upload));
    upload.addEventListener("error", () => reject(new RequestFailed(0, 0)));
    upload.addEventListener("abort", () => reject(new DOMException("Aborted", "AbortError")));
    signal?.addEventListener("abort", () => upload.abort());
    upload.send(body);
  });
}

/** @param {Response} response */
async function parse(response) {
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/** @param {string} path @param {RequestInit} options @returns {Promise<Response>} */
async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestFailed(0, 0);
  }
  if (!response.ok) throw new RequestFailed(response.status, Number(response.headers.get("Retry-After")) || 0);
  return response;
}

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}
