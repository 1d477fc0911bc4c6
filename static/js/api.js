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
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token() };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
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

/** @returns {boolean} whether the viewer asked to spare data */
export function sparesData() {
  return navigator.connection?.saveData === true;
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
