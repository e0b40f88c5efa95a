"""Neural predictivity: layers of a model and responses to the same stimuli in, held-out scores beside baselines out.

Folds are of whole groups of stimuli. Standardisation, principal components, penalties and the choice of a layer
are made on training stimuli alone: a layer is chosen by fits that leave out two folds, of which the one that is not
being tested scores it. A fit without folds ``i`` and ``j`` serves both, so choosing costs ``k (k - 1) / 2`` fits.

References
----------
.. [1] Schrimpf et al. (2020), "Integrative benchmarking to advance neurally mechanistic models of human
   intelligence", Neuron 108(3).
.. [2] Varma & Simon (2006), "Bias in error estimation when using cross-validation for model selection", BMC
   Bioinformatics 7:91.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.resampled_score import ResampledScore
from neurolib.alignment.response_panel import PanelConfig, ResponsePanel
from neurolib.metrics.encoding import RidgePathConfig
from neurolib.metrics.encoding_scores import correlations, fisher_mean
from neurolib.metrics.intervals import Interval
from neurolib.metrics.partial_least_squares import fit_pls

METHODS = ("ridge", "pls")
CHOSEN, PERMUTED, MATCHED = "chosen", "permuted", "pca_matched"
EXPECTED = ("pixels", "random_weights")


@dataclass(frozen=True)
class PredictivityConfig:
    """How a model is fitted to responses and scored.

    Parameters
    ----------
    method : {"ridge", "pls"}
        Ridge has a penalty per unit. Partial least squares is fitted to all units of a subject together.
    ridge : RidgePathConfig
    n_components : int
        Of partial least squares.
    matched_components : int
        Principal components of every layer in the baseline of matched dimension; fewer if a layer is narrower.
    panel : PanelConfig

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    method: str = "ridge"
    ridge: RidgePathConfig = field(default_factory=lambda: RidgePathConfig(standardise=True))
    n_components: int = 25
    matched_components: int = 50
    panel: PanelConfig = field(default_factory=PanelConfig)

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} must be one of {METHODS}")
        if self.n_components < 1 or self.matched_components < 1:
            raise ValueError(
                f"n_components={self.n_components}, matched_components={self.matched_components} must be at least 1"
            )

    def build(self) -> "NeuralPredictivity":
        """What scores models with these settings."""
        return NeuralPredictivity(self)


@dataclass(frozen=True, eq=False)
class Predictivity:
    """Scores of one model, its layers and its baselines, all on the same held-out stimuli.

    Attributes
    ----------
    model : str
    scores : dict of ResampledScore
        By layer, then ``"chosen"`` (layer picked on inner folds), ``"permuted"`` (responses to other stimuli),
        ``"pca_matched"`` (all layers cut to as many components) and the baselines given, each with its layer picked
        in the same way. Correlations corrected for the noise of responses, so that 1 is all that can be predicted.
    values : dict of array, shape (n_layers, n_folds, n_units)
        Raw correlations ``"r"``, and ``"r2"`` against the training mean, ``(n_layers, n_units)``.
    dims : dict of tuple
        What the axes of ``values`` are.
    coords : dict
        Labels: ``layer``, ``fold``, ``unit`` (its number in its subject) and ``subject`` (of each unit).
    picked : array of int, shape (n_folds, n_subjects)
        Layer that inner folds chose.
    matched : int
        Components of ``"pca_matched"``.
    warnings : tuple of str
    provenance : dict
    """

    model: str
    scores: Mapping[str, ResampledScore]
    values: Mapping[str, NDArray]
    coords: Mapping[str, Sequence]
    picked: NDArray
    matched: int
    warnings: tuple[str, ...] = ()
    provenance: Mapping = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"r": ("layer", "fold", "unit"), "r2": ("layer", "unit")}
    )

    @property
    def estimate(self) -> Interval:
        """Score of the layer chosen on inner folds."""
        return self.scores[CHOSEN].interval()

    @property
    def chance(self) -> Interval:
        """The same with responses to other stimuli."""
        return self.scores[PERMUTED].interval()

    def difference(self, one: str, other: str) -> Interval:
        """How much better one row of ``scores`` is than another, on the same draws."""
        for name in (one, other):
            if name not in self.scores:
                raise ValueError(f"no score of {name!r}; there are {list(self.scores)}")
        return self.scores[one].minus(self.scores[other])


class NeuralPredictivity:
    """Scores models by how well they predict responses to stimuli that were not fitted.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names, code = [f"s{i}" for i in range(60)], rng.normal(size=(60, 8))
    >>> model = Capture("net", {"early": rng.normal(size=(60, 8)), "late": code}, names, np.arange(60))
    >>> cat = NeuralData("cat", code @ rng.normal(size=(8, 5)) + rng.normal(size=(4, 60, 5)), names)
    >>> found = PredictivityConfig(panel=PanelConfig(n_draws=200)).build().score(model, [cat])
    >>> found.picked.ravel().tolist(), found.estimate.low > 0.8, found.chance.low < 0 < found.chance.high
    ([1, 1, 1, 1, 1], True, True)
    """

    def __init__(self, cfg: PredictivityConfig = PredictivityConfig()):
        self.cfg = cfg

    def score(
        self,
        model: Capture,
        subjects: Sequence[NeuralData],
        baselines: Mapping[str, Capture] | None = None,
    ) -> Predictivity:
        """Fit every layer to every unit, and score what was held out.

        Parameters
        ----------
        model : Capture
        subjects : sequence of NeuralData
        baselines : dict of Capture
            ``"pixels"`` and ``"random_weights"`` (the same network untrained) are missed if they are not there.

        Raises
        ------
        ValueError
            If stimuli are too few or straddle folds, or names of layers and baselines clash.
        """
        baselines = dict(baselines or {})
        taken = [CHOSEN, PERMUTED, MATCHED, *baselines, *model.layers]
        if len(set(taken)) < len(taken):
            raise ValueError(f"layers and baselines share names: {sorted(taken)}")
        panel = self.cfg.panel.build(subjects, model, *baselines.values())
        notes = list(panel.warnings)
        notes += [f"no baseline {name!r} was given" for name in EXPECTED if name not in baselines]
        notes += [f"layer {name} is the same for all stimuli and has no score" for name in model.constant()]
        layers, wrong = panel.rows(model), panel.permuted()
        # one eigendecomposition serves the responses and those to the wrong stimuli
        n, every = panel.responses.shape[1], np.concatenate([panel.responses, wrong.responses], axis=1)
        least_train = len(panel.stimuli) - 2 * np.bincount(panel.folds).max()
        matched = min([self.cfg.matched_components, least_train - 1, *(x.shape[1] for x in layers.values())])
        sizes = (None, matched) if self.cfg.method == "ridge" else (None,)
        owners = np.concatenate([panel.subject, panel.subject + len(panel.names)])
        fits = {
            name: self._held_out(x, every, owners, panel, sizes, len(layers) > 1)
            for name, x in layers.items()
        }
        outer = {key: np.stack([fit[0][key] for fit in fits.values()]) for key in sizes}
        inner = {key: np.stack([fit[1][key] for fit in fits.values()]) for key in sizes}
        picked = pick(panel, inner[None][..., :n])
        scores = {name: panel.score(outer[None][i, :, :n]) for i, name in enumerate(layers)}
        scores[CHOSEN] = panel.score(assemble(panel, outer[None][..., :n], picked))
        picks = pick(wrong, inner[None][..., n:])
        scores[PERMUTED] = wrong.score(assemble(panel, outer[None][..., n:], picks))
        if self.cfg.method == "ridge":
            picks = pick(panel, inner[matched][..., :n])
            scores[MATCHED] = panel.score(assemble(panel, outer[matched][..., :n], picks))
        for name, capture in baselines.items():
            rows = panel.rows(capture)
            parts = [
                self._held_out(x, panel.responses, panel.subject, panel, choose=len(rows) > 1)
                for x in rows.values()
            ]
            held, chosen = (np.stack([part[i][None] for part in parts]) for i in (0, 1))
            scores[name] = panel.score(assemble(panel, held, pick(panel, chosen)))
        chance = scores[PERMUTED].interval()
        if chance.low > 0:
            notes.append(
                f"responses to the wrong stimuli are predicted ({chance}); do stimuli leak across folds?"
            )
        values = {"r": np.stack([panel.unit_scores(held) for held in outer[None][..., :n]])}
        values["r2"] = np.stack([panel.r2(held) for held in outer[None][..., :n]])
        owner = [panel.names[number] for number in panel.subject]
        coords = {"layer": list(layers), "fold": list(range(self.cfg.panel.n_folds))}
        coords |= {"unit": panel.unit.tolist(), "subject": owner}
        provenance = {"config": self.cfg, "pairing": panel.pairing, "n_stimuli": len(panel.stimuli)}
        provenance |= {"model": dict(model.provenance)}
        return Predictivity(
            model.model, scores, values, coords, picked, int(matched), tuple(notes), provenance
        )

    def from_others(
        self, subjects: Sequence[NeuralData], predictors: Sequence[Sequence[NeuralData]]
    ) -> ResampledScore:
        """Predict each subject from the units of others, in the place of a model.

        Parameters
        ----------
        subjects : sequence of NeuralData
        predictors : sequence of sequence of NeuralData
            Those that predict each of them.
        """
        panel = self.cfg.panel.build(subjects, *(other for group in predictors for other in group))
        held = np.empty_like(panel.responses)
        for number, group in enumerate(predictors):
            own = np.flatnonzero(panel.subject == number)
            x = np.concatenate([other.select(panel.stimuli).mean for other in group], axis=1)
            outer, _ = self._held_out(x, panel.responses[:, own], panel.subject[own], panel)
            held[:, own] = outer[None]
        return panel.score(held)

    def _held_out(
        self,
        x: NDArray,
        y: NDArray,
        owners: NDArray,
        panel: ResponsePanel,
        sizes: Sequence[int | None] = (None,),
        choose: bool = False,
    ) -> tuple[dict, dict]:
        """Predictions of every fold, and scores of every fold's inner folds, by number of components.

        Returns
        -------
        outer : dict of array, shape (n_stimuli, n_targets)
        inner : dict of array, shape (n_folds, n_targets)
        """
        folds, n_folds = panel.folds, self.cfg.panel.n_folds
        fit = self._fitter(x, y, owners, panel)
        outer = {size: np.empty(y.shape) for size in sizes}
        inner = {size: np.full((n_folds, n_folds, y.shape[1]), np.nan) for size in sizes}
        for fold in range(n_folds):
            for size, held in fit((fold,), sizes).items():
                outer[size][folds == fold] = held
        for i, j in combinations(range(n_folds), 2) if choose else ():
            test = np.flatnonzero((folds == i) | (folds == j))
            for size, held in fit((i, j), sizes).items():
                for tested, scored in ((i, j), (j, i)):
                    rows = folds[test] == scored
                    inner[size][tested, scored] = correlations(y[test[rows]], held[rows])
        return outer, {size: fisher_mean(scores, axis=1) for size, scores in inner.items()}

    def _fitter(self, x: NDArray, y: NDArray, owners: NDArray, panel: ResponsePanel) -> Callable[..., dict]:
        """A function of folds to leave out that returns predictions of their rows; targets have owners."""
        if self.cfg.method == "ridge":
            path = self.cfg.ridge.build(x, y, panel.folds)

            def ridge(held, sizes):
                fit = path.without(*held)
                return {size: fit.held_out(size) for size in sizes}

            return ridge

        def pls(held, sizes):
            inside = np.isin(panel.folds, held)
            mean, scale = x[~inside].mean(0, dtype=float), x[~inside].std(0, dtype=float)
            rows = (x - mean) / np.where(scale > 0, scale, np.inf)
            n_components = min(self.cfg.n_components, x.shape[1], int((~inside).sum()) - 1)
            found = np.empty((inside.sum(), y.shape[1]))
            for owner in np.unique(owners):  # components depend on which units are fitted together
                own = owners == owner
                found[:, own] = fit_pls(rows[~inside], y[~inside][:, own], n_components).predict(rows[inside])
            return {None: found}

        return pls


def pick(panel: ResponsePanel, inner: NDArray) -> NDArray:
    """Best layer of each fold and subject, ``(n_folds, n_subjects)``, by inner scores ``(layer, fold, unit)``."""
    medians = panel.by_subject(inner)
    return np.argmax(np.where(np.isfinite(medians), medians, -np.inf), axis=0)


def assemble(panel: ResponsePanel, outer: NDArray, picked: NDArray) -> NDArray:
    """Predictions ``(n_stimuli, n_units)`` of the layer picked for each fold and subject."""
    layer = picked[panel.folds][:, panel.subject]
    return np.take_along_axis(outer, layer[None], axis=0)[0]
