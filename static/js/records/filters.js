/** @file Filters that act when they are chosen, and sleeves that change their size without losing the place. */

export function listenForTools() {
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.(".tools [data-filters]");
    if (!form) return;
    const chosen = [...new FormData(form)].filter(([, value]) => value);
    location.assign(form.getAttribute("action") + (chosen.length ? `?${new URLSearchParams(chosen)}` : ""));
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-density]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || !document.querySelector("[data-append]")) return;
    event.preventDefault();
    resize(link);
  });
}

/** @param {HTMLAnchorElement} link */
function resize(link) {
  const middle = [...document.querySelectorAll(".wall > li")].find((item) => item.getBoundingClientRect().bottom > innerHeight / 3);
  const { density, sizes } = link.dataset;
  document.body.className = document.body.className.replace(/density-\w/, `density-${density}`);
  for (const image of document.querySelectorAll(".wall img.lazy-load")) image.sizes = sizes;
  for (const one of document.querySelectorAll("[data-density]")) {
    one.dataset.density === density ? one.setAttribute("aria-current", "true") : one.removeAttribute("aria-current");
  }
  document.querySelector("dialog.sheet")?.close();
  if (scrollY > innerHeight / 2) middle?.scrollIntoView({ block: "center", behavior: "instant" });
  fetch(link.href, { method: "HEAD", credentials: "same-origin" }).catch(() => {}); // so that the next page comes in this size
}
