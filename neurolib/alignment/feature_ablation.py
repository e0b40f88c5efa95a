"""Ablation of features: a layer, responses and an importance per feature in, what its removal costs out.

Features said to matter are removed, the fit is made anew, and the loss is set beside that of random features of the
same variance. Ridge favours features of high variance, so without the match any importance that grows with variance
would look right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.resampled_score import ResampledScore
from neurolib.alignment.response_panel import PanelConfig
from neurolib.metrics.encoding import RidgePath, RidgePathConfig
from neurolib.metrics.intervals import Interval


@dataclass(frozen=True)
class FeatureAblationConfig:
    """How many features are removed, and what with.

    Parameters
    ----------
    n_features : int
    n_random : int
        Sets of random features; their scores are averaged.
    n_similar : int
        Each feature is matched with one of as many that are nearest in variance.
    ridge : RidgePathConfig
    panel : PanelConfig

    Raises
    ------
    ValueError
        If a number is not positive.
    """

    n_features: int
    n_random: int = 10
    n_similar: int = 5
    ridge: RidgePathConfig = field(default_factory=RidgePathConfig)
    panel: PanelConfig = field(default_factory=PanelConfig)

    def __post_init__(self):
        if min(self.n_features, self.n_random, self.n_similar) < 1:
            raise ValueError(
                f"n_features={self.n_features}, n_random={self.n_random}, n_similar={self.n_similar} must be positive"
            )

    def build(self) -> "FeatureAblation":
        """What ablates with these settings."""
        return FeatureAblation(self)


@dataclass(frozen=True, eq=False)
class AblationScores:
    """Held-out scores without some features, on the same draws.

    Attributes
    ----------
    scores : dict of ResampledScore
        ``"intact"``, without the ``"highest"`` and the ``"lowest"`` in importance, and without random features
        like either in variance, ``"random_as_highest"`` and ``"random_as_lowest"``.
    removed : dict of array
        Features removed; for random ones ``(n_random, n_features)``.
    variance : dict of float
        Mean variance of what was removed, to see how well random features match.
    """

    scores: Mapping[str, ResampledScore]
    removed: Mapping[str, NDArray]
    variance: Mapping[str, float]

    def cost(self, which: str = "highest") -> Interval:
        """How much more is lost than with random features of the same variance; above 0 is specific.

        Parameters
        ----------
        which : {"highest", "lowest"}
        """
        if which not in ("highest", "lowest"):
            raise ValueError(f"which={which!r} must be 'highest' or 'lowest'")
        return self.scores[f"random_as_{which}"].minus(self.scores[which])


class FeatureAblation:
    """Removes features of a layer by importance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names, x = [f"s{i}" for i in range(80)], rng.normal(size=(80, 12))
    >>> model = Capture("net", {"fc": x}, names, np.arange(80))
    >>> cat = NeuralData("cat", x[:, :3] @ rng.normal(size=(3, 6)), names)
    >>> cfg = FeatureAblationConfig(3, n_random=4, panel=PanelConfig(n_draws=100))
    >>> found = cfg.build().score(model, "fc", [cat], importance=np.arange(12) < 3)
    >>> sorted(found.removed["highest"].tolist()), found.cost().low > 0.3
    ([0, 1, 2], True)
    """

    def __init__(self, cfg: FeatureAblationConfig):
        self.cfg = cfg

    def score(
        self, model: Capture, layer: str, subjects: Sequence[NeuralData], importance: ArrayLike
    ) -> AblationScores:
        """Refit without the highest, the lowest and random features.

        Parameters
        ----------
        importance : array, shape (n_features,)
            Of any source that did not see the responses to these stimuli: Fisher information of units, say.

        Raises
        ------
        ValueError
            If there is not one finite importance per feature, or too few features are left.
        """
        if layer not in model.layers:
            raise ValueError(f"no layer {layer!r}; there are {list(model.layers)}")
        panel = self.cfg.panel.build(subjects, model)
        x, importance = panel.rows(model)[layer], np.asarray(importance, float)
        if importance.shape != (x.shape[1],) or not np.isfinite(importance).all():
            raise ValueError(
                f"importance {importance.shape} must be a finite number for {x.shape[1]} features"
            )
        if 2 * self.cfg.n_features >= x.shape[1]:
            raise ValueError(f"n_features={self.cfg.n_features} of {x.shape[1]} leaves too few to match")
        path = self.cfg.ridge.build(x, panel.responses, panel.folds)

        def score(path: RidgePath) -> ResampledScore:
            held = np.empty_like(panel.responses)
            for fold in range(self.cfg.panel.n_folds):
                fit = path.without(fold)
                held[fit.test] = fit.held_out()
            return panel.score(held)

        order = np.argsort(importance, kind="stable")
        variance, draw = x.var(0, dtype=float), np.random.default_rng([self.cfg.panel.seed, 4])
        removed = {"highest": order[::-1][: self.cfg.n_features], "lowest": order[: self.cfg.n_features]}
        scores = {"intact": score(path)}
        scores |= {name: score(path.drop(features)) for name, features in removed.items()}
        for name in ("highest", "lowest"):
            sets = [
                matched(variance, removed[name], self.cfg.n_similar, draw) for _ in range(self.cfg.n_random)
            ]
            parts = [score(path.drop(features)) for features in sets]
            scores[f"random_as_{name}"] = ResampledScore(
                float(np.mean([part.estimate for part in parts])),
                np.mean([part.draws for part in parts], axis=0),
                parts[0].n,
                panel.pairing,
                self.cfg.panel.level,
            )
            removed[f"random_as_{name}"] = np.stack(sets)
        return AblationScores(
            scores, removed, {name: float(variance[rows].mean()) for name, rows in removed.items()}
        )


def matched(variance: ArrayLike, features: ArrayLike, n_similar: int, draw: np.random.Generator) -> NDArray:
    """For each feature another of like variance that is none of them, each taken once.

    Examples
    --------
    >>> matched([1.0, 1.1, 9.0, 10.0], [0, 3], 1, np.random.default_rng(0)).tolist()
    [1, 2]
    """
    size, features = np.log(np.maximum(np.asarray(variance, float), 1e-300)), np.asarray(features)
    free = np.setdiff1d(np.arange(len(size)), features)
    if len(free) < len(features):
        raise ValueError(f"{len(free)} other features for {len(features)}")
    chosen = np.empty(len(features), int)
    for place in draw.permutation(len(features)):
        near = np.argsort(np.abs(size[free] - size[features[place]]), kind="stable")[:n_similar]
        taken = draw.choice(near)
        chosen[place] = free[taken]
        free = np.delete(free, taken)
    return chosen
