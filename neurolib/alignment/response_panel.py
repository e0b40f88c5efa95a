"""A panel of responses: subjects who saw the same stimuli in, folds and scores of held-out predictions out.

Everything that is compared is scored on one panel, so folds, reliable units and draws are the same.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neurolib.alignment.captures import Capture, NeuralData, shared_stimuli
from neurolib.alignment.resampled_score import ResampledScore
from neurolib.metrics.encoding import grouped_folds
from neurolib.metrics.encoding_scores import correlations, fisher_mean
from neurolib.metrics.reliability import LEAST_SPLITS, noise_corrected, split_half

RESAMPLE = ("stimuli", "units")
LEAST_STIMULI = 5  # per fold; correlations of fewer say nothing
BLOCK = 4_000_000  # numbers that resampling holds at a time


@dataclass(frozen=True)
class PanelConfig:
    """How held-out predictions are scored.

    Parameters
    ----------
    n_folds : int
    least_reliability : float
        Units below are left out; to be set before scores are seen.
    n_splits : int
        Random halves of the repeats.
    resample : {"stimuli", "units"}
        What is drawn beside subjects: groups of stimuli within their fold, the same for all subjects, or units of
        each subject drawn. Predictions are not fitted anew, so the training stimuli's chance is not in the interval.
    n_draws : int
    level : float
    seed : int

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    n_folds: int = 5
    least_reliability: float = 0.2
    n_splits: int = 100
    resample: str = "stimuli"
    n_draws: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self):
        if self.resample not in RESAMPLE:
            raise ValueError(f"resample={self.resample!r} must be one of {RESAMPLE}")
        if self.n_folds < 2 or self.n_draws < 1 or self.n_splits < LEAST_SPLITS:
            raise ValueError(
                f"n_folds={self.n_folds} must be at least 2, n_draws={self.n_draws} 1, "
                f"n_splits={self.n_splits} {LEAST_SPLITS}"
            )
        if not 0 < self.level < 1 or not 0 <= self.least_reliability < 1:
            raise ValueError(
                f"level={self.level}, least_reliability={self.least_reliability} must be between 0 and 1"
            )

    def build(self, subjects: Sequence[NeuralData], *others: Capture | NeuralData) -> "ResponsePanel":
        """Join subjects on the stimuli that ``others`` have as well."""
        return ResponsePanel(subjects, self, others)


class ResponsePanel:
    """Reliable units of all subjects, stimuli in folds.

    Parameters
    ----------
    subjects : sequence of NeuralData
    cfg : PanelConfig
    others : sequence of Capture or NeuralData
        What will predict; stimuli that one of them lacks are left out.

    Attributes
    ----------
    stimuli : tuple of str
    groups, folds : array of int, shape (n_stimuli,)
        Stimuli that any source groups together are in one group, and groups never straddle folds.
    responses : array, shape (n_stimuli, n_units)
        Mean over repeats.
    subject : array of int, shape (n_units,)
        Number in ``names``.
    unit : array of int, shape (n_units,)
        Number within the subject, excluded ones counted.
    reliability : array, shape (n_units,)
        1 for subjects without repeats.
    warnings : tuple of str
        What was lost or could not be corrected.

    Raises
    ------
    ValueError
        If stimuli are too few for the folds, two in different folds are the same in all features, or a subject has
        no reliable unit.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=(40, 6))
    >>> names = [f"s{i}" for i in range(40)]
    >>> cat = NeuralData("cat", truth + 0.5 * rng.normal(size=(4, 40, 6)), names)
    >>> panel = PanelConfig(n_draws=200).build([cat])
    >>> round(panel.score(truth).estimate, 1), panel.warnings
    (1.0, ())
    """

    def __init__(
        self,
        subjects: Sequence[NeuralData],
        cfg: PanelConfig = PanelConfig(),
        others: Sequence[Capture | NeuralData] = (),
    ):
        self.cfg, self.names = cfg, tuple(subject.name for subject in subjects)
        if not subjects or len(set(self.names)) < len(subjects):
            raise ValueError(f"subjects {self.names}; want one at least, and names that differ")
        self.stimuli = shared_stimuli(*subjects, *others)
        notes = [
            f"{name}: {lost} stimuli that others lack are left out"
            for source in (*subjects, *others)
            if (lost := len(source.stimuli) - len(self.stimuli))
            for name in [getattr(source, "name", "") or source.model]
        ]
        subjects = [subject.select(self.stimuli) for subject in subjects]
        others = [other.select(self.stimuli) for other in others]
        self.groups = joined([source.groups for source in (*subjects, *others)])
        self.folds = grouped_folds(self.groups, cfg.n_folds, cfg.seed)
        sizes = np.bincount(self.folds, minlength=cfg.n_folds)
        if sizes.min() < LEAST_STIMULI:
            raise ValueError(
                f"{len(self.stimuli)} stimuli in {self.groups.max() + 1} groups make folds of {sizes.tolist()}; "
                f"{LEAST_STIMULI} are needed in each"
            )
        self._no_twins([other for other in others if isinstance(other, Capture)])
        parts, owner, unit, reliability = [], [], [], []
        for number, data in enumerate(subjects):
            if data.n_repeats > 1:
                found = split_half(data.responses, cfg.n_splits, cfg.seed)
                kept, value = found.kept(cfg.least_reliability), found.value
                if not kept.all():
                    notes.append(f"{data.name}: {found.report(cfg.least_reliability)}")
            else:
                kept, value = np.ptp(data.mean, axis=0) > 0, np.ones(data.mean.shape[1])
                notes.append(f"{data.name}: no repeats, so scores are not corrected for noise")
                if not kept.all():
                    notes.append(f"{data.name}: {kept.sum()} of {len(kept)} units vary")
            if not kept.any():
                raise ValueError(
                    f"{data.name}: none of {len(kept)} units is reliable enough ({cfg.least_reliability:g}); "
                    "are rows of all repeats in the same order?"
                )
            parts.append(data.mean[:, kept])
            owner.append(np.full(kept.sum(), number))
            unit.append(np.flatnonzero(kept))
            reliability.append(value[kept])
        self.responses = np.concatenate(parts, axis=1)
        self.subject, self.unit = np.concatenate(owner), np.concatenate(unit)
        self.reliability, self.warnings = np.concatenate(reliability), tuple(notes)
        self._draw()

    def rows(self, capture: Capture) -> Mapping[str, NDArray]:
        """Layers of a model, rows as in the panel."""
        return capture.select(self.stimuli).layers

    def permuted(self) -> "ResponsePanel":
        """The same panel with responses to the wrong stimuli: the chance level of whatever is done with it."""
        other = copy(self)
        order = np.random.default_rng([self.cfg.seed, 3]).permutation(len(self.stimuli))
        other.responses = self.responses[order]
        return other

    def unit_scores(self, predictions: NDArray) -> NDArray:
        """Pearson correlation of held-out predictions within each fold, ``(n_folds, n_units)``."""
        folds = [np.flatnonzero(self.folds == fold) for fold in range(self.cfg.n_folds)]
        return np.stack([correlations(self.responses[rows], predictions[rows]) for rows in folds])

    def corrected(self, unit_scores: NDArray) -> NDArray:
        """Mean over folds, as if responses had no noise, ``(n_units,)``."""
        return noise_corrected(fisher_mean(unit_scores), self.reliability)

    def by_subject(self, values: NDArray) -> NDArray:
        """Median over units ``(..., n_units)`` of each subject, ``(..., n_subjects)``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no unit is defined: NaN says so
            medians = [np.nanmedian(values[..., self.subject == s], axis=-1) for s in range(len(self.names))]
        return np.stack(medians, axis=-1)

    def r2(self, predictions: NDArray) -> NDArray:
        """One minus squared error over that of the training mean, all folds together, ``(n_units,)``."""
        base = np.empty_like(self.responses)
        for fold in range(self.cfg.n_folds):
            inside = self.folds == fold
            base[inside] = self.responses[~inside].mean(0)
        error = np.square(self.responses - predictions).sum(0)
        return 1 - error / np.square(self.responses - base).sum(0)

    def score(self, predictions: NDArray) -> ResampledScore:
        """Median over units, mean over subjects, with draws of both subjects and stimuli or units.

        Parameters
        ----------
        predictions : array, shape (n_stimuli, n_units)
            Each row by a fit that saw nothing of its fold.
        """
        units = self.corrected(self.unit_scores(predictions))
        estimate = float(self.by_subject(units).mean())
        note = "" if np.isfinite(estimate) else "predictions are constant"
        if self.cfg.resample == "units":
            draws = self._of_units(units)
        else:
            draws = np.take_along_axis(self._of_stimuli(predictions), self.picked, axis=1).mean(1)
        return ResampledScore(estimate, draws, len(self.names), self.pairing, self.cfg.level, note)

    def _draw(self) -> None:
        """Draw subjects and groups of stimuli once, for all that will be scored."""
        cfg, n = self.cfg, len(self.names)
        draw = np.random.default_rng([cfg.seed, 1])
        self.picked = draw.integers(0, n, (cfg.n_draws, n))
        counts = np.zeros((cfg.n_draws, self.groups.max() + 1))
        for fold in range(cfg.n_folds):
            inside = np.unique(self.groups[self.folds == fold])
            counts[:, inside] = draw.multinomial(
                len(inside), np.full(len(inside), 1 / len(inside)), cfg.n_draws
            )
        self.weights = counts[:, self.groups]
        identity = (
            self.stimuli,
            self.names,
            self.folds.tolist(),
            self.groups.tolist(),
            self.unit.tolist(),
            cfg,
        )
        self.pairing = hashlib.sha256(repr(identity).encode() + self.responses.tobytes()).hexdigest()[:16]

    def _of_stimuli(self, predictions: NDArray) -> NDArray:
        """Scores of each subject with stimuli redrawn, ``(n_draws, n_subjects)``."""
        size = max(1, BLOCK // (5 * self.responses.shape[1]))
        blocks = []
        for start in range(0, self.cfg.n_draws, size):
            scores = []
            for fold in range(self.cfg.n_folds):
                rows = np.flatnonzero(self.folds == fold)
                weights = self.weights[start : start + size, rows]
                scores.append(correlations(self.responses[rows], predictions[rows], weights))
            blocks.append(self.by_subject(self.corrected(np.stack(scores))))
        return np.concatenate(blocks)

    def _of_units(self, units: NDArray) -> NDArray:
        """Scores with units redrawn; a subject drawn twice stands for two, and draws its units anew."""
        draw = np.random.default_rng([self.cfg.seed, 2])
        total = np.zeros(self.cfg.n_draws)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for slot in self.picked.T:
                for number in range(len(self.names)):
                    own, rows = units[self.subject == number], np.flatnonzero(slot == number)
                    chosen = draw.integers(0, len(own), (len(rows), len(own)))
                    total[rows] += np.nanmedian(own[chosen], axis=1) if len(rows) else 0
        return total / len(self.names)

    def _no_twins(self, captures: Sequence[Capture]) -> None:
        """Refuse stimuli that are the same in all features, yet in different folds."""
        seen: dict[bytes, int] = {}
        layers = [layer for capture in captures for layer in capture.layers.values()]
        for row in range(len(self.stimuli)) if layers else ():
            digest = hashlib.sha256()
            for layer in layers:
                digest.update(np.ascontiguousarray(layer[row]).tobytes())
            twin = seen.setdefault(digest.digest(), row)
            if self.folds[twin] != self.folds[row]:
                raise ValueError(
                    f"stimuli {self.stimuli[twin]} and {self.stimuli[row]} are the same in all features but in "
                    "different folds, where one would give the other away; put them in one of the groups"
                )


def joined(partitions: Sequence[NDArray]) -> NDArray:
    """Groups of stimuli that any partition holds together, ``(n_stimuli,)``.

    Examples
    --------
    >>> joined([np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7])]).tolist()
    [0, 0, 0, 1]
    """
    n, firsts = len(partitions[0]), []
    for partition in partitions:
        _, first, group = np.unique(np.asarray(partition), return_index=True, return_inverse=True)
        firsts.append(first[group])
    ends = np.concatenate(firsts)
    starts = np.tile(np.arange(n), len(partitions))
    return connected_components(
        coo_array((np.ones(len(ends)), (starts, ends)), shape=(n, n)), directed=False
    )[1]
