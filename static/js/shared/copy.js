/**
 * @file Buttons of parts/copy.html. Over plain http browsers give pages no clipboard: then the text is copied as a selection, and where
 * that is refused too it stays selected, for the keys of the keyboard. Used by pages that show a code, a hash or a link.
 */
const SHOWN_MS = 2000;

for (const button of document.querySelectorAll("[data-copies]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copies]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  select(source);
  const isCopied = await copy((source.value ?? source.textContent).trim());
  spoken.textContent = button.textContent = isCopied ? "Copied" : "Selected";
  setTimeout(() => (button.textContent = "Copy"), SHOWN_MS);
});

const spoken = document.body.appendChild(Object.assign(document.createElement("p"), { className: "vh" }));
spoken.setAttribute("role", "status");

/** @param {HTMLElement} source */
function select(source) {
  if (source instanceof HTMLInputElement) return source.select();
  return getSelection().selectAllChildren(source);
}

/** @param {string} text @returns {Promise<boolean>} */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text); // only over https and on the server itself
    return true;
  } catch {
    return document.execCommand("copy"); // of what is selected
  }
}
