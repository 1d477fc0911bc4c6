/** @file Some pages open as a sheet over this one: the same contents, in a dialog. */
import { getPage } from "./api.js";

export function listenForSheets() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-sheet]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    openSheet(link.href);
  });
  addEventListener("pagehide", () => document.querySelector("dialog.sheet")?.close());
  wakeSwitch(document);
}

/** @param {string} address of a page that has a sheet body; the page itself is the way out when it cannot be fetched */
export async function openSheet(address) {
  if (document.querySelector("dialog.sheet")) return;
  let body;
  try {
    body = (await getPage(address)).querySelector("[data-sheet-body]");
  } catch {
    body = null;
  }
  if (!body) return location.assign(address);
  const sheet = document.createElement("dialog");
  sheet.className = "sheet";
  sheet.setAttribute("aria-label", body.querySelector("h1")?.textContent ?? "");
  const close = document.createElement("button");
  close.className = "button";
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => sheet.close());
  const title = body.querySelector("h1"); // this page has its own h1
  if (title) {
    const second = document.createElement("h2");
    second.className = "sheet-title";
    second.textContent = title.textContent;
    title.replaceWith(second);
  }
  sheet.append(close, document.adoptNode(body));
  sheet.addEventListener("close", () => sheet.remove());
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
  document.body.append(sheet);
  wakeSwitch(sheet);
  return sheet.showModal();
}

/** The switch for single keys, kept by this browser. @param {ParentNode} root */
function wakeSwitch(root) {
  const label = root.querySelector("[data-keys-switch]");
  if (!label) return;
  label.hidden = false;
  const box = label.querySelector("input");
  box.checked = areKeysOn();
  box.addEventListener("change", () => {
    try {
      box.checked ? localStorage.removeItem("keys") : localStorage.setItem("keys", "off");
    } catch {
      box.checked = true; // this browser keeps nothing: the keys stay on
    }
  });
}

/** @returns {boolean} */
export function areKeysOn() {
  try {
    return localStorage.getItem("keys") !== "off";
  } catch {
    return true;
  }
}
