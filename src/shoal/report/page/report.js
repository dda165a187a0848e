// Draws the charts of the report from the payload that the page carries; no network, no storage.
// window.shoalViews holds the Vega views by name; window.shoalReady resolves when all are drawn.
"use strict";
(function () {
  const payload = JSON.parse(document.getElementById("payload").textContent);
  const views = (window.shoalViews = {});
  const options = {
    mode: "vega-lite",
    renderer: "canvas",
    config: payload.config,
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: "shoal",
  };

  // Columns of equal length -> rows.
  function toRows(columns) {
    const keys = Object.keys(columns);
    const count = keys.length ? columns[keys[0]].length : 0;
    return Array.from({ length: count }, (_, i) => {
      const row = {};
      for (const key of keys) row[key] = columns[key][i];
      return row;
    });
  }

  const datasets = {};
  for (const [name, columns] of Object.entries(payload.datasets)) datasets[name] = toRows(columns);

  async function draw(name, spec, own = {}) {
    const element = document.getElementById(name);
    try {
      if (views[name]) views[name].finalize();
      const result = await vegaEmbed(element, spec, { ...options, ...own });
      views[name] = result.view;
      return result.view;
    } catch (error) {
      const text = document.createElement("p");
      text.className = "failed";
      text.textContent = "This chart could not be drawn: " + error.message;
      element.replaceChildren(text);
      throw error;
    }
  }

  async function drawChart(name) {
    const spec = payload.charts[name];
    spec.datasets = { ...(spec.datasets || {}), ...datasets };
    await draw(name, spec);
  }

  // ---- data against samples -------------------------------------------------------------------------------

  // Two charts of one layout: the back one is drawn once, the front one, see-through, holds what is selected.
  const scatter = payload.scatter;
  const clear = "transparent";
  const back = { actions: false };
  const axis = { labelColor: clear, titleColor: clear, domainColor: clear, tickColor: clear };
  const front = { actions: false, config: { ...payload.config, background: clear, axis: { ...payload.config.axis, ...axis } } };
  let current = { set: 0, band: null };
  let rows = [];
  let selections = [];

  // A panel of its own size; encodings of the fields c0 and c1 go to two slots, whose columns give title and domain.
  function panel(spec, name, size, columns, slots, axes) {
    const made = { ...structuredClone(spec), ...size };
    for (const layer of made.layer) {
      if (layer.name) layer.name = name;
      for (const encoding of Object.values(layer.encoding)) {
        const place = /^c(\d)$/.exec(encoding.field || "");
        if (!place || !encoding.scale) continue;
        const slot = slots[Number(place[1])];
        encoding.field = "c" + slot;
        encoding.title = scatter.names[columns[slot]];
        encoding.scale.domain = scatter.domains[columns[slot]];
        if (!axes[Number(place[1])]) encoding.axis = null;
      }
    }
    return made;
  }

  // A lower triangle of panels, as large as the page allows, with axes only at the left and at the bottom; the panel of
  // condition numbers takes what is left of the first row.
  function layout(parts, columns) {
    const room = document.querySelector(".stack").clientWidth - 12;
    const margin = scatter.axis + 34;
    const last = columns.length - 1;
    const across = Math.max(last, 2);
    const width = Math.max(84, Math.min(300, Math.floor((room - margin - scatter.gap * (across - 1)) / across)));
    const height = Math.max(84, Math.round(width * (last > 3 ? 0.78 : 0.85)));
    const first = last ? width : Math.min(380, width * 1.3);
    const left = Math.max(200, Math.min(room - margin - first - scatter.gap - (last ? 70 : 100), 760));
    const wide = parts.wide ? [{ ...structuredClone(parts.wide), width: left, height }] : [];
    const size = { width: first, height };
    const names = [];
    const made = (slots, axes) => {
      names.push(["panel", ...slots].join("_"));
      return panel(parts.panel, names.at(-1), size, columns, slots, axes);
    };
    const rows = [];
    for (let up = 1; up <= last; up += 1) {
      const panels = Array.from({ length: up }, (_, slot) => made([slot, up], [up === last, slot === 0]));
      rows.push({ hconcat: [...panels, ...(up === 1 ? wide : [])], spacing: scatter.gap });
    }
    const spec = last
      ? { vconcat: rows, spacing: scatter.gap }
      : { hconcat: [made([0], [true]), ...wide], spacing: scatter.gap + 20 };
    spec.params = parts.brushes.map((name) => {
      const views = name === "brush" ? names : ["condition"];
      const encodings = name === "brush" && last ? ["x", "y"] : ["x"];
      return { name, select: { type: "interval", resolve: "global", encodings, mark: scatter.brush }, views };
    });
    return spec;
  }

  function pick(source, columns) {
    const picked = {};
    columns.forEach((column, slot) => (picked["c" + slot] = source[column]));
    return picked;
  }

  function inside(row, store) {
    return store.every((tuple) =>
      tuple.fields.every((field, i) => {
        const value = row[field.field];
        const [a, b] = tuple.values[i];
        return value !== null && value >= Math.min(a, b) && value <= Math.max(a, b);
      })
    );
  }

  function median(values) {
    const sorted = values.slice().sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  function figure(value) {
    if (Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3)) {
      const [mantissa, power] = value.toExponential(1).split("e");
      const digits = power.replace("+", "").replace(/[-\d]/g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || "⁻");
      return mantissa + " × 10" + digits;
    }
    return Number(value.toPrecision(3)).toLocaleString("en");
  }

  function describe(view) {
    const stores = selections.flatMap((name) => view.data(name));
    const chosen = rows.filter((row) => inside(row, stores));
    const output = document.getElementById("selected");
    output.dataset.count = chosen.length;
    if (stores.length === 0) {
      output.textContent = "Nothing is selected: all points are coloured.";
      return;
    }
    const known = (key, list) => list.map((row) => row[key]).filter((value) => value !== null);
    const k = known("k", chosen);
    const l = known("l", chosen);
    let text = chosen.length.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " points";
    if (k.length) text += " · κ median " + figure(median(k)) + " (all points: " + figure(median(known("k", rows))) + ")";
    if (l.length) text += " · " + scatter.level + ": mean " + (l.reduce((a, b) => a + b, 0) / l.length).toFixed(2).replace("-", "−");
    output.textContent = text;
  }

  async function drawScatter() {
    const columns = scatter.sets[current.set];
    const own = { k: scatter.condition, l: scatter.logProb, r: scatter.row };
    rows = toRows({ ...own, ...pick(scatter.data, columns) });
    const specs = {};
    for (const side of ["back", "front"]) {
      specs[side] = layout(scatter.specs[side], columns);
      specs[side].datasets = { points: rows, samples: toRows(pick(scatter.samples, columns)) };
    }
    for (const param of specs.front.params) {
      if (param.name === "band" && current.band) param.value = { x: current.band };
    }
    await draw("scatter-back", specs.back, back);
    const view = await draw("scatter", specs.front, front);
    selections = specs.front.params.map((param) => param.name + "_store"); // no band without condition numbers
    for (const name of selections) view.addDataListener(name, () => describe(view));
    describe(view);
  }

  async function savePicture() {
    const layers = [await views["scatter-back"].toCanvas(2), await views.scatter.toCanvas(2)];
    const canvas = document.createElement("canvas");
    canvas.width = layers[0].width;
    canvas.height = layers[0].height;
    const pen = canvas.getContext("2d");
    for (const layer of layers) pen.drawImage(layer, 0, 0);
    const link = document.createElement("a");
    link.download = "shoal-points.png";
    link.href = canvas.toDataURL("image/png");
    link.click();
  }

  function connect() {
    const list = document.getElementById("columns");
    if (list) {
      scatter.sets.forEach((columns, index) => {
        const option = document.createElement("option");
        const label = columns.map((column) => scatter.names[column]).join(", ");
        option.value = index;
        option.textContent = label.length > 110 ? label.slice(0, 107) + "…" : label;
        list.append(option);
      });
      list.addEventListener("change", () => {
        current.set = Number(list.value);
        window.shoalReady = drawScatter();
      });
    }
    const known = scatter.condition.filter((value) => value !== null);
    const worst = document.getElementById("worst");
    worst.hidden = known.length < 20;
    worst.addEventListener("click", () => {
      const from = known[Math.floor(known.length * 0.95)];
      current.band = [from, known[known.length - 1] * 1.0001];
      window.shoalReady = drawScatter();
    });
    document.getElementById("clear").addEventListener("click", () => {
      current.band = null;
      window.shoalReady = drawScatter();
    });
    document.getElementById("save").addEventListener("click", savePicture);
    let width = window.innerWidth;
    let timer = 0;
    window.addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (Math.abs(window.innerWidth - width) > 30) {
          width = window.innerWidth;
          window.shoalReady = drawScatter();
        }
      }, 250);
    });
  }

  window.shoalReady = (async () => {
    for (const name of Object.keys(payload.charts)) await drawChart(name);
    if (scatter) {
      connect();
      await drawScatter();
    }
    document.documentElement.dataset.ready = "yes";
  })();
})();
