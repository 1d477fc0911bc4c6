/** @file Uploads a table: dots while it is sent, then the page it leads to. Without scripts the browser sends the form. */
import { sendForm } from "../shared/api.js";
import { countAgain } from "../shared/tasks.js";

const main = document.querySelector("main");
main.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-send]");
  if (!form) return;
  event.preventDefault();
  upload(form);
});

/** @param {HTMLFormElement} form */
async function upload(form) {
  const [dots, message, button] = ["progress", "[data-send-says]", "button"].map((selector) => form.querySelector(selector));
  const warn = (event) => event.preventDefault(); // leaving the page would abort the upload
  button.disabled = true;
  dots.hidden = false;
  message.textContent = "Uploading";
  addEventListener("beforeunload", warn);
  try {
    const page = await sendForm(form, (share) => {
      dots.value = share;
      message.textContent = share < 1 ? `Uploading, ${Math.floor(share * 100)}%` : "Checking the file";
    });
    main.replaceChildren(...page.querySelector("main").childNodes);
    countAgain(page);
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
    dispatchEvent(new Event("tasks-replaced"));
  } catch {
    button.disabled = false;
    dots.hidden = true;
    message.textContent = "Could not reach VinylVault. Check your network and try again; your file is still selected.";
  } finally {
    removeEventListener("beforeunload", warn);
  }
}
