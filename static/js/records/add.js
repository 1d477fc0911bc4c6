/** @file The page that adds a record: a photograph is sent as soon as it is taken; browsers that read barcodes do so themselves. */

const LONG_EDGE_PX = 2400;
const field = document.querySelector("#barcode");
const form = field.form;
const said = document.querySelector("[data-said]");
form.querySelector("button").hidden = true;

field.addEventListener("change", async () => {
  const [photo] = field.files;
  if (!photo) return;
  said.textContent = "Reading the barcode…";
  const digits = await readHere(photo);
  if (digits) {
    document.querySelector("#q").value = digits;
    document.querySelector("#q").form.requestSubmit();
    return;
  }
  await shrink(photo).catch(() => {});
  form.submit();
});

/** Read a barcode in the browser, where it can. @param {File} photo @returns {Promise<string>} */
async function readHere(photo) {
  if (!("BarcodeDetector" in window)) return "";
  try {
    const detector = new window.BarcodeDetector({ formats: ["ean_13", "upc_a"] });
    const found = new Set((await detector.detect(await createImageBitmap(photo))).map(({ rawValue }) => rawValue));
    return found.size === 1 ? [...found][0] : "";
  } catch {
    return "";
  }
}

/** Send a smaller photograph: the server reads no larger one, and a phone at the edge of the network sends it sooner. @param {File} photo */
async function shrink(photo) {
  const image = await createImageBitmap(photo);
  const scale = LONG_EDGE_PX / Math.max(image.width, image.height);
  if (scale >= 1) return;
  const canvas = Object.assign(document.createElement("canvas"), {
    width: Math.round(image.width * scale),
    height: Math.round(image.height * scale),
  });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  const files = new DataTransfer();
  files.items.add(new File([blob], "barcode.jpg", { type: "image/jpeg" }));
  field.files = files.files;
}
