/** @file The sliders of a preview: the image follows, or keeps the last slice until the new one is there. Shift with an arrow moves by ten. */
import { at } from "../shared/prefix.js";

const planes = document.querySelector("[data-slices]");
if (planes) start();

function start() {
  const sliders = [...planes.querySelectorAll("input[type=range]")];
  const numbers = [...planes.querySelectorAll("[data-number]")].map((text) => Number.parseInt(text.textContent, 10));
  for (const slider of sliders) {
    const figure = slider.closest("figure");
    const plane = [...planes.children].indexOf(figure);
    slider.hidden = false;
    figure.querySelector("[data-steps]").hidden = true;
    slider.addEventListener("input", () => {
      numbers[plane] = slider.valueAsNumber;
      figure.querySelector("[data-number]").textContent = `${slider.value} of ${slider.max}`;
      follow(figure, plane, slider, numbers);
    });
    slider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -10, ArrowDown: -10, ArrowRight: 10, ArrowUp: 10 }[event.key];
      if (!event.shiftKey || !step) return;
      event.preventDefault();
      slider.valueAsNumber += step;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
}

/** Load the slice of the slider; while one loads, only the latest position waits. */
async function follow(figure, plane, slider, numbers) {
  if (figure.dataset.loading) return;
  figure.dataset.loading = "1";
  let shown = 0;
  while (shown !== slider.valueAsNumber) {
    shown = slider.valueAsNumber;
    const next = new Image();
    next.src = at(`${planes.dataset.slices}${plane}.webp?at=${numbers.join(",")}&v=${planes.dataset.version}`);
    try {
      await next.decode();
    } catch {
      break; // the last slice stays
    }
    const image = figure.querySelector("img");
    image.src = next.src;
    image.alt = `${slider.getAttribute("aria-label")}, ${shown} of ${slider.max}`;
  }
  delete figure.dataset.loading;
}
