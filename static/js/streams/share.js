/** @file The button that hands a new link to the share sheet of a phone. Browsers without one, and pages over plain http, do not show it. */
for (const button of document.querySelectorAll("[data-sends]")) {
  if (!navigator.share) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const url = document.getElementById(button.dataset.sends).value;
    try {
      await navigator.share({ title: button.dataset.title, url });
    } catch {
      // Closed by the person, or refused by the phone: the link is still there to copy.
    }
  });
}
