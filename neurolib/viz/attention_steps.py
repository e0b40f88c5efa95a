"""Attention of every head while a model is trained: weights per checkpoint in, HTML with a slider out.

Each head's maps of all checkpoints are one picture, of which the slider moves the part that is seen; a few lines of
script, no server, and the last checkpoint stands on the page without any.
"""

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.image
import numpy as np
from numpy.typing import ArrayLike, NDArray

INK = (0x1F, 0x86, 0xC9)  # of full attention; seen on white and on black

CSS = """
.attention-steps { color-scheme: light dark; container-type: inline-size; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--pst-color-border, #8886); border-radius: 4px; font-size: 0.9rem; line-height: 1.35;
  color: var(--pst-color-text-base, CanvasText); }
html[data-theme="light"] .attention-steps, body[data-jp-theme-light="true"] .attention-steps { color-scheme: light; }
html[data-theme="dark"] .attention-steps, body[data-jp-theme-light="false"] .attention-steps { color-scheme: dark; }
.as-top { display: flex; flex-wrap: wrap; gap: 0.3rem 0.8rem; align-items: center; }
.as-top label { display: flex; flex: 1 1 16rem; gap: 0.6rem; align-items: center; min-width: 0; }
.as-top input { flex: 1 1 8rem; min-width: 0; min-height: 2.2rem; }
.as-simulated { color: #d55e00; font-weight: 700; font-size: 0.8em; }
.as-state { margin: 0.2rem 0 0.5rem; padding-left: 0.6rem; border-left: 4px solid #1f86c9; min-height: 1.4em;
  font-variant-numeric: tabular-nums; }
.as-heads { display: grid; gap: 0.7rem 0.5rem; grid-template-columns: repeat(var(--n), minmax(0, 1fr)); }
.as-heads figure { margin: 0; min-width: 0; }
.as-map { position: relative; aspect-ratio: 1; border: 1px solid #8886; background-size: 100% auto;
  background-repeat: no-repeat; image-rendering: pixelated; }
.as-map svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.as-map line { stroke: #d55e00; stroke-width: 0.15; stroke-dasharray: 0.7 0.7; }
.as-heads figcaption { font-size: 0.85em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.as-heads figcaption b { display: block; font-weight: 600; }
@container (max-width: 34rem) { .as-heads { grid-template-columns: repeat(min(var(--n), 2), minmax(0, 1fr)); } }
@media print { .as-top { display: none; } }
html[data-theme="dark"] .bd-content .bd-article div.cell_output .text_html:has(.attention-steps) {
  background: transparent; color: inherit; padding: 0; }
"""

JS = """(name) => {
  const root = document.getElementById(name), slider = root.querySelector("input");
  const { states, scores } = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const maps = [...root.querySelectorAll(".as-map")], texts = [...root.querySelectorAll(".as-score")];
  const tell = () => {
    const at = Number(slider.value), last = Math.max(states.length - 1, 1);
    root.querySelector(".as-state").textContent = states[at];
    slider.setAttribute("aria-valuetext", states[at]);
    maps.forEach((map) => { map.style.backgroundPosition = `0 ${100 * at / last}%`; });
    texts.forEach((text, head) => { text.textContent = scores[at][head]; });
  };
  slider.addEventListener("input", tell);
  tell();
  root.dataset.ready = "1";
}"""


def attention_steps(name: str, states: Sequence[str], weights: ArrayLike, **options: Any) -> None:
    """Display :func:`page_html` on a page or in JupyterLab; same arguments."""
    from IPython.display import display

    text = page_html(name, states, weights, **options)
    display({"text/html": text, "text/plain": f"[attention {name}]"}, raw=True)


def page_html(
    name: str,
    states: Sequence[str],
    weights: ArrayLike,
    *,
    scores: Mapping[str, ArrayLike] | None = None,
    back: int | None = None,
    simulated: bool = False,
) -> str:
    """The slider and the maps as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    states : sequence of str
        What each checkpoint is called, the last is shown first.
    weights : array_like, shape (n_states, n_layers, n_heads, n, n)
        Between 0 and 1; rows are queries.
    scores : mapping of str to array, shape (n_states, n_layers, n_heads)
        Numbers written below the map of a head.
    back : int, optional
        Places back at which two lines are drawn, one on either side of what is to be seen.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If the name will not do as an id, or the arrays do not fit the states.

    Examples
    --------
    >>> text = page_html("one", ["step 0", "step 9"], np.ones((2, 1, 1, 3, 3)) / 3, back=2)
    >>> text.count("<figure>"), "step 9" in text
    (1, True)
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    maps = np.asarray(weights, float)
    if maps.ndim != 5 or not states or len(maps) != len(states) or maps.shape[3] != maps.shape[4]:
        raise ValueError(
            f"{name}: weights {maps.shape} for {len(states)} states; want (state, layer, head, n, n)"
        )
    if not (maps.min() >= -1e-6 and maps.max() <= 1 + 1e-6):
        raise ValueError(
            f"{name}: weights from {maps.min():.3g} to {maps.max():.3g}; want them between 0 and 1"
        )
    numbers = {key: np.asarray(values, float) for key, values in (scores or {}).items()}
    for key, values in numbers.items():
        if values.shape != maps.shape[:3]:
            raise ValueError(f"{name}: scores {key!r} {values.shape}; want one per map, {maps.shape[:3]}")
    n_states, n_layers, n_heads = maps.shape[:3]
    heads = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    texts = [
        [" · ".join(f"{key} {values[at][one]:.2f}" for key, values in numbers.items()) for one in heads]
        for at in range(n_states)
    ]
    figures = "".join(
        f'<figure><div class="as-map" role="img" aria-label="attention of layer {layer + 1}, head {head + 1}" '
        f"style=\"background-image:url('{_strip(maps[:, layer, head])}');background-position:0 100%\">"
        f"{_lines(maps.shape[-1], back)}</div>"
        f"<figcaption><b>layer {layer + 1}, head {head + 1}</b>"
        f'<span class="as-score">{html.escape(text)}</span></figcaption></figure>'
        for (layer, head), text in zip(heads, texts[-1], strict=True)
    )
    data = json.dumps({"states": list(states), "scores": texts}, separators=(",", ":")).replace(
        "<", "\\u003c"
    )
    mark = '<span class="as-simulated">SIMULATED</span>' if simulated else ""
    last = n_states - 1
    return (
        f'<style>{CSS}</style><div class="attention-steps" id="{name}"><div class="as-top"><label>checkpoint '
        f'<input type="range" min="0" max="{last}" value="{last}" step="1"></label>{mark}</div>'
        f'<p class="as-state" role="status" aria-live="polite">{html.escape(states[-1])}</p>'
        f'<div class="as-heads" style="--n:{n_heads}">{figures}</div>'
        f'<script type="application/json">{data}</script></div><script>({JS})("{name}")</script>'
    )


def _strip(maps: NDArray) -> str:
    """Maps ``(state, n, n)`` one below the other as the address of a picture, more opaque for more weight."""
    n_states, n, _ = maps.shape
    pixels = np.zeros(
        (n_states, n + 1, n, 4), np.uint8
    )  # an empty row between, or rounding shows the next map
    pixels[..., :3] = INK
    pixels[:, :n, :, 3] = (255 * maps.clip(0, 1)).round()
    pixels = pixels.reshape(-1, n, 4)[:-1]
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, pixels, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _lines(n: int, back: int | None) -> str:
    """Two thin lines, on either side of the keys that lie ``back`` places before their query."""
    if back is None or not 0 < back < n:
        return ""
    lines = "".join(
        f'<line x1="0" y1="{y:g}" x2="{n - y:g}" y2="{n}"/>' for y in (back - 1, back + 1) if 0 <= y < n
    )
    return f'<svg viewBox="0 0 {n} {n}" aria-hidden="true">{lines}</svg>'
