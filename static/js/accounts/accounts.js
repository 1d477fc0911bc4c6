/** @file The page of accounts: a role and a switch are saved when they are chosen. */

for (const field of document.querySelectorAll("[data-submits]")) {
  field.form.querySelector("button").hidden = true;
  field.addEventListener("change", () => field.form.requestSubmit());
}
