/** @file The one door to the server: every request of the page's scripts goes through here. */

/** The server refused, or could not be reached (status 0). */
export class RequestFailed extends Error {
  /** @param {number} status @param {number} retryAfterS seconds to wait, 0 when nobody said */
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

/** Change what `body` names. @param {string} path @param {object} body @returns {Promise<any>} */
export async function patchJson(path, body) {
  return sendJson("PATCH", path, body);
}

/**
 * Send a form with a file, told all the while which share of it is out. A refusal with its reason is an answer too.
 * @param {string} path @param {FormData} body @param {(share: number) => void} tell @returns {Promise<any>}
 */
export function sendFile(path, body, tell) {
  return new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest(); // fetch does not say how much of a body has been sent
    asked.open("POST", path);
    asked.setRequestHeader("Accept", "application/json");
    asked.setRequestHeader("X-CSRFToken", token());
    asked.responseType = "json";
    asked.upload.addEventListener("progress", ({ loaded, total }) => total && tell(loaded / total));
    asked.addEventListener("load", () => {
      const isSaid = asked.response?.results || (asked.response?.error && asked.status < 429);
      isSaid ? resolve(asked.response) : reject(new RequestFailed(asked.status, Number(asked.getResponseHeader("Retry-After")) || 0));
    });
    asked.addEventListener("error", () => reject(new RequestFailed(0, 0)));
    asked.send(body);
  });
}

/**
 * Fetch another page of ours as a document, to take parts of it. An error page is a page too: it is returned as one.
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
 * Send a form with a file as the browser would, told all the while which share of it is out; return the page it leads to, and its path.
 * @param {HTMLFormElement} form @param {(share: number) => void} tell @returns {Promise<{page: Document, path: string}>}
 */
export function sendForm(form, tell) {
  return new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest();
    asked.open("POST", form.action);
    asked.setRequestHeader("Accept", "text/html");
    asked.responseType = "document";
    asked.upload.addEventListener("progress", ({ loaded, total }) => total && tell(loaded / total));
    asked.addEventListener("load", () => {
      if (asked.response) resolve({ page: asked.response, path: new URL(asked.responseURL).pathname });
      else reject(new RequestFailed(asked.status, 0));
    });
    asked.addEventListener("error", () => reject(new RequestFailed(0, 0)));
    asked.send(new FormData(form));
  });
}

/** @returns {boolean} whether the viewer asked to spare data */
export function sparesData() {
  return navigator.connection?.saveData === true;
}

/** @param {string} method @param {string} path @param {object} body */
async function sendJson(method, path, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token() };
  return (await request(path, { method, headers, body: JSON.stringify(body) })).json();
}

/** @param {Response} answer */
async function parse(answer) {
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** @param {string} path @param {RequestInit} options @returns {Promise<Response>} */
async function request(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestFailed(0, 0);
  }
  if (!answer.ok) throw new RequestFailed(answer.status, Number(answer.headers.get("Retry-After")) || 0);
  return answer;
}

function token() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}
