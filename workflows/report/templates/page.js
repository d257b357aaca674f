
"use strict";
// Sorting and filtering; without scripts the page is the same, in the ranking's own order.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.setAttribute("aria-sort", other === head ? (up ? "ascending" : "descending") : "none"));
    const body = table.tBodies[0];
    const key = row => row.cells[column].textContent.trim();
    const number = text => /^[+−-]?[\d.]/.test(text) ? parseFloat(text.replace("−", "-")) : NaN;
    const rows = [...body.rows].map(row => ({ row, text: key(row), value: number(key(row)) }));
    rows.sort((a, b) => {
      // Rows without a figure stay last, whichever way it is sorted.
      const empty = text => text === "–" || text === "";
      if (empty(a.text) !== empty(b.text)) return empty(a.text) ? 1 : -1;
      const order = Number.isNaN(a.value) || Number.isNaN(b.value) ? a.text.localeCompare(b.text, "en", { numeric: true }) : a.value - b.value;
      return up ? order : -order;
    });
    body.append(...rows.map(r => r.row));
  }));
}
const filter = document.getElementById("filter"), shown = document.getElementById("shown");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.getElementById("ranks").tBodies[0].rows];
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    count += !row.hidden;
  }
  shown.textContent = words.length ? `${count} of ${rows.length} rows` : "";
});
