// Draws matrices as pictures, one cell an entry, and tells the entry under the pointer.
// window.shoalPictures holds for each picture its name and the function that maps an entry to its colour.
"use strict";
(function () {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const pictures = payload.pictures;
  if (!pictures) return;
  const { limit, centre, split, order, ticks, items } = pictures;
  const stops = [[11, 60, 93], [74, 141, 189], [255, 255, 255], [226, 139, 86], [140, 38, 12]];
  const unknown = "rgb(70, 70, 70)";
  const output = document.getElementById("entry");

  function shade(place) {
    const at = Math.min(3.999, (Math.max(-1, Math.min(1, place)) + 1) * 2);
    const [low, high] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
    const part = at - Math.floor(at);
    return `rgb(${low.map((value, i) => Math.round(value + part * (high[i] - value))).join(", ")})`;
  }

  function colour(value) {
    return value === null ? unknown : shade(Math.asinh(value / centre) / Math.asinh(limit / centre));
  }

  function draw(canvas, rows) {
    const size = rows.length;
    const cell = Math.max(6, Math.ceil(480 / size));
    canvas.width = canvas.height = cell * size;
    const pen = canvas.getContext("2d");
    rows.forEach((row, i) =>
      row.forEach((value, j) => {
        pen.fillStyle = colour(value);
        pen.fillRect(j * cell, i * cell, cell, cell);
      })
    );
    pen.fillStyle = "rgba(29, 39, 51, 0.45)";
    const edge = Math.max(1, Math.round(canvas.width / 240));
    if (split > 0 && split < size) {
      pen.fillRect(split * cell - edge / 2, 0, edge, canvas.height);
      pen.fillRect(0, split * cell - edge / 2, canvas.width, edge);
    }
  }

  function watch(canvas, item) {
    const size = item.rows.length;
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const place = (offset, length) => Math.max(0, Math.min(size - 1, Math.floor((offset / length) * size)));
      const i = place(event.clientY - box.top, box.height);
      const j = place(event.clientX - box.left, box.width);
      const value = item.rows[i][j];
      const text = value === null ? "not finite" : String(value).replace("-", "−");
      output.textContent = `${item.name}, coordinates (${order[i]}, ${order[j]}): ${text}`;
    });
    canvas.addEventListener("pointerleave", () => (output.textContent = "\u00a0"));
  }

  const drawn = (window.shoalPictures = { colour, names: [] });
  document.querySelectorAll("canvas[data-picture]").forEach((canvas) => {
    const item = items[Number(canvas.dataset.picture)];
    draw(canvas, item.rows);
    watch(canvas, item);
    drawn.names.push(item.name);
  });

  const bar = document.getElementById("scale");
  bar.width = 401;
  bar.height = 1;
  const pen = bar.getContext("2d");
  for (let i = 0; i < bar.width; i += 1) {
    pen.fillStyle = shade(i / 200 - 1);
    pen.fillRect(i, 0, 1, 1);
  }
  const labels = document.getElementById("ticks");
  for (const [place, text] of ticks) {
    const label = document.createElement("span");
    label.style.left = `${50 + 50 * place}%`;
    label.textContent = text;
    labels.append(label);
  }
})();
