// Draws the pictures, fits them to the paper, and hands the tables over as CSV.
"use strict";
const figures = [...document.querySelectorAll("[data-figure]")];
const settings = { displayModeBar: false, responsive: true };

function draw(place) {
  const { data, layout } = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  Plotly.newPlot(place, data, layout, settings);
}

// A picture in a closed <details> has no width yet: it is drawn when that is opened.
function drawVisible() {
  figures.filter((place) => place.offsetParent !== null && !place.data).forEach(draw);
}
drawVisible();
document.querySelectorAll("details").forEach((each) => each.addEventListener("toggle", drawVisible));

const PAPER = 690; // CSS pixels between the margins of a portrait A4 page
addEventListener("beforeprint", () => {
  drawVisible();
  for (const place of figures.filter((each) => each.offsetParent !== null)) {
    Plotly.relayout(place, { width: PAPER });
  }
});
addEventListener("afterprint", () => {
  for (const place of figures.filter((each) => each.data)) Plotly.relayout(place, { width: null, autosize: true });
});

document.addEventListener("click", ({ target }) => {
  if (target.dataset.csv) {
    const text = JSON.parse(document.getElementById(target.dataset.csv).textContent);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
    link.download = target.dataset.name;
    link.click();
    URL.revokeObjectURL(link.href);
  }
  if (target.dataset.rows) {
    const table = document.getElementById(target.dataset.rows);
    const all = table.classList.toggle("all");
    target.textContent = all ? "Show fewer rows" : target.dataset.text;
    target.setAttribute("aria-expanded", all);
  }
});
