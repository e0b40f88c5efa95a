"""A circuit as a graph that answers to hover, tap and keys: scored edges between named nodes in, HTML out.

Nodes stand in columns by layer (in rows on a phone). A slider shows the strongest edges, and where faithfulness
was measured for circuits of several sizes, says it for the size shown. The HTML needs neither a kernel nor a
network: what it shows first is in the markup, and the script of :mod:`neurolib.viz.circuit_page` changes it.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neurolib.viz.circuit_page import CSS, JS

WIDTH = 720  # of the drawing before the script fits it to the page, pixels
_HINT = "Point at a node or an edge, or tap it. With the keyboard: Tab to a node, arrow keys for its edges."


def circuit_graph(
    name: str,
    nodes: Sequence[Mapping[str, Any]],
    edges: Sequence[Mapping[str, Any]],
    curve: Sequence[Mapping[str, Any]] = (),
    **options: Any,
) -> None:
    """Display :func:`page_html` on a page or in JupyterLab; same arguments."""
    from IPython.display import display

    text = page_html(name, nodes, edges, curve, **options)
    display({"text/html": text, "text/plain": f"[circuit {name}]"}, raw=True)


def page_html(
    name: str,
    nodes: Sequence[Mapping[str, Any]],
    edges: Sequence[Mapping[str, Any]],
    curve: Sequence[Mapping[str, Any]] = (),
    *,
    start: int | None = None,
    limit: int = 200,
    simulated: bool = False,
) -> str:
    """The graph as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    nodes : sequence of dict
        ``name``, ``layer`` (a number, sorted, or a word, in the order given) and, if other than the name,
        ``label``. Nodes of a layer keep their order.
    edges : sequence of dict
        ``sender`` and ``reader`` (names of nodes), ``score`` and ``kept`` (bool). Any order.
    curve : sequence of dict
        ``size`` (number of strongest edges), ``sufficiency`` and, if known, ``necessity``.
    start : int, optional
        How many edges are shown first; by default as many as it takes to show every kept one.
    limit : int
        At most so many edges go onto the page, the strongest.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If the name will not do as an id, node names repeat, an edge ends at no node, or a score is not finite.

    Examples
    --------
    >>> nodes = [{"name": "a", "layer": 0}, {"name": "b", "layer": 1}]
    >>> text = page_html("pair", nodes, [{"sender": "a", "reader": "b", "score": -2.0, "kept": True}])
    >>> text.count('class="cg-edge cg-minus"'), "strongest 1 of 1 edges" in text
    (1, True)
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    points, layers = _points(name, nodes)
    number = {str(node["name"]): i for i, node in enumerate(nodes)}
    for edge in edges:
        for end in ("sender", "reader"):
            if str(edge[end]) not in number:
                raise ValueError(f"{name}: an edge has the {end} {edge[end]!r}, which is none of the nodes")
        if not np.isfinite(edge["score"]):
            raise ValueError(f"{name}: edge {edge['sender']} -> {edge['reader']} has score {edge['score']}")
    ranked = sorted(edges, key=lambda edge: -abs(edge["score"]))
    dropped, ranked = max(len(ranked) - limit, 0), ranked[:limit]
    drawn = [
        [number[str(e["sender"])], number[str(e["reader"])], float(f"{e['score']:.4g}"), bool(e["kept"])]
        for e in ranked
    ]
    if start is None:
        start = max((i + 1 for i, edge in enumerate(drawn) if edge[3]), default=len(drawn))
    start = min(max(start, 0), len(drawn))
    measured = [_measured(point) for point in curve if point["size"] <= len(drawn)]
    data = {"nodes": points, "edges": drawn, "curve": measured, "layers": layers}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    note = f" {dropped} weaker edges are left out." if dropped else ""
    return (
        f'<style>{CSS}</style><div class="circuit-graph" id="{name}">{_legend(measured, simulated)}'
        f"{_drawing(points, drawn, layers, start)}"
        f'<div class="cg-detail" role="status" aria-live="polite">{_HINT}{note}</div>'
        f'<div class="cg-state">{_state(len(drawn), measured, start)}</div>'
        f'<input class="cg-size" type="range" min="0" max="{len(drawn)}" value="{start}" '
        f'aria-label="how many of the strongest edges are shown">{_curve(measured, len(drawn), start)}'
        f"{_table(points, drawn)}"
        f'<script type="application/json">{text}</script></div><script>({JS})("{name}")</script>'
    )


def _points(name: str, nodes: Sequence[Mapping[str, Any]]) -> tuple[list[dict], list[dict]]:
    """Each node's layer and place in it, and each layer's name and number of nodes."""
    names = [str(node["name"]) for node in nodes]
    if not names or len(set(names)) < len(names):
        twice = sorted({one for one in names if names.count(one) > 1})
        raise ValueError(f"{name}: {f'nodes {twice} come twice' if twice else 'there is no node'}")
    order = list(dict.fromkeys(node["layer"] for node in nodes))
    if all(isinstance(layer, int | float | np.number) for layer in order):
        order = sorted(order)
    layers = [{"name": layer if isinstance(layer, str) else "", "count": 0} for layer in order]
    points = []
    for node in nodes:
        layer = order.index(node["layer"])
        label = str(node.get("label") or node["name"])
        points.append({"label": label, "layer": layer, "rank": layers[layer]["count"]})
        layers[layer]["count"] += 1
    return points, layers


def _measured(point: Mapping[str, Any]) -> dict[str, Any]:
    necessity = point.get("necessity")
    return {
        "size": int(point["size"]),
        "sufficiency": round(float(point["sufficiency"]), 4),
        "necessity": None if necessity is None else round(float(necessity), 4),
    }


def _legend(curve: list[dict], simulated: bool) -> str:
    keys = [("cg-plus", "score above zero"), ("cg-minus", "below zero"), ("cg-dashed", "dashed: not kept")]
    if curve:
        keys.append(("cg-sufficiency", "sufficiency"))
        if any(point["necessity"] is not None for point in curve):
            keys.append(("cg-necessity cg-dashed", "necessity"))
    spans = "".join(
        f'<span class="cg-key {kind}"{" style=--ink:currentColor" if kind == "cg-dashed" else ""}>{word}</span>'
        for kind, word in keys
    )
    mark = '<span class="cg-simulated">SIMULATED</span>' if simulated else ""
    return f'<div class="cg-top">{spans}<span>width: size of the score</span>{mark}</div>'


def _drawing(points: list[dict], edges: list[list], layers: list[dict], start: int) -> str:
    """The picture for a wide page; the script lays it out again for the width that there is."""
    height = max(170, 44 * max(layer["count"] for layer in layers) + 34)
    place = [
        (
            (point["layer"] + 0.5) / len(layers) * WIDTH,
            26 + (point["rank"] + 0.5) / layers[point["layer"]]["count"] * (height - 34),
        )
        for point in points
    ]
    largest = max((abs(edge[2]) for edge in edges), default=0) or 1.0
    used = {end for edge in edges[:start] for end in edge[:2]}
    parts = []
    for i, (sender, reader, score, kept) in enumerate(edges):
        (x, y), (u, v) = place[sender], place[reader]
        skipped = abs(points[sender]["layer"] - points[reader]["layer"]) - 1
        middle, bow = (x + u) / 2 + (34 if skipped < 0 else 0), 12 * max(skipped, 0)
        path = f'd="M{x:.1f} {y:.1f}C{middle:.1f} {y - bow:.1f} {middle:.1f} {v - bow:.1f} {u:.1f} {v:.1f}"'
        kind = ("cg-minus" if score < 0 else "cg-plus") + ("" if kept else " cg-left")
        hidden = "" if i < start else ";display:none"
        parts.append(
            f'<g class="cg-edge {kind}" style="--w:{1 + 6 * abs(score) / largest:.2f}px{hidden}">'
            f'<path class="cg-line" {path}/><path class="cg-hit" {path}/></g>'
        )
    for i, layer in enumerate(layers):
        x = (i + 0.5) / len(layers) * WIDTH
        parts.append(
            f'<text class="cg-layer" transform="translate({x:.1f} 12)">{html.escape(layer["name"])}</text>'
        )
    for i, (point, (x, y)) in enumerate(zip(points, place, strict=True)):
        label = html.escape(point["label"])
        idle = "" if i in used else " cg-idle"
        parts.append(
            f'<g class="cg-node{idle}" tabindex="0" role="button" aria-label="{label}" '
            f'transform="translate({x:.1f} {y:.1f})"><title>{label}</title><circle class="cg-touch" r="18"/>'
            f'<circle r="7"/><text y="20">{label}</text></g>'
        )
    return (
        f'<svg class="cg-graph" viewBox="0 0 {WIDTH} {height}" role="group" '
        f'aria-label="graph of nodes and edges">{"".join(parts)}</svg>'
    )


def _state(n: int, curve: list[dict], start: int) -> str:
    text = f"strongest {start} of {n} edges"
    if not curve:
        return text
    point = min(curve, key=lambda point: abs(point["size"] - start))
    text += ":" if point["size"] == start else f"; measured with {point['size']}:"
    text += f" sufficiency {point['sufficiency']:.2f}"
    return text if point["necessity"] is None else f"{text}, necessity {point['necessity']:.2f}"


def _curve(curve: list[dict], n: int, start: int) -> str:
    """Sufficiency and necessity over the number of edges, as wide as the slider."""
    if not curve or not n:
        return ""
    curve = sorted(curve, key=lambda point: point["size"])
    kinds = [kind for kind in ("sufficiency", "necessity") if all(p[kind] is not None for p in curve)]
    values = [point[kind] for point in curve for kind in kinds]
    low, high = min(0.0, *values), max(1.0, *values)

    def y(value: float) -> float:
        return round(100 * (high - value) / (high - low), 1)

    parts = [f'<line class="cg-axis" x1="0" x2="1000" y1="{y(v)}" y2="{y(v)}"/>' for v in (0, 1)]
    for kind in kinds:
        where = [(round(1000 * point["size"] / n, 1), y(point[kind])) for point in curve]
        line = " ".join(f"{a},{b}" for a, b in where)
        parts.append(f'<polyline class="cg-{kind}" points="{line}"/>')
        parts += [f'<path class="cg-{kind} cg-dot" d="M{a} {b}h0.01"/>' for a, b in where]
    now = round(1000 * start / n, 1)
    parts.append(f'<line class="cg-now" x1="{now}" x2="{now}" y1="0" y2="100"/>')
    ticks = "".join(f'<span style="top:{y(v)}%">{v}</span>' for v in (0, 1))
    return (
        '<div class="cg-curve"><svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{" and ".join(kinds)} over the number of edges">{"".join(parts)}</svg>{ticks}</div>'
    )


def _table(points: list[dict], edges: list[list], rows: int = 20) -> str:
    """The strongest edges in words and numbers, for those who do not see the drawing."""
    cells = "".join(
        f"<tr><td>{html.escape(points[s]['label'])}</td><td>{html.escape(points[r]['label'])}</td>"
        f"<td>{score:+.3g}</td><td>{'yes' if kept else 'no'}</td></tr>"
        for s, r, score, kept in edges[:rows]
    )
    head = "<tr><th>from</th><th>to</th><th>score</th><th>kept</th></tr>"
    return f"<details><summary>strongest edges as a table</summary><table>{head}{cells}</table></details>"
