/** @file The page of accounts: a role and a switch are saved when they are chosen, a link is copied. */

for (const field of document.querySelectorAll("[data-submits]")) {
  field.form.querySelector("button").hidden = true;
  field.addEventListener("change", () => field.form.requestSubmit());
}

const link = document.querySelector("[data-copy]");
link?.addEventListener("focus", () => link.select());
const copy = document.querySelector("[data-copy-link]");
if (copy) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    link.select();
    try {
      await navigator.clipboard.writeText(link.value); // only over https and on the server itself
    } catch {
      document.execCommand("copy");
    }
    copy.textContent = "Copied";
  });
}
