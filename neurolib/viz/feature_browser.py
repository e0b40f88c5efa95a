"""Features of a dictionary, or units of a network, one after another: what each responds to in, HTML out.

For each feature: its tuning curve, a histogram of its activations, and the windows in which it was most active
with the behaviour under them. All panels are drawn here as SVG; a few lines of script in
:mod:`neurolib.viz.feature_page` choose whose are shown, by previous and next, from a list or by search.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.viz.feature_page import CSS, JS

POINTS = 80  # of a trace at most; longer ones are thinned
_ORDERS = {"given": "as given", "density": "by density", "stability": "by stability"}


def feature_browser(name: str, features: Sequence[Mapping[str, Any]], **options: Any) -> None:
    """Display :func:`page_html` on a page or in JupyterLab; same arguments."""
    from IPython.display import display

    text = page_html(name, features, **options)
    display({"text/html": text, "text/plain": f"[features {name}]"}, raw=True)


def page_html(
    name: str,
    features: Sequence[Mapping[str, Any]],
    *,
    behaviour: Sequence[str] = ("behaviour",),
    angle: str = "direction (°)",
    simulated: bool = False,
) -> str:
    """The browser as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    features : sequence of dict
        ``name``; and, each if known, ``density`` (share of samples in which it is active), ``stability``
        (of the feature over seeds), ``note`` (a sentence), ``tuning``: a dict of ``angles`` in radians, ``mean``
        and, optionally, ``low`` and ``high``; ``activations``: values to make a histogram of, or ``histogram``:
        a dict of ``edges`` and ``counts``; and ``windows``, the most active first: dicts of ``time`` (seconds),
        ``activation`` (n_time,), ``behaviour`` (n_time,) or (n_time, n_traces) and, optionally, ``label``.
    behaviour : sequence of str
        What the traces of behaviour are, at most three.
    angle : str
        What the tuning curve is over.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If the name will not do as an id, there is no feature, or a window's traces differ in length.

    Examples
    --------
    >>> text = page_html("few", [{"name": "f3", "density": 0.02, "note": "fast <left>"}])
    >>> "f3: active in 2.0 % of samples. fast &lt;left&gt;" in text
    True
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    if not features:
        raise ValueError(f"{name}: no feature to show")
    data = []
    for feature in features:
        what = _what(feature)
        data.append(
            {
                "name": str(feature["name"]),
                "what": what,
                "words": what.lower(),
                "density": _number(feature.get("density")),
                "stability": _number(feature.get("stability")),
                "view": _view(feature, tuple(behaviour), angle),
            }
        )
    orders = "".join(
        f'<option value="{key}">{word}</option>'
        for key, word in _ORDERS.items()
        if key == "given" or any(one[key] is not None for one in data)
    )
    names = "".join(f'<option value="{i}">{html.escape(one["name"])}</option>' for i, one in enumerate(data))
    mark = '<span class="fb-simulated">SIMULATED</span>' if simulated else ""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<style>{CSS}</style><div class="feature-browser" id="{name}"><div class="fb-top">'
        '<button type="button" aria-label="previous feature">‹ previous</button>'
        '<button type="button" aria-label="next feature">next ›</button>'
        f'<select class="fb-list" aria-label="feature">{names}</select>'
        f'<select class="fb-order" aria-label="order of the list">{orders}</select>'
        f'<input type="search" placeholder="search" aria-label="search in names and notes">{mark}</div>'
        f'<p class="fb-what" role="status" aria-live="polite">{html.escape(data[0]["what"])}</p>'
        f'<div class="fb-view">{data[0]["view"]}</div>'
        f'<script type="application/json">{text}</script></div><script>({JS})("{name}")</script>'
    )


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")


def _what(feature: Mapping[str, Any]) -> str:
    parts = []
    if _number(feature.get("density")) is not None:
        parts.append(f"active in {100 * feature['density']:.1f} % of samples")
    if _number(feature.get("stability")) is not None:
        parts.append(f"stability over seeds {feature['stability']:.2f}")
    text = f"{feature['name']}: {', '.join(parts)}." if parts else f"{feature['name']}."
    return f"{text} {feature['note']}" if feature.get("note") else text


def _view(feature: Mapping[str, Any], behaviour: tuple[str, ...], angle: str) -> str:
    parts = []
    if feature.get("tuning") is not None:
        parts.append(_figure(_tuning(feature["tuning"]), f"mean activation by {angle}"))
    if feature.get("histogram") is not None:
        edges, counts = (np.asarray(feature["histogram"][key], float) for key in ("edges", "counts"))
        parts.append(_figure(_histogram(edges, counts), "samples by activation, log scale"))
    elif feature.get("activations") is not None:
        counts, edges = np.histogram(np.asarray(feature["activations"], float), bins=30)
        parts.append(_figure(_histogram(edges, counts), "samples by activation, log scale"))
    windows = list(feature.get("windows") or ())
    if windows:
        keys = "".join(
            f'<span><i class="fb-b{i}"></i>{html.escape(word)}</span>' for i, word in enumerate(behaviour[:3])
        )
        ink = '<span><i style="--ink:var(--one)"></i>activation</span>'
        drawn, reach = _windows(str(feature["name"]), windows, len(behaviour))
        scale = f"<span>(scale ±{reach:.3g})</span>"
        parts.append(f'<h4 class="fb-keys">Most active windows: {ink}{keys}{scale}</h4>')
        parts.append(f'<div class="fb-windows">{"".join(drawn)}</div>')
    return "".join(parts)


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _path(x: ArrayLike, y: ArrayLike) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(np.asarray(x), np.asarray(y), strict=True))


def _scale(values: NDArray, low: float, high: float, top: float, bottom: float) -> NDArray:
    """Values to pixels: ``low`` at ``bottom``."""
    return bottom - (np.asarray(values, float) - low) / (high - low if high > low else 1.0) * (bottom - top)


def _frame(width: int, height: int, parts: Sequence[str], label: str) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(label)}">{body}</svg>'


def _tuning(tuning: Mapping[str, ArrayLike], width: int = 320, height: int = 150) -> str:
    angles, mean = np.asarray(tuning["angles"], float), np.asarray(tuning["mean"], float)
    low, high = (np.asarray(tuning.get(key, mean), float) for key in ("low", "high"))
    order = np.argsort(angles)
    angles, mean, low, high = angles[order], mean[order], low[order], high[order]
    floor, ceiling = min(0.0, float(np.nanmin(low))), float(np.nanmax(high))
    left, right, top, bottom = 44, width - 8, 10, height - 22
    start = -np.pi if angles.min() < -1e-9 else 0.0
    x = left + (angles - start) / (2 * np.pi) * (right - left)
    y = {key: _scale(v, floor, ceiling, top, bottom) for key, v in (("m", mean), ("l", low), ("h", high))}
    band = f'<polygon class="fb-area" points="{_path(np.r_[x, x[::-1]], np.r_[y["h"], y["l"][::-1]])}"/>'
    ticks = [
        f'<text x="{left + k / 4 * (right - left):.0f}" y="{height - 6}" text-anchor="middle">'
        f"{np.degrees(start) + 90 * k:.0f}</text>"
        for k in range(5)
    ]
    marks = [
        f'<polyline class="fb-one" points="{_path(x, y["m"])}"/>',
        *_limits(floor, ceiling, left, top, bottom),
    ]
    axis = f'<path class="fb-axis" d="M{left} {top}V{bottom}H{right}"/>'
    return _frame(width, height, [axis, band, *marks, *ticks], "tuning curve")


def _limits(low: float, high: float, left: float, top: float, bottom: float) -> list[str]:
    return [
        f'<text x="{left - 5}" y="{y + 4:.0f}" text-anchor="end">{value:.3g}</text>'
        for value, y in ((low, bottom), (high, top))
    ]


def _histogram(edges: NDArray, counts: NDArray, width: int = 320, height: int = 150) -> str:
    left, right, top, bottom = 44, width - 8, 10, height - 22
    tall = np.log10(1 + counts)
    x = left + (edges - edges[0]) / max(edges[-1] - edges[0], 1e-12) * (right - left)
    y = _scale(tall, 0.0, max(tall.max(), 1e-9), top, bottom)
    bars = [
        f'<rect class="fb-bar" x="{a:.1f}" y="{t:.1f}" width="{max(b - a - 0.8, 0.5):.1f}" height="{bottom - t:.1f}"/>'
        for a, b, t, n in zip(x[:-1], x[1:], y, counts, strict=True)
        if n > 0
    ]
    ends = [
        f'<text x="{place:.0f}" y="{height - 6}" text-anchor="{anchor}">{value:.3g}</text>'
        for place, anchor, value in ((left, "start", edges[0]), (right, "end", edges[-1]))
    ]
    axis = f'<path class="fb-axis" d="M{left} {top}V{bottom}H{right}"/>'
    tallest = f'<text x="{left - 5}" y="{top + 4}" text-anchor="end">{counts.max():,.0f}</text>'
    return _frame(width, height, [axis, *bars, *ends, tallest], "histogram of activations")


def _windows(name: str, windows: Sequence[Mapping[str, Any]], n_traces: int) -> tuple[list[str], float]:
    """One small figure per window, all on one scale, and the largest behaviour."""
    traces = []
    for window in windows:
        time, activation = np.asarray(window["time"], float), np.asarray(window["activation"], float)
        moved = np.asarray(window["behaviour"], float)
        moved = moved[:, None] if moved.ndim == 1 else moved
        if not len(time) == len(activation) == len(moved) or moved.shape[1] > max(n_traces, 1):
            raise ValueError(
                f"{name}: a window has {len(time)} times, {len(activation)} activations and behaviour "
                f"{moved.shape} for {n_traces} named traces; they must be of one length"
            )
        step = -(-len(time) // POINTS)
        traces.append((time[::step], activation[::step], moved[::step, :3], str(window.get("label", ""))))
    low = min(0.0, min(t[1].min() for t in traces))
    high = max(t[1].max() for t in traces)
    reach = max(np.abs(t[2]).max() for t in traces) or 1.0
    drawn = []
    for time, activation, moved, label in traces:
        x = 4 + (time - time[0]) / max(time[-1] - time[0], 1e-12) * 192
        y = _scale(activation, low, high, 6, 58)
        base = float(_scale(np.zeros(1), low, high, 6, 58)[0])
        area = _path(np.r_[x[0], x, x[-1]], np.r_[base, y, base])
        lines = [
            f'<polyline class="fb-b{k}" points="{_path(x, _scale(trace, -reach, reach, 66, 118))}"/>'
            for k, trace in enumerate(moved.T)
        ]
        ends = [
            f'<text x="{place}" y="134" text-anchor="{anchor}">{value:.2g} s</text>'
            for place, anchor, value in ((4, "start", time[0]), (196, "end", time[-1]))
        ]
        axis = f'<path class="fb-axis" d="M4 {base:.1f}H196M4 92H196"/>'
        parts = [
            axis,
            f'<polygon class="fb-area" points="{area}"/>',
            f'<polyline class="fb-one" points="{_path(x, y)}"/>',
        ]
        drawn.append(
            _figure(
                _frame(200, 138, [*parts, *lines, *ends], f"window {label}"),
                label or f"peak {activation.max():.3g}",
            )
        )
    return drawn, float(reach)
