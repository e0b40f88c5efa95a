"""Pictures of a corpus of coordinates: foci and what is known of their studies in, figures out."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neurolib.data.coordinates import SPACES, Coordinates
from neurolib.viz.style import COLOURS, GREY, mark_simulated


def overview(
    corpus: Coordinates, conversion: Mapping[str, tuple[float, float, float]], simulated: bool = False
) -> Figure:
    """Foci per study, studies per year and space, the lattice of millimetres, and the test of the conversion.

    Parameters
    ----------
    corpus : Coordinates
        As reported, before it is cleaned.
    conversion : mapping of str to (estimate, low, high)
        Nats per focus that the conversion to MNI space gains, for each space.
    simulated : bool

    Returns
    -------
    Figure
        6.5 inches wide.

    Raises
    ------
    ValueError
        If a space is unknown, or no study has a year.
    """
    unknown = set(conversion) - set(SPACES)
    if unknown:
        raise ValueError(f"space {sorted(unknown)[0]!r} is none of {', '.join(SPACES)}")
    years = corpus.year[np.isfinite(corpus.year)]
    if not len(years):
        raise ValueError("no study of this corpus has a year")
    colours = dict(zip(SPACES, COLOURS, strict=False))
    fig, ((sizes, when), (lattice, moved)) = plt.subplots(2, 2, figsize=(6.5, 4.6))
    counts = corpus.counts[corpus.counts > 0]
    sizes.hist(counts, np.geomspace(1, counts.max() + 1, 25), color=COLOURS[0])
    sizes.axvline(np.median(counts), color=GREY, lw=1)
    sizes.set(xscale="log", xlabel="foci of a study (line: median)", ylabel="studies", title="Size")
    shown = [1, 10, 100] + [1000] * bool(counts.max() >= 700)
    sizes.set_xticks(shown, [f"{n}" for n in shown])

    edges = np.arange(years.min() - 0.5, years.max() + 1)
    groups = {space: corpus.year[corpus.space == space] for space in SPACES}
    groups = {space: of[np.isfinite(of)] for space, of in groups.items() if np.isfinite(of).any()}
    when.hist(
        list(groups.values()), edges, stacked=True, color=[colours[s] for s in groups], label=list(groups)
    )
    when.set(xlabel="year", ylabel="studies", title="Year and space")
    when.legend(loc="upper left", ncols=3, fontsize=7, handlelength=1, columnspacing=1)
    when.set_ylim(top=1.2 * when.get_ylim()[1])  # room for the names

    whole = corpus.xyz_mm[(corpus.xyz_mm == np.rint(corpus.xyz_mm)).all(1)].astype(int) % 6
    for axis, (name, colour) in enumerate(zip("xyz", COLOURS, strict=False)):
        share = np.bincount(whole[:, axis], minlength=6) / max(len(whole), 1)
        lattice.plot(share, "o-", ms=4, color=colour, label=name)
    lattice.axhline(1 / 6, color=GREY, lw=0.8)
    lattice.set(
        xlabel="millimetres, remainder by 6 (line: no lattice)", ylabel="share of foci", title="Lattice"
    )
    lattice.legend(ncols=3, loc="upper right")
    lattice.set_ylim(top=1.25 * lattice.get_ylim()[1])

    for y, (space, (estimate, low, high)) in enumerate(conversion.items()):
        moved.plot([low, high], [y, y], color=colours[space], lw=2)
        moved.plot(estimate, y, "o", color=colours[space], ms=5)
    moved.axvline(0, color=GREY, lw=0.8)
    moved.set(xlabel="nats per focus, moved over as printed", title="Does the conversion help?")
    moved.set_yticks(range(len(conversion)), list(conversion))
    moved.set_ylim(len(conversion) - 0.5, -0.5)
    mark_simulated(fig, simulated)
    return fig


def against_null(
    rows: Mapping[str, tuple[float, ArrayLike]], xlabel: str, simulated: bool = False, level: float = 0.95
) -> Figure:
    """A score per row over the grey range of what permuted targets score.

    Parameters
    ----------
    rows : mapping of str to (score, null)
        Null scores have the shape (n_permutations,).
    xlabel : str
    simulated : bool
    level : float
        Quantile of the null at which its range ends; it begins at its smallest value.

    Returns
    -------
    Figure
        6.5 inches wide.
    """
    fig, ax = plt.subplots(figsize=(6.5, 0.3 * len(rows) + 0.9))
    for y, (score, null) in enumerate(rows.values()):
        null = np.asarray(null, float)
        low, high = null.min(), np.quantile(null, level)
        ax.plot([low, high], [y, y], color=GREY, lw=5, alpha=0.6, solid_capstyle="butt")
        ax.plot(score, y, "o", color=COLOURS[0] if score > high else GREY, ms=5)
    ax.axvline(0, color=GREY, lw=0.7)
    ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.grid(axis="x", lw=0.3)
    mark_simulated(fig, simulated)
    return fig
