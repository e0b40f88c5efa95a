"""The log of experiments: a registry and the verdicts of pages in, a table and a timeline out."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurolib.viz.style import COLOURS, GREY

VERDICTS = ("replicates", "partly", "does not replicate", "not run")


@dataclass(frozen=True)
class Experiment:
    """One experiment of a log and what decides it.

    Parameters
    ----------
    id, question, claimed, varies, reading : str
        Its number; what it asked, what was claimed, what it varied; how it reads today.
    page : str
        Page that decides it.
    supports, contradicts : tuple of str
        Labels of verdicts of that page: the claim replicates if all of the first hold and none of
        the second do.
    reported : float or None
        The score that the log gives.
    ours : bool
        Not of the log.
    """

    id: str
    question: str
    claimed: str
    varies: str
    page: str
    reading: str
    supports: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()
    reported: float | None = None
    ours: bool = False

    def __post_init__(self):
        object.__setattr__(self, "supports", tuple(self.supports))
        object.__setattr__(self, "contradicts", tuple(self.contradicts))
        for name in ("id", "question", "claimed", "varies", "page", "reading"):
            if not isinstance(value := getattr(self, name), str):
                raise ValueError(f"experiment {self.id}: {name} is {value!r}; YAML takes a bare no for false")
        if not self.supports + self.contradicts:
            raise ValueError(f"experiment {self.id}: no verdict of {self.page} decides it")

    def verdict(self, held: dict[str, bool]) -> str:
        """``"replicates"``, ``"partly"``, ``"does not replicate"``, or ``"not run"`` if a verdict is missing.

        Parameters
        ----------
        held : dict
            Label of each claim on the page, and whether it held.

        Examples
        --------
        >>> one = Experiment("1", "?", "a, not b", "", "page", "", supports=("a",), contradicts=("b",))
        >>> one.verdict({"a": True, "b": False}), one.verdict({"a": True, "b": True}), one.verdict({"a": True})
        ('replicates', 'partly', 'not run')
        """
        if not held.keys() >= {*self.supports, *self.contradicts}:
            return "not run"
        found = [held[label] for label in self.supports] + [not held[label] for label in self.contradicts]
        return "replicates" if all(found) else ("partly" if any(found) else "does not replicate")


def read_experiments(path: Path) -> list[Experiment]:
    """Read the registry, a YAML list.

    Raises
    ------
    ValueError
        If an entry has a field missing or too many, or a number occurs twice.
    """
    import yaml

    experiments = []
    for entry in yaml.safe_load(Path(path).read_text("utf-8")):
        try:
            experiments.append(Experiment(**entry))
        except TypeError as error:
            raise ValueError(f"{path}, experiment {entry.get('id')}: {error}") from None
    ids = [experiment.id for experiment in experiments]
    if twice := sorted({id for id in ids if ids.count(id) > 1}):
        raise ValueError(f"{path}: experiments {twice} are there twice")
    return experiments


def decide(experiments: Iterable[Experiment], results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Verdict of each experiment from the results of pages, the full profile before the quick one.

    Parameters
    ----------
    experiments : iterable of Experiment
    results : list of dict
        As :func:`neurolib.report.results` reads them; variants are left out.

    Returns
    -------
    dict
        By number: ``verdict``, ``profile`` and ``simulated`` of the run that decided.
    """
    runs: dict[str, dict[str, dict]] = {}
    for result in results:
        if not result["variant"]:
            runs.setdefault(result["page"], {})[result["stamp"]["profile"]] = result
    decided = {}
    for experiment in experiments:
        by_profile = runs.get(experiment.page, {})
        run = by_profile.get("full") or by_profile.get("quick") or {"checks": []}
        held = {check["label"]: check["holds"] for check in run["checks"] if check["kind"] == "claim"}
        decided[experiment.id] = {
            "verdict": experiment.verdict(held),
            "profile": run["stamp"]["profile"] if run["checks"] else "",
            "simulated": any(check["simulated"] for check in run["checks"]),
        }
    return decided


def experiment_table(experiments: Iterable[Experiment], decided: dict[str, dict[str, Any]]) -> str:
    """HTML table with one row per experiment and a link to the page that decides it."""
    head = "".join(f"<th>{column}</th>" for column in ("Question, claim and reading", "R² there", "Here"))
    body = []
    for experiment in experiments:
        found = decided[experiment.id]
        where = f"{experiment.page.rpartition('/')[2]}.html"
        verdict = f'<a href="{where}">{html.escape(found["verdict"])}</a>'
        verdict += " (SIMULATED)" if found["simulated"] else ""
        claim, reading = html.escape(experiment.claimed), html.escape(experiment.reading)
        title = f"{experiment.id}{'*' * experiment.ours}. {experiment.question}"
        cells = [
            f"<b>{html.escape(title)}</b><br><i>{claim}</i><br>{reading}",
            "" if experiment.reported is None else f"{experiment.reported:.3f}",
            verdict,
        ]
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f'<div class="verdicts"><table><tr>{head}</tr>{"".join(body)}</table></div>'


def timeline(experiments: Iterable[Experiment], decided: dict[str, dict[str, Any]]):
    """Reported scores in the order of the log, coloured by today's verdict; the question under the pointer."""
    import plotly.graph_objects as go

    experiments = [experiment for experiment in experiments if experiment.reported is not None]
    ids = [experiment.id for experiment in experiments]
    fig = go.Figure()
    symbols = ("circle", "diamond", "x", "circle-open")
    for verdict, colour, symbol in zip(VERDICTS, (*COLOURS[:3], GREY), symbols, strict=True):
        chosen = [e for e in experiments if decided[e.id]["verdict"] == verdict]
        fig.add_scatter(
            x=[experiment.id for experiment in chosen],
            y=[experiment.reported for experiment in chosen],
            text=[f"{e.question}<br>claimed: {e.claimed}<br>{e.reading}" for e in chosen],
            hovertemplate="experiment %{x}: R² %{y:.3f}<br>%{text}<extra></extra>",
            mode="markers",
            marker={"color": colour, "size": 10, "symbol": symbol},
            name=verdict,
        )
    fig.update_xaxes(title="experiment of the log", categoryorder="array", categoryarray=ids, type="category")
    fig.update_yaxes(title="reported R²")
    fig.update_layout(height=380, legend={"orientation": "h", "y": 1.12})
    return fig
