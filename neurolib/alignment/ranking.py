"""Ranks of models over benchmarks, and prediction across species: scores on shared draws in, ranks with intervals out.

Scores of unlike benchmarks have unlike units and ceilings, so they are never averaged; only ranks are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from neurolib.alignment.captures import Capture, NeuralData, shared_stimuli
from neurolib.alignment.predictivity import CHOSEN, Predictivity, PredictivityConfig
from neurolib.alignment.resampled_score import ResampledScore, tied
from neurolib.alignment.response_panel import joined
from neurolib.metrics.intervals import Interval

Scores = Mapping[str, Mapping[str, ResampledScore]]


@dataclass(frozen=True, eq=False)
class BrainRank:
    """Where models stand.

    Attributes
    ----------
    models, benchmarks : tuple of str
    scores : dict
        Interval of each ``(benchmark, model)``, as corrected for its ceiling as it came.
    rank : dict of Interval
        Mean rank over benchmarks of each model; 1 is best.
    ties : dict
        Pairs of models whose paired interval crosses 0, by benchmark.
    tied : tuple of pairs
        Pairs whose difference of mean ranks crosses 0.
    """

    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    scores: Mapping[tuple[str, str], Interval]
    rank: Mapping[str, Interval]
    ties: Mapping[str, tuple[tuple[str, str], ...]]
    tied: tuple[tuple[str, str], ...]

    def table(self) -> list[dict]:
        """One row per model, best first: mean rank, its interval, models it is tied with, score per benchmark."""
        rows = []
        for model in sorted(self.models, key=lambda name: self.rank[name].estimate):
            with_it = [a if b == model else b for a, b in self.tied if model in (a, b)]
            row = {"model": model, "rank": self.rank[model], "tied_with": with_it}
            rows.append(row | {name: self.scores[name, model] for name in self.benchmarks})
        return rows


def brain_rank(scores: Scores, level: float = 0.95) -> BrainRank:
    """Rank models on every benchmark, then average ranks.

    Parameters
    ----------
    scores : dict of dict of ResampledScore
        By benchmark, then by model; higher is better. All models of a benchmark must share its draws, so that
        ranks and differences are redrawn with subjects and stimuli. Different benchmarks are drawn independently.
    level : float

    Returns
    -------
    BrainRank
        Bootstrapped ranks of models that are nearly equal spread more than the true ones; intervals err on the
        wide side.

    Raises
    ------
    ValueError
        If a benchmark lacks a model, a score is undefined, or draws are not shared.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(0, 0.05, 500)
    >>> of = lambda mean: ResampledScore(mean, mean + shared, 4, "V1")
    >>> found = brain_rank({"V1": {"a": of(0.5), "b": of(0.4)}})
    >>> found.rank["a"], found.ties["V1"]
    (1.000 [1.000, 1.000], ())
    """
    if not scores:
        raise ValueError("no benchmark was given")
    benchmarks = tuple(scores)
    models = tuple(scores[benchmarks[0]])
    if len(models) < 2:
        raise ValueError(f"{len(models)} models on {benchmarks[0]}; ranks need two")
    for name, row in scores.items():
        if set(row) != set(models):
            raise ValueError(
                f"benchmark {name} has models {sorted(row)}, {benchmarks[0]} has {sorted(models)}"
            )
        if unknown := [model for model in models if not np.isfinite(row[model].estimate)]:
            raise ValueError(f"benchmark {name} has no score of {unknown}; rank without them or without it")
        if len({row[model].pairing for model in models}) > 1:
            raise ValueError(
                f"models of benchmark {name} were not scored on the same stimuli, folds and draws; "
                "score them with one config and the same subjects"
            )
    n_draws = {len(row[model].draws) for row in scores.values() for model in models}
    if len(n_draws) > 1:
        raise ValueError(f"benchmarks have {sorted(n_draws)} draws; use as many in all")
    n = n_draws.pop()
    # the same seed in two benchmarks must not tie their draws together
    orders = [np.random.default_rng([7, i]).permutation(n) for i in range(len(benchmarks))]
    drawn = np.stack(
        [
            [scores[name][m].draws[order] for m in models]
            for name, order in zip(benchmarks, orders, strict=True)
        ]
    )
    found = np.array([[scores[name][m].estimate for m in models] for name in benchmarks])
    ranks = rankdata(-found, axis=1).mean(0)
    rank_draws = rankdata(-drawn, axis=1).mean(0)  # (model, draw)

    def interval(estimate: float, draws: NDArray) -> Interval:
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(estimate), float(low), float(high), level, len(benchmarks))

    pairs = [(i, j) for i in range(len(models)) for j in range(i)]
    ties = {
        name: tuple(
            (models[j], models[i])
            for i, j in pairs
            if tied(scores[name][models[j]].minus(scores[name][models[i]]))
        )
        for name in benchmarks
    }
    return BrainRank(
        models,
        benchmarks,
        {(name, m): scores[name][m].interval() for name in benchmarks for m in models},
        {m: interval(ranks[i], rank_draws[i]) for i, m in enumerate(models)},
        ties,
        tuple(
            (models[j], models[i])
            for i, j in pairs
            if tied(interval(ranks[j] - ranks[i], rank_draws[j] - rank_draws[i]))
        ),
    )


@dataclass(frozen=True, eq=False)
class CrossSpecies:
    """One model beside two or more species, on the same stimuli.

    Attributes
    ----------
    model : dict of Predictivity
        By species.
    within : dict of Interval
        Ceiling: how well the other subjects of a species predict each of its subjects.
    between : dict of Interval
        Baseline by ``(from, to)``: how well all subjects of one species predict those of another.
    gap : dict of Interval
        Score of the model less the ceiling of its species, on the same draws.
    warnings : tuple of str
    """

    model: Mapping[str, Predictivity]
    within: Mapping[str, Interval]
    between: Mapping[tuple[str, str], Interval]
    gap: Mapping[str, Interval]
    warnings: tuple[str, ...]


def cross_species(
    model: Capture,
    species: Mapping[str, Sequence[NeuralData]],
    cfg: PredictivityConfig | None = None,
    baselines: Mapping[str, Capture] | None = None,
) -> CrossSpecies:
    """Score a model on every species, between the ceiling within it and what other species predict.

    A model that predicts one species better may only have met cleaner data, which the two references show: the
    same fits, folds and corrections, with brains in the place of the model.

    Parameters
    ----------
    model : Capture
    species : dict of sequence of NeuralData
        Two subjects of each at least. All must share stimuli by name.
    cfg : PredictivityConfig, optional
    baselines : dict of Capture

    Raises
    ------
    ValueError
        If there is one species, or one has a single subject and hence no ceiling.

    Notes
    -----
    Scores are corrected for the noise of the subjects predicted, not for that of those that predict; brains as
    predictors are noisy, so the ceiling is a lower bound.
    """
    if len(species) < 2:
        raise ValueError(f"species {list(species)}; want two at least")
    for name, subjects in species.items():
        if len(subjects) < 2:
            raise ValueError(
                f"{name}: {len(subjects)} subjects; without another of its species there is no ceiling to compare with"
            )
    everyone = [subject for subjects in species.values() for subject in subjects]
    shared = shared_stimuli(*everyone, model, *(baselines or {}).values())
    model = model.select(shared)
    baselines = {name: capture.select(shared) for name, capture in (baselines or {}).items()}
    sources = [model, *baselines.values(), *(subject.select(shared) for subject in everyone)]
    groups = joined([source.groups for source in sources])  # the same folds for all species
    species = {
        name: [replace(subject.select(shared), groups=groups) for subject in subjects]
        for name, subjects in species.items()
    }
    scored, within, between, gap, notes = {}, {}, {}, {}, []
    predictor = (cfg or PredictivityConfig()).build()
    for name, subjects in species.items():
        scored[name] = predictor.score(model, subjects, baselines)
        notes += [f"{name}: {note}" for note in scored[name].warnings]
        ceiling = predictor.from_others(subjects, [_but(subjects, s) for s in range(len(subjects))])
        within[name] = ceiling.interval()
        gap[name] = scored[name].scores[CHOSEN].minus(ceiling)
        for other, predicted in species.items():
            if other != name:
                between[name, other] = predictor.from_others(
                    predicted, [subjects] * len(predicted)
                ).interval()
    return CrossSpecies(scored, within, between, gap, tuple(notes))


def _but(subjects: Sequence[NeuralData], out: int) -> list[NeuralData]:
    return [subject for number, subject in enumerate(subjects) if number != out]
