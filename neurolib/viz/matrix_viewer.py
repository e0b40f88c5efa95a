"""Symmetric tables of the same things, two at a time: upper triangles in, HTML with a cell under the pointer out.

One table is drawn above the diagonal and one below. Pointer, finger or arrow keys choose a cell, and what all tables
say about that pair stands beside it. :mod:`neurolib.viz.rdm_viewer` and :mod:`neurolib.viz.layer_explorer` fill it.
"""

import base64
import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurolib.viz.matrix_page import CSS, JS

STEPS = 65534  # of a value between the ends of its table; one more stands for none


@dataclass(frozen=True)
class Table:
    """One table.

    Parameters
    ----------
    name : str
    values : array_like, shape (n_pairs,)
        Upper triangle, row by row; NaN where nothing is defined.
    low, high : array_like, shape (n_pairs,), optional
        Interval of each value.
    ranked : bool
        Whether colours are ranks of values; else they run over ``between``.
    between : tuple of float
    """

    name: str
    values: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    ranked: bool = False
    between: tuple[float, float] = (0.0, 1.0)

    def packed(self, n: int) -> dict[str, Any]:
        """What the script reads; values are rounded to one in 65534 of their range."""
        parts = {"values": self.values, "low": self.low, "high": self.high}
        arrays = {key: np.asarray(part, float) for key, part in parts.items() if part is not None}
        for key, array in arrays.items():
            if array.shape != (n * (n - 1) // 2,):
                raise ValueError(
                    f"{self.name}: {key} {array.shape}; {n} names have {n * (n - 1) // 2} pairs, row by row"
                )
        known = np.concatenate([array[np.isfinite(array)] for array in arrays.values()])
        floor, ceiling = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if ceiling == floor:
            ceiling = floor + 1.0
        packed: dict[str, Any] = {
            "name": self.name,
            "floor": floor,
            "ceiling": ceiling,
            "ranked": self.ranked,
        }
        packed |= {"from": self.between[0], "to": self.between[1]}
        for key, array in arrays.items():
            steps = np.full(len(array), STEPS + 1, "<u2")
            there = np.isfinite(array)
            steps[there] = np.round((array[there] - floor) / (ceiling - floor) * STEPS)
            packed[key] = base64.b64encode(steps.tobytes()).decode()
        return packed


def viewer_html(
    name: str,
    names: Sequence[str],
    tables: Sequence[Table],
    groups: Sequence[tuple[str, int, int]],
    *,
    what: str,
    ends: tuple[str, str],
    diagonal: float,
    start: tuple[int, int] = (0, 1),
    shown: tuple[int, int] = (0, 0),
    sprite: dict[str, Any] | None = None,
    gutter: int = 76,
    simulated: bool = False,
) -> str:
    """The viewer as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    names : sequence of str
        Of rows and columns.
    tables : sequence of Table
    groups : sequence of (str, int, int)
        Rows that belong together: name, first, and one past the last; lines are drawn between them.
    what : str
        What a table is of, for those who hear the page.
    ends : tuple of str
        What the darkest and the brightest colour mean.
    diagonal : float
    start : tuple of int
        Cell that is chosen at first.
    shown : tuple of int
        Tables above and below the diagonal at first.
    sprite : dict, optional
        ``url``, ``columns``, ``size`` and ``count`` of one picture that holds a picture of each row.
    gutter : int
        Pixels for the names of rows or groups.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If the name will not do as an id, there is nothing to show, or shapes do not match.

    Examples
    --------
    >>> text = viewer_html("few", ["a", "b"], [Table("<t>", [0.5])], [], what="tables", ends=("0", "1"), diagonal=1)
    >>> "&lt;t&gt;" in text and "http" not in text
    True
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r}: use small letters, digits and dashes; it becomes an id on the page")
    n = len(names)
    if n < 2 or not tables:
        raise ValueError(f"{name}: {n} rows and {len(tables)} tables; two rows and one table at least")
    if max(*start, -min(*start)) >= n or max(shown) >= len(tables):
        raise ValueError(
            f"{name}: cannot start at cell {start} of tables {shown}: {n} rows, {len(tables)} tables"
        )
    data = {
        "names": list(names),
        "groups": [list(group) for group in groups],
        "tables": [table.packed(n) for table in tables],
        "diagonal": diagonal,
        "sprite": sprite,
        "start": [start[0] % n, start[1] % n],
        "wide": gutter,
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    alone = " hidden" if len(tables) == 1 else ""
    choices = [_choice(word, tables, at, alone) for word, at in zip(("above", "below"), shown, strict=True)]
    mark = '<span class="mv-simulated">SIMULATED</span>' if simulated else ""
    hint = f"{html.escape(what)}. Arrow keys move from cell to cell."
    jump = f'<button type="button"{alone}>where they differ most</button>'
    return (
        f'<style>{CSS}</style><div class="matrix-viewer" id="{name}"><div class="mv-top">{"".join(choices)}'
        f'{jump}{mark}</div><div class="mv-main"><div><canvas tabindex="0" role="application" aria-label="{hint}">'
        f'</canvas><div class="mv-key"><span>{html.escape(ends[0])}</span><i></i><span>{html.escape(ends[1])}'
        f'</span></div><p class="mv-note">{html.escape(what)}.</p></div><div class="mv-side">'
        f'<p class="mv-what" role="status" aria-live="polite"></p><div class="mv-pictures">{"<i></i><i></i>" if sprite else ""}</div>'
        f'<div class="mv-rows"></div></div></div><script type="application/json">{text}</script></div>'
        f'<script>({JS})("{name}")</script>'
    )


def _choice(word: str, tables: Sequence[Table], at: int, hidden: str) -> str:
    options = "".join(
        f'<option value="{k}"{" selected" if k == at else ""}>{html.escape(table.name)}</option>'
        for k, table in enumerate(tables)
    )
    return f"<label{hidden}><span>{word} the diagonal</span><select>{options}</select></label>"


def pairs_of(square: ArrayLike) -> np.ndarray:
    """Upper triangle of a table, row by row.

    Examples
    --------
    >>> pairs_of([[1, 2, 3], [2, 1, 4], [3, 4, 1]]).tolist()
    [2.0, 3.0, 4.0]
    """
    square = np.asarray(square, float)
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise ValueError(f"a table {square.shape}; want as many columns as rows")
    return square[np.triu_indices(len(square), 1)]


def runs_of(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """Stretches of equal labels: label, first, and one past the last.

    Examples
    --------
    >>> runs_of(["a", "a", "b"])
    [('a', 0, 2), ('b', 2, 3)]
    """
    found: list[tuple[str, int, int]] = []
    for place, label in enumerate(str(label) for label in labels):
        first = found.pop()[1] if found and found[-1][0] == label else place
        found.append((label, first, place + 1))
    return found


def sprite_of(images: np.ndarray, size: int = 40, quality: int = 75) -> dict[str, Any]:
    """Pictures ``(n, height, width, 3)`` as one small JPEG that a page carries in itself.

    Examples
    --------
    >>> made = sprite_of(np.zeros((3, 8, 8, 3), np.uint8), size=4)
    >>> made["columns"], made["count"], made["url"][:23]
    (2, 3, 'data:image/jpeg;base64,')
    """
    import io

    from PIL import Image

    columns = math.ceil(math.sqrt(len(images)))
    sheet = Image.new("RGB", (columns * size, math.ceil(len(images) / columns) * size))
    for k, image in enumerate(images):
        small = Image.fromarray(image).resize((size, size), Image.Resampling.BOX)
        sheet.paste(small, (k % columns * size, k // columns * size))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=quality)
    url = "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
    return {"url": url, "columns": columns, "size": size, "count": len(images)}
