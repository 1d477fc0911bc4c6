/** @file The toolbar of the wall: a filter acts when it is chosen, and the density changes without a reload or a loss of place. */

export function initFilters() {
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.(".toolbar [data-filters]");
    if (!form) return;
    const chosen = [...new FormData(form)].filter(([, value]) => value);
    location.assign(form.getAttribute("action") + (chosen.length ? `?${new URLSearchParams(chosen)}` : ""));
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-density]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || !document.querySelector("[data-append]")) return;
    event.preventDefault();
    changeDensity(link);
  });
}

/** @param {HTMLAnchorElement} link */
function changeDensity(link) {
  const inView = [...document.querySelectorAll(".wall > li")].find((item) => item.getBoundingClientRect().bottom > innerHeight / 3);
  const { density, sizes } = link.dataset;
  document.body.className = document.body.className.replace(/density-\w/, `density-${density}`);
  for (const image of document.querySelectorAll(".wall img.lazy-load")) image.sizes = sizes;
  for (const other of document.querySelectorAll("[data-density]")) {
    other.dataset.density === density ? other.setAttribute("aria-current", "true") : other.removeAttribute("aria-current");
  }
  document.querySelector("dialog.dialog")?.close();
  if (scrollY > innerHeight / 2) inView?.scrollIntoView({ block: "center", behavior: "instant" });
  fetch(link.href, { method: "HEAD", credentials: "same-origin" }).catch(() => {}); // the server remembers it for the next page
}
