"""A training, checkpoint by checkpoint: curves and a map of conditions in, HTML with a slider out.

Left: scores over steps with a mark at the checkpoint. Right: where a network and the cortex put each condition, in a
plane that they share. All is drawn here as SVG; a line of script moves it with the slider, which keys move too.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

INKS = ("#0072b2", "#d55e00", "#0a9a72", "#cc79a7")

CSS = """
.training-slider { color-scheme: light dark; container-type: inline-size; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--pst-color-border, #8886); border-radius: 4px; font-size: 0.9rem;
  color: var(--pst-color-text-base, CanvasText); }
html[data-theme="light"] .training-slider, body[data-jp-theme-light="true"] .training-slider { color-scheme: light; }
html[data-theme="dark"] .training-slider, body[data-jp-theme-light="false"] .training-slider { color-scheme: dark; }
.training-slider input { width: 100%; min-height: 2.2rem; accent-color: #0072b2; }
.training-slider p { margin: 0.2rem 0; min-height: 2.8em; font-variant-numeric: tabular-nums; }
.training-slider .ts-view { display: grid; gap: 0.6rem; grid-template-columns: 3fr 2fr; }
.training-slider svg { display: block; width: 100%; overflow: visible; }
.training-slider svg:last-child { max-width: 17rem; margin: auto; }
.training-slider svg text { font-size: 11px; fill: currentColor; }
.training-slider .ts-axis { stroke: currentColor; stroke-opacity: 0.4; fill: none; }
.training-slider .ts-mark { stroke: currentColor; stroke-width: 1.5; stroke-dasharray: 4 3; }
.training-slider .ts-simulated { color: #d55e00; font-weight: 700; font-size: 0.8em; float: right; }
@container (max-width: 34rem) { .training-slider .ts-view { grid-template-columns: minmax(0, 1fr); }
  .training-slider svg text { font-size: 13px; } }
html[data-theme="dark"] .bd-content .bd-article div.cell_output .text_html:has(.training-slider) {
  background: transparent; color: inherit; padding: 0; }
"""

JS = """(name) => {
  const root = document.getElementById(name), slider = root.querySelector("input");
  const states = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  slider.addEventListener("input", () => {
    const state = states[Number(slider.value)];
    root.querySelector("p").textContent = state.what;
    root.querySelector(".ts-view").innerHTML = state.view;
    slider.setAttribute("aria-valuetext", state.what);
  });
  root.dataset.ready = "1";
}"""


def training_slider(name: str, *args, **options) -> None:
    """Display :func:`page_html` on a page or in JupyterLab; same arguments."""
    from IPython.display import display

    display({"text/html": page_html(name, *args, **options), "text/plain": f"[training {name}]"}, raw=True)


def page_html(
    name: str,
    steps: Sequence[int],
    curves: Mapping[str, ArrayLike],
    places: ArrayLike,
    cortex: ArrayLike,
    *,
    simulated: bool = False,
) -> str:
    """The figure as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    steps : sequence of int
        Rising and positive, one per checkpoint.
    curves : dict of array, shape (n_checkpoints,)
        At most four; each is drawn between its own least and greatest value.
    places : array_like, shape (n_checkpoints, n_conditions, 2)
        Where the network puts each condition.
    cortex : array_like, shape (n_conditions, 2)
        Where the cortex does.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If the name will not do as an id, or shapes do not match.

    Examples
    --------
    >>> text = page_html("way", [1, 10], {"R2": [0.0, 0.5]}, np.zeros((2, 3, 2)), np.ones((3, 2)))
    >>> "step 10: R2 0.500." in text
    True
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    places, cortex, at = np.asarray(places, float), np.asarray(cortex, float), np.asarray(steps, float)
    lines = {label: np.asarray(curve, float) for label, curve in curves.items()}
    wrong = [label for label, line in lines.items() if line.shape != at.shape]
    if wrong or len(lines) > len(INKS) or places.shape != (len(at), *cortex.shape) or cortex.shape[1] != 2:
        raise ValueError(
            f"{name}: places {places.shape}, cortex {cortex.shape}, {len(lines)} curves ({wrong} not of {at.shape})"
        )
    if len(at) < 2 or not (at > 0).all() or not (np.diff(at) > 0).all():
        raise ValueError(f"{name}: steps {list(steps)} must be two or more, positive and rising")
    reach = max(np.abs(places).max(), np.abs(cortex).max(), 1e-9)
    states = []
    for k, step in enumerate(steps):
        told = ", ".join(f"{label} {line[k]:.3f}" for label, line in lines.items())
        view = _curves(at, lines, k) + _map(places[k] / reach, cortex / reach)
        states.append({"what": f"step {step}: {told}.", "view": view})
    last = len(at) - 1
    text = json.dumps(states, separators=(",", ":")).replace("<", "\\u003c")
    mark = '<span class="ts-simulated">SIMULATED</span>' if simulated else ""
    return (
        f'<style>{CSS}</style><div class="training-slider" id="{name}">{mark}<label>checkpoint'
        f'<input type="range" min="0" max="{last}" step="1" value="{last}" '
        f'aria-valuetext="{html.escape(states[last]["what"])}"></label>'
        f'<p role="status" aria-live="polite">{html.escape(states[last]["what"])}</p>'
        f'<div class="ts-view">{states[last]["view"]}</div>'
        f'<script type="application/json">{text}</script></div><script>({JS})("{name}")</script>'
    )


def _curves(at: np.ndarray, lines: Mapping[str, np.ndarray], k: int) -> str:
    x = 20 + 320 * np.log(at / at[0]) / np.log(at[-1] / at[0])
    parts = ['<path class="ts-axis" d="M20 10V170H340"/>']
    for number, (label, line) in enumerate(lines.items()):
        y = 165 - 150 * (line - line.min()) / max(np.ptp(line), 1e-12)
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        ink = INKS[number]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x[k]:.1f}" cy="{y[k]:.1f}" r="4" fill="{ink}"/>')
        row = 208 + 15 * number
        parts.append(f'<circle cx="26" cy="{row - 4}" r="4" fill="{ink}"/>')
        parts.append(
            f'<text x="36" y="{row}">{html.escape(label)}: {line.min():.3f} to {line.max():.3f}</text>'
        )
    parts.append(f'<line class="ts-mark" x1="{x[k]:.1f}" x2="{x[k]:.1f}" y1="10" y2="170"/>')
    parts.append(
        f'<text x="20" y="186">{at[0]:g}</text><text x="340" y="186" text-anchor="end">{at[-1]:g} steps</text>'
    )
    high = 212 + 15 * len(lines)
    return f'<svg viewBox="0 0 350 {high}" role="img" aria-label="scores over training steps">{"".join(parts)}</svg>'


def _map(place: np.ndarray, cortex: np.ndarray) -> str:
    parts = []
    for (a, b), (c, d) in zip(100 + 85 * place, 100 + 85 * cortex, strict=True):
        parts.append(f'<line class="ts-axis" x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>')
        parts.append(
            f'<circle cx="{c:.1f}" cy="{d:.1f}" r="5" fill="none" stroke="{INKS[1]}" stroke-width="2"/>'
        )
        parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{INKS[0]}"/>')
    parts.append(f'<circle cx="16" cy="213" r="4" fill="{INKS[0]}"/><text x="25" y="217">network</text>')
    parts.append(f'<circle cx="96" cy="213" r="5" fill="none" stroke="{INKS[1]}" stroke-width="2"/>')
    parts.append('<text x="106" y="217">other half</text>')
    return f'<svg viewBox="0 0 200 222" role="img" aria-label="conditions in a shared plane">{"".join(parts)}</svg>'
