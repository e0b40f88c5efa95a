"""Style and script of the model diagram: what its HTML carries with it, so that it works on any page."""

CSS = """
.model-diagram { color-scheme: light dark; container-type: inline-size; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--pst-color-border, #8886); border-radius: 4px; font-size: 0.9rem;
  color: var(--pst-color-text-base, CanvasText); }
html[data-theme="light"] .model-diagram { color-scheme: light; }
html[data-theme="dark"] .model-diagram { color-scheme: dark; }
.md-top { display: flex; flex-wrap: wrap; gap: 0.4rem 1rem; align-items: center; margin-bottom: 0.6rem; }
.md-total { font-variant-numeric: tabular-nums; }
.md-simulated { color: #c04a00; font-weight: 700; font-size: 0.8em; }
html[data-theme="dark"] .md-simulated { color: #ff9d5c; }
.model-diagram button { font: inherit; color: inherit; cursor: pointer; border-radius: 4px;
  border: 1px solid var(--pst-color-border, #8889); background: var(--pst-color-surface, #8881); }
.md-preset { padding: 0.25rem 0.8rem; margin-right: 0.3rem; min-height: 2rem; }
.md-preset[aria-pressed="true"] { border-color: #0072b2; box-shadow: inset 0 0 0 1px #0072b2; font-weight: 600; }
.md-row { display: grid; gap: 0.4rem; grid-template-columns: repeat(var(--n), minmax(0, 1fr)); }
.md-box { display: flex; flex-direction: column; gap: 0.15rem; align-items: center; justify-content: space-between;
  padding: 0.4rem 0.25rem 0.3rem; min-height: 3.2rem; text-align: center; line-height: 1.25; min-width: 0; }
.md-box b { font-weight: 600; overflow-wrap: anywhere; }
.md-shape { font-size: 0.85em; font-variant-numeric: tabular-nums; opacity: 0.85; }
.md-share { align-self: stretch; height: 0.3rem; border-radius: 2px; background: #8883; }
.md-share i { display: block; height: 100%; border-radius: 2px; background: #e69f00; min-width: 1px; }
.md-box.md-on, .md-box:focus-visible { outline: 2px solid #0072b2; outline-offset: 1px; }
.md-flow { width: 0; height: 0.9rem; margin: 0.1rem auto; position: relative; border-left: 2px solid #8889; }
.md-flow::after { content: ""; position: absolute; left: -6px; bottom: 0; border: 5px solid transparent;
  border-bottom: 0; border-top: 6px solid #8889; }
.md-detail { margin-top: 0.7rem; padding: 0.6rem 0.8rem; border-left: 4px solid #0072b2; border-radius: 2px;
  background: var(--pst-color-surface, #8881); min-height: 10.5rem; }
.md-detail p { margin: 0 0 0.4rem; }
.md-detail dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.1rem 0.9rem; margin: 0; }
.md-detail dt { font-weight: 400; opacity: 0.75; margin: 0; }
.md-detail dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
@container (max-width: 34rem) {
  .md-row { grid-template-columns: repeat(min(var(--n), 3), minmax(0, 1fr)); }
  .md-row[style*="--n:7"] { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .md-shape { font-size: 0.75em; }
  .md-detail { min-height: 0; margin: 0.4rem 0; }
}
html[data-theme="dark"] .bd-content .bd-article div.cell_output .text_html:has(.model-diagram) {
  background: transparent; color: inherit; padding: 0; }
"""

# Runs once per diagram: hover shows, a tap or a click keeps.
JS = """(name, start) => {
  const root = document.getElementById(name);
  const { presets, about } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const boxes = [...root.querySelectorAll(".md-box")], chosen = [...root.querySelectorAll(".md-preset")];
  const detail = root.querySelector(".md-detail");
  const number = (n) => n.toLocaleString("en").replaceAll(",", "\\u202f");
  let preset = chosen[0].dataset.preset, kept = start, shown = start;
  const total = () => Object.values(presets[preset]).reduce((sum, stage) => sum + stage[2], 0);
  const put = (parent, tag, text) => { const e = parent.appendChild(document.createElement(tag)); e.textContent = text; return e; };
  function tell(key) {
    shown = key;
    const [takes, gives, size] = presets[preset][key], [label, text] = about[key];
    detail.replaceChildren();
    put(put(detail, "p", ""), "b", label);
    put(detail, "p", text);
    const list = put(detail, "dl", "");
    for (const [word, value] of [["takes", takes], ["gives", gives],
        ["parameters", `${number(size)}, ${(100 * size / total()).toFixed(1)} %`]])
      if (value) { put(list, "dt", word); put(list, "dd", value); }
    for (const box of boxes) box.classList.toggle("md-on", box.dataset.stage === key);
  }
  function size() {
    root.querySelector(".md-total").textContent = `${number(total())} parameters`;
    for (const box of boxes) {
      const [, gives, n] = presets[preset][box.dataset.stage], parts = gives.split("; ");
      box.querySelector(".md-shape").textContent = parts.length > 1 ? `${parts.length} shapes` : gives;
      box.querySelector("i").style.width = `${100 * n / total()}%`;
    }
    for (const button of chosen) button.setAttribute("aria-pressed", String(button.dataset.preset === preset));
    tell(shown);
  }
  for (const box of boxes) {
    const key = box.dataset.stage;
    box.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && tell(key));
    box.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && tell(kept));
    box.addEventListener("focus", () => tell(key));
    box.addEventListener("click", () => {
      kept = key;
      tell(key);
      const row = box.parentElement, before = box.getBoundingClientRect().top;
      if (root.clientWidth < 540) row.after(detail); else root.append(detail); // on a phone, below what was tapped
      window.scrollBy(0, box.getBoundingClientRect().top - before);
    });
  }
  for (const button of chosen) button.addEventListener("click", () => { preset = button.dataset.preset; size(); });
  size();
  root.dataset.ready = "1";
}"""
