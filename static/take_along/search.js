(() => {
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/ß/g, "ss").replace(/ø/g, "o").replace(/ł/g, "l").replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  const field = document.querySelector("input");
  const none = document.querySelector("#none");
  const rows = [...document.querySelectorAll("li")].map((row) => {
    const text = fold([...row.querySelectorAll("p > *, i")].map((part) => part.innerHTML.replace(/<br>/g, " ")).join(" ").replace(/&amp;/g, "&"));
    return { row, text: ` ${text}`, joined: text.replaceAll(" ", ""), wanted: row.className === "w" };
  });
  field.hidden = false;
  field.addEventListener("input", () => {
    const words = fold(field.value).split(" ").filter(Boolean);
    const joined = words.join("");
    let found = 0;
    let wanted = 0;
    for (const one of rows) {
      const fits = words.every((word) => one.text.includes(word)) || (joined.length > 3 && one.joined.includes(joined));
      one.row.hidden = !fits;
      found += fits && !one.wanted;
      wanted += fits && one.wanted;
    }
    none.hidden = found > 0;
    none.textContent = found ? "" : `You do not have “${field.value.trim()}”.${wanted ? " It is on your wantlist." : ""}`;
  });
})();
