"""One set of models scored under several protocols: scores in, a figure and a table out."""

import html
from collections.abc import Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np

from neurolib.viz.style import COLOURS, GREY, mark_simulated


def ladder(
    scores: dict[str, dict[str, Sequence[float]]], references: dict[str, float], simulated: bool
) -> plt.Figure:
    """Scores of each model from one protocol to the next, one thin line per seed.

    Parameters
    ----------
    scores : dict of dict
        Model to protocol to one score per seed.
    references : dict
        Name to a score drawn as a dashed line.
    simulated : bool
    """
    protocols = list(next(iter(scores.values())))
    fig, ax = plt.subplots(figsize=(6.5, 3.0))
    for (name, rows), colour in zip(scores.items(), cycle(COLOURS), strict=False):
        values = np.array([rows[protocol] for protocol in protocols])  # (protocol, seed)
        ax.plot(values, color=colour, lw=0.6, alpha=0.6)
        ax.plot(values.mean(axis=1), "o-", color=colour, lw=2, ms=4, label=name)
    for name, value in references.items():
        ax.axhline(value, color=GREY, ls="--", lw=1)
        ax.annotate(name, (len(protocols) - 1, value), color=GREY, fontsize=7, ha="right", va="bottom")
    ax.set_xticks(range(len(protocols)), [protocol.replace(" ", "\n", 1) for protocol in protocols])
    ax.set_ylabel("R²")
    ax.legend(ncols=len(scores), loc="lower left", bbox_to_anchor=(0, 1))
    mark_simulated(fig, simulated)
    return fig


def table(
    claims: dict[str, float],
    notebooks: dict[str, Sequence[float]],
    ours: dict[str, dict[str, float]],
    columns: tuple[str, str],
) -> None:
    """Show the numbers that others reported beside ours, model by model.

    Parameters
    ----------
    claims, notebooks : dict
        Model to what was reported.
    ours : dict of dict
        Model to protocol to score.
    columns : two str
        Protocols of ours to show.
    """
    from IPython.display import HTML, display

    head = (
        "model",
        "a reproduction's read-me",
        "the authors' notebooks",
        *(f"ours, {word}" for word in columns),
    )
    rows = [
        (
            name,
            f"{claims[name]:.3f}" if name in claims else "",
            ", ".join(f"{value:.3f}" for value in notebooks.get(name, ())),
            *(f"{scores[word]:.3f}" for word in columns),
        )
        for name, scores in ours.items()
    ]
    cells = "".join(f"<th>{html.escape(word)}</th>" for word in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    display(
        HTML(
            f'<div class="verdicts"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'
        )
    )
