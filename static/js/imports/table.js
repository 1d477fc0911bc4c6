/** @file A table on its way to this machine: dots for how much is out, and the page that it leads to. Without this the browser sends the form. */
import { sendForm } from "../shared/api.js";

const main = document.querySelector("main");
main.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-send]");
  if (!form) return;
  event.preventDefault();
  send(form);
});

/** @param {HTMLFormElement} form */
async function send(form) {
  const [dots, says, button] = ["progress", "[data-send-says]", "button"].map((name) => form.querySelector(name));
  const stay = (event) => event.preventDefault(); // leaving would cut the file
  button.disabled = true;
  dots.hidden = false;
  says.textContent = "Sending";
  addEventListener("beforeunload", stay);
  try {
    const { page } = await sendForm(form, (share) => {
      dots.value = share;
      says.textContent = share < 1 ? `Sending, ${Math.floor(share * 100)}%` : "Looking through it";
    });
    main.replaceChildren(...page.querySelector("main").childNodes);
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
    dispatchEvent(new Event("tasks-drawn"));
  } catch {
    button.disabled = false;
    dots.hidden = true;
    says.textContent = "This machine cannot be reached. The file is still chosen.";
  } finally {
    removeEventListener("beforeunload", stay);
  }
}
