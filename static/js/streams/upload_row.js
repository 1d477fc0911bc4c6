/** @file One row of the uploader: the name and size of a file, dots for how much is sent, and its outcome. */

/** @param {HTMLElement} place @param {File} file @returns {HTMLLIElement} */
export function addRow(place, file) {
  const row = document.createElement("li");
  const dots = Object.assign(document.createElement("progress"), { className: "dots", max: 1, value: 0 });
  dots.setAttribute("aria-label", `${file.name}, sent`);
  row.append(createSpan("file", file.name), createSpan("size", megabytes(file.size)), dots, createSpan("outcome", ""));
  row.querySelector(".file").title = file.name;
  place.querySelector("[data-uploads]").append(row);
  setOutcome(row, "waiting", "Waiting");
  return row;
}

/** @param {HTMLLIElement} row @param {string} lamp @param {string} words */
export function setOutcome(row, lamp, words) {
  const shape = createSpan(`lamp ${lamp}`, "");
  shape.setAttribute("aria-hidden", "true");
  row.querySelector(".outcome").replaceChildren(shape, words);
}

/** @param {HTMLLIElement} row @param {string} words @returns {HTMLSpanElement} */
export function addNote(row, words) {
  const note = createSpan("why", words);
  row.querySelector("progress").after(note);
  return note;
}

/** Give a row the button that stops its upload. @param {HTMLLIElement} row @param {() => void} cancel */
export function addCancel(row, cancel) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: "Cancel", onclick: cancel });
  button.dataset.uploadCancel = "";
  button.setAttribute("aria-label", `Cancel ${row.querySelector(".file").textContent}`);
  row.append(button);
}

/** @param {string} name @param {string} text */
function createSpan(name, text) {
  return Object.assign(document.createElement("span"), { className: name, textContent: text });
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
