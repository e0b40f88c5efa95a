"""RDMs with the images under the pointer: dissimilarities ``(pair,)`` and images in, HTML out.

Thumbnails are small and travel in the page; whether images may be shown is for who publishes the page to know.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from neurolib.viz.matrix_viewer import Table, runs_of, sprite_of, viewer_html


def rdm_viewer(
    name: str,
    rdms: Mapping[str, ArrayLike],
    labels: Sequence[str],
    images: NDArray | None = None,
    **options: Any,
) -> None:
    """Display :func:`page_html` on a page or in JupyterLab; same arguments."""
    from IPython.display import display

    text = page_html(name, rdms, labels, images, **options)
    display({"text/html": text, "text/plain": f"[RDMs {name}]"}, raw=True)


def page_html(
    name: str,
    rdms: Mapping[str, ArrayLike],
    labels: Sequence[str],
    images: NDArray | None = None,
    *,
    size: int = 40,
    start: tuple[int, int] = (0, 1),
    shown: tuple[int, int] = (0, 1),
    simulated: bool = False,
) -> str:
    """The viewer as a fragment of HTML.

    Parameters
    ----------
    name : str
        Becomes its id, so it must be unique on the page.
    rdms : dict of array_like, shape (n_pairs,)
        Upper triangles, row by row; colours are ranks within each.
    labels : sequence of str
        Category of each stimulus; equal ones stand together.
    images : array of uint8, shape (n_stimuli, height, width, 3), optional
    size : int
        Pixels of a thumbnail's edge.
    start, shown : tuple of int
        Cell, and RDMs above and below the diagonal, that are shown at first.
    simulated : bool
        Whether to say SIMULATED.

    Raises
    ------
    ValueError
        If an RDM has another number of pairs, or images and labels differ in number.

    Examples
    --------
    >>> text = page_html("few", {"IT": [0.1, 0.9, 0.8], "V1": [0.5, 0.4, 0.6]}, ["face", "face", "box"])
    >>> "face 2" in text, "box 3" in text
    (True, True)
    """
    if images is not None and len(images) != len(labels):
        raise ValueError(f"{name}: {len(images)} images for {len(labels)} labels")
    return viewer_html(
        name,
        [f"{label} {k + 1}" for k, label in enumerate(labels)],
        [Table(key, values, ranked=True) for key, values in rdms.items()],
        runs_of(labels),
        what="Dissimilarity of pairs of images; bars are ranks among all pairs",
        ends=("alike", "unalike"),
        diagonal=0.0,
        start=start,
        shown=shown if len(rdms) > 1 else (0, 0),
        sprite=None if images is None else sprite_of(images, size),
        simulated=simulated,
    )
