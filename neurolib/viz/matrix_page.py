"""Style and script of the matrix viewer: what its HTML carries with it, so that it works on any page."""

CSS = """
.matrix-viewer { color-scheme: light dark; container-type: inline-size; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--pst-color-border, #8886); border-radius: 4px; font-size: 0.9rem; line-height: 1.4;
  color: var(--pst-color-text-base, CanvasText); --one: #0072b2; --two: #d55e00; }
html[data-theme="light"] .matrix-viewer, body[data-jp-theme-light="true"] .matrix-viewer { color-scheme: light; }
html[data-theme="dark"] .matrix-viewer, body[data-jp-theme-light="false"] .matrix-viewer { color-scheme: dark; }
@supports (color: light-dark(red, blue)) {
  .matrix-viewer { --one: light-dark(#0072b2, #6cc0f5); --two: light-dark(#d55e00, #ff9d5c); }
}
.mv-top { display: flex; flex-wrap: wrap; gap: 0.4rem 0.8rem; align-items: center; margin-bottom: 0.6rem; }
.mv-top label { display: flex; flex: 1 1 13rem; gap: 0.4rem; align-items: center; min-width: 0; max-width: 24rem; }
.mv-top label span { flex: none; } .mv-top [hidden] { display: none; }
.mv-top select, .mv-top button { font: inherit; color: inherit; min-height: 2.2rem; border-radius: 4px; min-width: 0;
  border: 1px solid var(--pst-color-border, #8889); background: var(--pst-color-surface, Canvas); }
.mv-top select { flex: 1 1 6rem; } .mv-top button { padding: 0 0.8rem; cursor: pointer; }
.mv-simulated { color: var(--two); font-weight: 700; font-size: 0.8em; }
.mv-main { display: grid; gap: 0.8rem; grid-template-columns: minmax(0, 1fr) minmax(0, 15rem); align-items: start; }
.mv-main canvas { display: block; width: 100%; cursor: crosshair; touch-action: manipulation; }
.mv-main canvas:focus-visible { outline: 3px solid var(--one); outline-offset: 2px; }
.mv-what { margin: 0 0 0.5rem; padding-left: 0.6rem; border-left: 4px solid var(--one); min-height: 4.2em;
  overflow-wrap: anywhere; }
.mv-pictures { display: flex; gap: 0.6rem; margin-bottom: 0.6rem; } .mv-pictures:empty { display: none; }
.mv-pictures i { flex: none; width: 80px; height: 80px; background-repeat: no-repeat; border-radius: 3px; }
.mv-rows { display: grid; grid-template-columns: minmax(0, 1fr) 3.4rem 3rem; gap: 0.12rem 0.5rem; font-size: 0.85em;
  font-variant-numeric: tabular-nums; align-items: center; }
.mv-rows b { font-weight: 600; } .mv-rows b, .mv-rows span { overflow-wrap: anywhere; }
.mv-rows .mv-value { text-align: right; }
.mv-rows u { text-decoration: none; height: 0.6em; background: linear-gradient(var(--one), var(--one)) no-repeat
  left / var(--size, 0%) 100%, #8884; border-radius: 2px; }
.mv-rows em { grid-column: 1 / -1; font-style: normal; opacity: 0.85; margin-top: -0.15rem; }
.mv-key { display: flex; gap: 0.5rem; align-items: center; font-size: 0.85em; margin-top: 0.4rem; }
.mv-note { margin: 0.3rem 0 0; font-size: 0.85em; opacity: 0.85; }
.mv-key i { flex: 1 1 auto; max-width: 12rem; height: 0.7rem; border-radius: 2px; }
@container (max-width: 34rem) {
  .mv-main { grid-template-columns: minmax(0, 1fr); } .mv-what { min-height: 2.8em; }
}
@media print { .mv-top, .mv-side { display: none; } .mv-main { grid-template-columns: minmax(0, 1fr); } }
html[data-theme="dark"] .bd-content .bd-article div.cell_output .text_html:has(.matrix-viewer) {
  background: transparent; color: inherit; padding: 0; }
"""

# Runs once per viewer. Values come as 16-bit steps between the ends of their table; 65535 stands for none.
JS = """(name) => {
  const root = document.getElementById(name), canvas = root.querySelector("canvas"), ink = canvas.getContext("2d");
  const { names, groups, tables, diagonal, sprite, start, wide } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const n = names.length, [upper, lower] = root.querySelectorAll("select"), next = root.querySelector("button");
  const what = root.querySelector(".mv-what"), rows = root.querySelector(".mv-rows"), key = root.querySelector(".mv-key i");
  const stops = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"]
    .map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)));
  key.style.background = `linear-gradient(90deg, ${stops.map((c) => `rgb(${c})`).join()})`;
  const steps = (text) => { const raw = atob(text); return Array.from({ length: raw.length / 2 }, (_, k) =>
    raw.charCodeAt(2 * k) + 256 * raw.charCodeAt(2 * k + 1)); };
  const ranked = (list) => { // middle ranks as shares, so that ties are one colour
    const order = list.map((_, k) => k).sort((a, b) => list[a] - list[b]), share = new Array(list.length);
    for (let a = 0, b; a < order.length; a = b) {
      for (b = a; b < order.length && list[order[b]] === list[order[a]]; b++);
      for (let k = a; k < b; k++) share[order[k]] = (a + b - 1) / 2 / (order.length - 1);
    }
    return share;
  };
  for (const table of tables) {
    const real = (list) => list.map((step) => step === 65535 ? NaN : table.floor + (table.ceiling - table.floor) * step / 65534);
    const list = steps(table.values);
    table.real = real(list);
    table.ends = ["low", "high"].map((end) => table[end] && real(steps(table[end])));
    table.share = table.ranked ? ranked(list) : table.real.map((x) => Math.min(Math.max((x - table.from) / (table.to - table.from), 0), 1));
  }
  const at = (i, j) => i < j ? i * (2 * n - i - 1) / 2 + j - i - 1 : at(j, i);
  const colour = (share) => {
    if (!(share >= 0)) return [128, 128, 128];
    const k = Math.min(Math.floor(share * 8), 7), w = share * 8 - k;
    return stops[k].map((c, m) => Math.round(c + w * (stops[k + 1][m] - c)));
  };
  const say = (x) => Number.isNaN(x) ? "none" : (x < 0 ? "\\u2212" : "") + Math.abs(x).toFixed(Math.abs(x) < 0.0995 ? 3 : 2);
  const sheet = document.createElement("canvas"), pictures = [...root.querySelectorAll(".mv-pictures i")];
  sheet.width = sheet.height = n;
  let cell = start, kept = start, gutter = 0, side = 1, jump = 0, jumps = [];
  function paint() {
    const image = new ImageData(n, n), pair = [tables[upper.value], tables[lower.value]];
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
      const one = pair[j >= i ? 0 : 1];
      const share = i === j ? (one.ranked ? 0 : Math.min(Math.max((diagonal - one.from) / (one.to - one.from), 0), 1)) : one.share[at(i, j)];
      image.data.set([...colour(share), 255], 4 * (i * n + j));
    }
    sheet.getContext("2d").putImageData(image, 0, 0);
    jump = 0;
    jumps = pair[0].share.map((share, k) => [Math.abs(share - pair[1].share[k]), k]).sort((a, b) => b[0] - a[0]).slice(0, 30).map((x) => x[1]);
    next.disabled = pair[0] === pair[1];
    draw();
  }
  function draw() {
    const width = canvas.clientWidth, sharp = window.devicePixelRatio || 1, text = getComputedStyle(root).color;
    gutter = width < 330 ? 0 : wide;
    const each = (width - gutter) / n, named = each >= 11 && n <= 40;
    side = width - gutter;
    canvas.style.height = `${side}px`;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(side * sharp);
    ink.setTransform(sharp, 0, 0, sharp, 0, 0);
    ink.imageSmoothingEnabled = false;
    ink.drawImage(sheet, gutter, 0, side, side);
    ink.strokeStyle = "#fff";
    ink.lineWidth = 1;
    ink.font = "11px sans-serif";
    ink.textAlign = "right";
    ink.textBaseline = "middle";
    ink.fillStyle = text;
    for (const [label, first, last] of groups) {
      const words = label.split(" "), middle = (first + last) / 2 * each;
      if (first) for (const flip of [0, 1]) {
        ink.beginPath();
        ink.moveTo(gutter + (flip ? first * each : 0), flip ? 0 : first * each);
        ink.lineTo(gutter + (flip ? first * each : side), flip ? side : first * each);
        ink.stroke();
      }
      if (gutter && !named) words.forEach((word, k) => ink.fillText(word, gutter - 5, middle + 12 * (k - (words.length - 1) / 2)));
    }
    if (gutter && named) names.forEach((label, k) => ink.fillText(label, gutter - 5, (k + 0.5) * each, gutter - 6));
    const [i, j] = cell;
    ink.strokeStyle = "#fff";
    ink.lineWidth = 3;
    ink.strokeRect(gutter + j * each - 2, i * each - 2, each + 4, each + 4);
    ink.strokeStyle = "#d55e00";
    ink.lineWidth = 2;
    ink.strokeRect(gutter + j * each - 3, i * each - 3, each + 6, each + 6);
  }
  function tell(spot) {
    cell = spot;
    const [i, j] = cell, top = i === j, shown = [upper.value, lower.value];
    what.textContent = top ? names[i] : `${names[i]} and ${names[j]}`;
    pictures.forEach((picture, k) => {
      const number = cell[k], { columns, size, count } = sprite, times = 80 / size;
      picture.style.backgroundImage = `url(${sprite.url})`;
      picture.style.backgroundSize = `${columns * 80}px ${Math.ceil(count / columns) * 80}px`;
      picture.style.backgroundPosition = `${-(number % columns) * size * times}px ${-Math.floor(number / columns) * size * times}px`;
    });
    const parts = tables.flatMap((table, k) => {
      const label = document.createElement(shown.includes(String(k)) ? "b" : "span"), bar = document.createElement("u"), value = document.createElement("span");
      const place = at(i, j), share = top ? NaN : table.share[place];
      label.textContent = table.name;
      if (share >= 0) bar.style.setProperty("--size", `${100 * share}%`);
      value.className = "mv-value";
      value.textContent = top ? say(diagonal) : say(table.real[place]);
      if (top || !table.ends[0] || Number.isNaN(table.ends[0][place])) return [label, bar, value];
      const ends = document.createElement("em");
      ends.textContent = `95 % interval ${say(table.ends[0][place])} to ${say(table.ends[1][place])}`;
      return [label, bar, value, ends];
    });
    rows.replaceChildren(...parts);
    draw();
  }
  const spot = (event) => {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left - gutter, y = event.clientY - box.top;
    const place = [y, x].map((v) => Math.floor(v / side * n));
    return place.every((k) => k >= 0 && k < n) ? place : null;
  };
  canvas.addEventListener("pointermove", (event) => { const place = spot(event); if (place && event.pointerType === "mouse") tell(place); });
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && tell(kept));
  canvas.addEventListener("click", (event) => { const place = spot(event); if (place) tell(kept = place); });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    tell(kept = kept.map((k, m) => Math.min(Math.max(k + move[m], 0), n - 1)));
  });
  next.addEventListener("click", () => {
    let k = jumps[jump++ % jumps.length], i = 0;
    while (k >= n - 1 - i) { k -= n - 1 - i; i++; }
    tell(kept = [i, i + 1 + k]);
  });
  for (const select of [upper, lower]) select.addEventListener("change", () => { paint(); tell(kept); });
  paint(); tell(kept);
  if (window.ResizeObserver) new ResizeObserver(draw).observe(root);
  new MutationObserver(draw).observe(document.documentElement, { attributes: true });
  root.dataset.ready = "1";
}"""
