"""Similarity of all layers of all models: tables ``(layer, layer)`` and intervals in, HTML to look around in out."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from neurolib.viz.matrix_viewer import Table, pairs_of, runs_of, viewer_html


def layer_explorer(
    name: str,
    tables: Mapping[str, ArrayLike],
    layers: Sequence[tuple[str, str]],
    intervals: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    **options: Any,
) -> None:
    """Display :func:`page_html` on a page or in JupyterLab; same arguments."""
    from IPython.display import display

    text = page_html(name, tables, layers, intervals, **options)
    display({"text/html": text, "text/plain": f"[layers {name}]"}, raw=True)


def page_html(
    name: str,
    tables: Mapping[str, ArrayLike],
    layers: Sequence[tuple[str, str]],
    intervals: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    *,
    start: tuple[int, int] = (0, 1),
    shown: tuple[int, int] = (0, 1),
    simulated: bool = False,
) -> str:
    """The explorer as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    tables : dict of array_like, shape (n_layers, n_layers)
        Symmetric, one where a layer meets itself; such as debiased CKA, and CKA with its bias.
    layers : sequence of (str, str)
        Model and layer of each row; layers of a model stand together.
    intervals : dict of (low, high), optional
        Of the tables that have one, of the same shape.
    start, shown : tuple of int
        Cell, and tables above and below the diagonal, that are shown at first.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If a table is not as large as there are layers.

    Examples
    --------
    >>> text = page_html("two", {"CKA": [[1, 0.4], [0.4, 1]]}, [("a", "conv"), ("b", "conv")])
    >>> "a conv" in text and "b conv" in text
    True
    """
    ends = {key: [pairs_of(end) for end in pair] for key, pair in (intervals or {}).items()}
    none = (None, None)
    return viewer_html(
        name,
        [model if model == layer else f"{model} {layer}" for model, layer in layers],
        [Table(key, pairs_of(table), *ends.get(key, none)) for key, table in tables.items()],
        runs_of([model for model, _ in layers]),
        what="Similarity of pairs of layers",
        ends=("0, independent", "1, alike"),
        diagonal=1.0,
        start=start,
        shown=shown if len(tables) > 1 else (0, 0),
        gutter=118,
        simulated=simulated,
    )
