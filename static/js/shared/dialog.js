/** @file Shows another page in a dialog over this one. The page itself is the fallback. */
import { getPage } from "./api.js";

/** Open links with `data-dialog` in a dialog. */
export function initDialogs() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-dialog]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    openDialog(link.href);
  });
}

/**
 * Show the dialog body of the page at `address`; go to that page if it cannot be fetched or has none.
 * @param {string} address @returns {Promise<HTMLDialogElement | null>} null if no dialog was opened
 */
export async function openDialog(address) {
  if (document.querySelector("dialog.dialog")) return null;
  const page = await getPage(address).catch(() => null);
  const body = page?.querySelector("[data-dialog-body]");
  if (!body) {
    location.assign(address);
    return null;
  }
  const heading = body.querySelector("h1");
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-label", heading?.textContent ?? "");
  const close = Object.assign(document.createElement("button"), { className: "button", type: "button", textContent: "Close" });
  close.addEventListener("click", () => dialog.close());
  // The page below has its own h1.
  heading?.replaceWith(Object.assign(document.createElement("h2"), { className: "dialog-title", textContent: heading.textContent }));
  dialog.append(close, document.adoptNode(body));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  addEventListener("pagehide", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
