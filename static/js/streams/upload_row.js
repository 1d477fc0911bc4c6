/** @file The line of one file that is uploaded: its name, its size, dots for how much is out, and what became of it. */

/** @param {HTMLElement} place @param {File} file @returns {HTMLLIElement} */
export function drawRow(place, file) {
  const row = document.createElement("li");
  const dots = Object.assign(document.createElement("progress"), { className: "dots", max: 1, value: 0 });
  dots.setAttribute("aria-label", `${file.name}, sent`);
  row.append(span("file", file.name), span("size", mb(file.size)), dots, span("outcome", ""));
  row.querySelector(".file").title = file.name;
  place.querySelector("[data-uploads]").append(row);
  say(row, "waiting", "Waiting");
  return row;
}

/** @param {HTMLLIElement} row @param {string} lamp @param {string} words */
export function say(row, lamp, words) {
  const shape = span(`lamp ${lamp}`, "");
  shape.setAttribute("aria-hidden", "true");
  row.querySelector(".outcome").replaceChildren(shape, words);
}

/** @param {string} name @param {string} text */
function span(name, text) {
  return Object.assign(document.createElement("span"), { className: name, textContent: text });
}

/** @param {number} bytes */
export function mb(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
