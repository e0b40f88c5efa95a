"""Style and script of the circuit graph: what its HTML carries with it, so that it works on any page."""

CSS = """
.circuit-graph { color-scheme: light dark; container-type: inline-size; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--pst-color-border, #8886); border-radius: 4px; font-size: 0.9rem; line-height: 1.4;
  color: var(--pst-color-text-base, CanvasText); --plus: #0072b2; --minus: #d55e00; --ground: #ffffff; }
html[data-theme="light"] .circuit-graph, body[data-jp-theme-light="true"] .circuit-graph { color-scheme: light; }
html[data-theme="dark"] .circuit-graph, body[data-jp-theme-light="false"] .circuit-graph { color-scheme: dark; }
@supports (color: light-dark(red, blue)) {
  .circuit-graph { --plus: light-dark(#0072b2, #6cc0f5); --minus: light-dark(#d55e00, #ff9d5c);
    --ground: var(--pst-color-background, Canvas); }
}
.cg-top { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; align-items: center; font-size: 0.9em; }
.cg-key::before { content: ""; display: inline-block; width: 1.5rem; vertical-align: 0.25em; margin-right: 0.35rem;
  border-top: 3px solid var(--ink); }
.cg-key.cg-dashed::before { border-top-style: dashed; border-top-width: 2px; }
.cg-simulated { color: var(--minus); font-weight: 700; font-size: 0.9em; }
.circuit-graph svg { display: block; width: 100%; overflow: visible; }
.cg-line { fill: none; stroke: var(--ink); stroke-width: var(--w); stroke-opacity: 0.75; stroke-linecap: butt; }
.cg-hit { fill: none; stroke: transparent; stroke-width: 14; pointer-events: stroke; cursor: pointer; }
.cg-edge.cg-left .cg-line { stroke-dasharray: 5 4; stroke-opacity: 0.5; }
.cg-plus { --ink: var(--plus); } .cg-minus { --ink: var(--minus); }
.cg-node { cursor: pointer; outline: none; }
.cg-node circle { fill: currentColor; stroke: var(--ground); stroke-width: 2; }
.cg-node .cg-touch { fill: transparent; stroke: none; }
.cg-node text, .cg-layer { font-size: 12px; fill: currentColor; stroke: var(--ground); stroke-width: 3px;
  paint-order: stroke; stroke-linejoin: round; text-anchor: middle; }
.cg-layer { font-weight: 600; opacity: 0.75; }
.cg-node.cg-idle { opacity: 0.45; }
.cg-node:focus-visible circle:not(.cg-touch) { stroke: var(--plus); stroke-width: 4; }
.cg-some .cg-edge:not(.cg-on) { opacity: 0.12; } .cg-some .cg-node:not(.cg-on) { opacity: 0.3; }
.cg-some .cg-edge.cg-on .cg-line { stroke-opacity: 1; } .cg-some .cg-node.cg-on text { font-weight: 600; }
.cg-detail { min-height: 2.8em; margin: 0.3rem 0 0.6rem; padding-left: 0.6rem; border-left: 4px solid var(--plus);
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cg-state { font-variant-numeric: tabular-nums; }
.cg-size { display: block; width: calc(100% - 12px); margin: 0.4rem 0 0 12px; height: 1.6rem; accent-color: var(--plus); }
.cg-curve { position: relative; height: 5rem; margin: 0.5rem 8px 0.5rem 20px; }
.cg-curve svg { position: absolute; inset: 0; height: 100%; }
.cg-curve svg * { vector-effect: non-scaling-stroke; fill: none; }
.cg-curve span { position: absolute; right: 100%; padding-right: 6px; font-size: 0.75em; opacity: 0.75; transform: translateY(-50%); }
.cg-axis { stroke: currentColor; stroke-opacity: 0.25; stroke-width: 1; }
.cg-now { stroke: currentColor; stroke-width: 1.5; }
.cg-sufficiency { --ink: light-dark(#007a5a, #3ddbac); stroke: var(--ink); stroke-width: 2.5; }
.cg-necessity { --ink: light-dark(#a8488a, #e6a3cc); stroke: var(--ink); stroke-width: 2.5; stroke-dasharray: 6 4; }
.cg-dot { stroke-width: 6; stroke-linecap: round; stroke-dasharray: none; }
.circuit-graph table { font-size: 0.9em; border-collapse: collapse; }
.circuit-graph td, .circuit-graph th { padding: 0.1rem 0.8rem 0.1rem 0; text-align: left; font-variant-numeric: tabular-nums; }
.circuit-graph summary { cursor: pointer; }
@media print { .cg-size, .cg-detail, .circuit-graph details { display: none; } }
html[data-theme="dark"] .bd-content .bd-article div.cell_output .text_html:has(.circuit-graph) {
  background: transparent; color: inherit; padding: 0; }
"""

# Runs once per graph: hover shows, a tap or a click keeps; on a phone layers run from top to bottom.
JS = """(name) => {
  const root = document.getElementById(name), svg = root.querySelector(".cg-graph");
  const { nodes, edges, curve, layers } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const dots = [...svg.querySelectorAll(".cg-node")], lines = [...svg.querySelectorAll(".cg-edge")];
  const heads = [...svg.querySelectorAll(".cg-layer")], slider = root.querySelector(".cg-size");
  const detail = root.querySelector(".cg-detail"), state = root.querySelector(".cg-state"), hint = detail.textContent;
  const most = Math.max(...layers.map((layer) => layer.count));
  const say = (x) => (x > 0 ? "+" : x < 0 ? "\\u2212" : "") + Math.abs(x).toPrecision(3);
  let kept = null, at = [], shown = edges.length, width = 0;
  const place = (element, x, y) => element.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  const cut = (text, room) => { // the ends of a path tell more than its middle
    const front = Math.max(Math.floor(room / 3), 1), back = Math.max(room - 1 - front, 1);
    return text.length <= room ? text : text.slice(0, front) + "\\u2026" + text.slice(-back);
  };
  function lay() {
    const w = Math.max(root.querySelector(".cg-top").clientWidth, 240);
    if (w === width) return;
    width = w;
    const down = w < 540 && most <= Math.max(layers.length, 4), n = layers.length;
    const h = down ? 88 * n : Math.max(170, 44 * most + 34);
    svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
    svg.style.height = `${h}px`;
    at = nodes.map(({ layer, rank }) => {
      const along = (layer + 0.5) / n, across = (rank + 0.5) / layers[layer].count;
      return down ? [across * w, along * h - 6] : [along * w, 26 + across * (h - 34)];
    });
    dots.forEach((dot, i) => {
      place(dot, ...at[i]);
      const room = Math.floor(w / (down ? layers[nodes[i].layer].count : n) / 6.8);
      dot.querySelector("text").textContent = cut(nodes[i].label, room);
    });
    heads.forEach((head, i) => {
      down ? place(head, 0, (i + 0.5) * h / n - 24) : place(head, (i + 0.5) * w / n, 12);
      head.style.textAnchor = down ? "start" : "middle";
      head.textContent = cut(layers[i].name, Math.floor((down ? w : w / n) / 7.2));
    });
    lines.forEach((line, i) => {
      const [s, r] = edges[i], [[x, y], [u, v]] = [at[s], at[r]], skipped = Math.abs(nodes[s].layer - nodes[r].layer) - 1;
      const bend = skipped < 0 ? 34 : 0, bow = 12 * Math.max(skipped, 0), mid = down ? (y + v) / 2 : (x + u) / 2;
      const d = down ? `M${x} ${y}C${x - bow} ${mid + bend} ${u - bow} ${mid + bend} ${u} ${v}`
        : `M${x} ${y}C${mid + bend} ${y - bow} ${mid + bend} ${v - bow} ${u} ${v}`; // around the layers it skips
      for (const path of line.children) path.setAttribute("d", d);
    });
  }
  const name_of = (i) => nodes[i].label;
  const strongest = (list, end) => list.length ? `${name_of(edges[list[0]][end])} ${say(edges[list[0]][2])}` : "";
  function light(chosen) {
    svg.classList.toggle("cg-some", chosen !== null);
    const on = new Set(), near = new Set();
    if (chosen?.edge !== undefined) { on.add(chosen.edge); near.add(edges[chosen.edge][0]).add(edges[chosen.edge][1]); }
    else if (chosen) { near.add(chosen.node); edges.forEach(([s, r], i) => {
      if (i < shown && (s === chosen.node || r === chosen.node)) { on.add(i); near.add(s).add(r); } }); }
    lines.forEach((line, i) => line.classList.toggle("cg-on", on.has(i)));
    dots.forEach((dot, i) => dot.classList.toggle("cg-on", near.has(i)));
    if (!chosen) detail.textContent = hint;
    else if (chosen.edge !== undefined) {
      const [s, r, score, member] = edges[chosen.edge];
      detail.textContent = `${name_of(s)} \\u2192 ${name_of(r)}: score ${say(score)}, number ${chosen.edge + 1} of ${edges.length} by size, ${member ? "kept in the circuit" : "not kept"}`;
    } else {
      const into = [...on].filter((i) => edges[i][1] === chosen.node), out = [...on].filter((i) => edges[i][0] === chosen.node);
      const part = (list, word, end) => `${list.length} shown edge${list.length === 1 ? "" : "s"} ${word}${list.length ? `, strongest ${strongest(list, end)}` : ""}`;
      detail.textContent = `${name_of(chosen.node)}: ${part(into, "in", 0)}; ${part(out, "out", 1)}`;
    }
  }
  function resize() {
    shown = Number(slider.value);
    const used = new Set();
    edges.forEach(([s, r], i) => { lines[i].style.display = i < shown ? "" : "none"; if (i < shown) used.add(s).add(r); });
    dots.forEach((dot, i) => dot.classList.toggle("cg-idle", !used.has(i)));
    let text = `strongest ${shown} of ${edges.length} edges`;
    if (curve.length) {
      const best = curve.reduce((a, b) => Math.abs(b.size - shown) < Math.abs(a.size - shown) ? b : a);
      text += best.size === shown ? ":" : `; measured with ${best.size}:`;
      text += ` sufficiency ${best.sufficiency.toFixed(2)}` + (best.necessity === null ? "" : `, necessity ${best.necessity.toFixed(2)}`);
      const now = root.querySelector(".cg-now"), x = 1000 * shown / slider.max;
      now.setAttribute("x1", x); now.setAttribute("x2", x);
    }
    state.textContent = text;
    slider.setAttribute("aria-valuetext", text);
    if (kept?.edge >= shown) kept = null;
    light(kept);
  }
  const listen = (element, chosen) => {
    element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && light(chosen));
    element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && light(kept));
    element.addEventListener("click", (event) => { event.stopPropagation(); light(kept = chosen); });
  };
  lines.forEach((line, i) => listen(line, { edge: i }));
  dots.forEach((dot, i) => {
    let step = -1;
    listen(dot, { node: i });
    dot.addEventListener("focus", () => { step = -1; light(kept = { node: i }); });
    dot.addEventListener("keydown", (event) => {
      const mine = edges.map((_, k) => k).filter((k) => k < shown && (edges[k][0] === i || edges[k][1] === i));
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") light(kept = null);
      if (!move || !mine.length) return;
      event.preventDefault();
      step = (step + move + mine.length + (step < 0 && move < 0 ? 1 : 0)) % mine.length;
      light(kept = { edge: mine[step] });
    });
  });
  svg.addEventListener("click", () => light(kept = null));
  slider.addEventListener("input", resize);
  lay(); resize();
  if (window.ResizeObserver) new ResizeObserver(lay).observe(root);
  root.dataset.ready = "1";
}"""
