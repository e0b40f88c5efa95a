"""Style and script of the feature browser: what its HTML carries with it, so that it works on any page."""

CSS = """
.feature-browser { color-scheme: light dark; container-type: inline-size; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--pst-color-border, #8886); border-radius: 4px; font-size: 0.9rem; line-height: 1.4;
  color: var(--pst-color-text-base, CanvasText); --one: #0072b2; --two: #d55e00; }
html[data-theme="light"] .feature-browser, body[data-jp-theme-light="true"] .feature-browser { color-scheme: light; }
html[data-theme="dark"] .feature-browser, body[data-jp-theme-light="false"] .feature-browser { color-scheme: dark; }
@supports (color: light-dark(red, blue)) {
  .feature-browser { --one: light-dark(#0072b2, #6cc0f5); --two: light-dark(#d55e00, #ff9d5c); }
}
.fb-top { display: flex; flex-wrap: wrap; gap: 0.4rem; align-items: center; margin-bottom: 0.5rem; }
.fb-top button, .fb-top input, .fb-top select { font: inherit; color: inherit; min-height: 2.2rem; border-radius: 4px;
  border: 1px solid var(--pst-color-border, #8889); background: var(--pst-color-surface, Canvas); min-width: 0; }
.fb-top button { cursor: pointer; padding: 0 0.8rem; }
.fb-top select { flex: 1 1 11rem; max-width: 100%; } .fb-top input { flex: 1 1 7rem; padding: 0 0.5rem; }
.fb-top label { display: flex; flex: 1 1 9rem; gap: 0.4rem; align-items: center; }
.fb-simulated { color: var(--two); font-weight: 700; font-size: 0.8em; }
.fb-what { margin: 0 0 0.5rem; padding-left: 0.6rem; border-left: 4px solid var(--one); min-height: 2.8em;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.fb-view { display: grid; gap: 0.6rem; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.fb-windows { grid-column: 1 / -1; display: grid; gap: 0.5rem; grid-template-columns: repeat(3, minmax(0, 1fr)); }
.fb-view figure { margin: 0; } .fb-view figcaption { font-size: 0.85em; opacity: 0.85; }
.fb-view h4 { grid-column: 1 / -1; margin: 0.2rem 0 0; font-size: 0.9em; font-weight: 600; }
.fb-keys span { margin-right: 1em; font-weight: 400; } .fb-keys i { display: inline-block; width: 1.3rem;
  vertical-align: 0.25em; margin-right: 0.3rem; border-top: 2px solid var(--ink); }
.fb-view svg { display: block; width: 100%; overflow: visible; }
.fb-view svg text { font-size: 11px; fill: currentColor; }
.fb-windows svg text { font-size: 9px; }
.fb-axis { stroke: currentColor; stroke-opacity: 0.35; fill: none; }
.fb-one { stroke: var(--one); fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.fb-area { fill: var(--one); fill-opacity: 0.25; stroke: none; } .fb-bar { fill: var(--one); fill-opacity: 0.7; }
.fb-b0, .fb-b1, .fb-b2 { fill: none; stroke: var(--ink); stroke-width: 1.6; stroke-linejoin: round; }
.fb-b0 { --ink: var(--two); } .fb-b1 { --ink: currentColor; stroke-dasharray: 5 2.5; border-top-style: dashed !important; }
.fb-b2 { --ink: #0a9a72; stroke-dasharray: 1.5 2.5; border-top-style: dotted !important; }
@container (max-width: 34rem) {
  .fb-view { grid-template-columns: minmax(0, 1fr); }
  .fb-windows { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .fb-windows svg text { font-size: 12px; }
}
@media print { .fb-top { display: none; } }
html[data-theme="dark"] .bd-content .bd-article div.cell_output .text_html:has(.feature-browser) {
  background: transparent; color: inherit; padding: 0; }
"""

# Runs once per browser. All panels are drawn already; the script chooses whose are shown.
JS = """(name) => {
  const root = document.getElementById(name);
  const features = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const [back, next] = root.querySelectorAll("button"), list = root.querySelector(".fb-list");
  const order = root.querySelector(".fb-order"), search = root.querySelector("input");
  let found = features.map((_, i) => i), current = 0;
  function tell(i) {
    current = i;
    root.querySelector(".fb-what").textContent = features[i].what;
    root.querySelector(".fb-view").innerHTML = features[i].view;
    list.value = String(i);
    const place = found.indexOf(i);
    back.disabled = place <= 0;
    next.disabled = place < 0 || place === found.length - 1;
  }
  function fill() {
    const words = search.value.toLowerCase().split(/\\s+/), key = order.value;
    found = features.map((_, i) => i).filter((i) => words.every((word) => features[i].words.includes(word)));
    if (key !== "given") found.sort((a, b) => (features[b][key] ?? -Infinity) - (features[a][key] ?? -Infinity));
    list.replaceChildren(...found.map((i) => new Option(features[i].name, i)));
    list.disabled = !found.length;
    if (!found.length) { list.add(new Option("nothing found", -1)); back.disabled = next.disabled = true; }
    else tell(found.includes(current) ? current : found[0]);
  }
  const step = (by) => { const i = found[found.indexOf(current) + by]; if (i !== undefined) tell(i); };
  back.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  list.addEventListener("change", () => tell(Number(list.value)));
  order.addEventListener("change", () => { fill(); if (found.length) tell(found[0]); });
  search.addEventListener("input", fill);
  fill();
  root.dataset.ready = "1";
}"""
