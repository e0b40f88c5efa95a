"""What features of a dictionary are about and do: features ``(bin, feature)`` or a dictionary in; windows, tuning, edits out.

An edit is a function of the value at a site, for :func:`neurolib.interpret.activations.patch`. It adds the
change of a feature to the value, so that what the dictionary does not explain stays as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control
from torch import Tensor
from torch.nn import functional as F

from neurolib.interpret.dictionaries.autoencoder import SparseAutoencoderBase
from neurolib.metrics.information import information_null
from neurolib.metrics.selectivity import Selectivity, SelectivityConfig, SelectivityTest

Edit = Callable[[Tensor], Tensor]


class Window(NamedTuple):
    """Where a feature is most active: ``trial``, ``bin`` of the peak in it, peak, and activity around it.

    ``activity`` covers bins ``start`` to ``start + len(activity)`` of the trial.
    """

    trial: int
    bin: int
    peak: float
    start: int
    activity: NDArray


class FeatureTuning(NamedTuple):
    """What :func:`feature_tuning` found for one variable.

    Parameters
    ----------
    selectivity : Selectivity
        Over bins of the variable; conditions in order of the variable.
    p_adjusted : array, shape (n_features,)
        False discovery rate over the features (Benjamini & Hochberg); 1 for features that are never active.
    bits : array, shape (n_features,)
        Mutual information less its null, of the ``n_information`` most selective features; nan for others.
    """

    selectivity: Selectivity
    p_adjusted: NDArray
    bits: NDArray


def top_windows(activity: ArrayLike, lengths: ArrayLike, n: int = 8, reach: int = 10) -> list[Window]:
    """Windows around the largest activity of one feature, one per trial at most.

    Parameters
    ----------
    activity : array_like, shape (n_bins,)
        Of one feature, trials stacked.
    lengths : array_like of int, shape (n_trials,)
        Bins of each trial.
    n : int
        Fewer come back if the feature is active in fewer trials.
    reach : int
        Bins before and after the peak, as far as the trial goes.

    Examples
    --------
    >>> found = top_windows([0, 3, 0, 0, 5, 1, 0], [3, 2, 2], n=2, reach=1)
    >>> [(w.trial, w.bin, w.peak, w.start, w.activity.tolist()) for w in found]
    [(1, 1, 5.0, 0, [0.0, 5.0]), (0, 1, 3.0, 0, [0.0, 3.0, 0.0])]
    """
    activity, lengths = np.asarray(activity, float), np.asarray(lengths)
    if activity.ndim != 1 or lengths.sum() != len(activity):
        raise ValueError(f"activity {activity.shape} and trials of {lengths.sum()} bins in all do not agree")
    trials = np.split(activity, np.cumsum(lengths)[:-1])
    peaks = np.array([trial.max() for trial in trials])
    found = []
    for number in np.argsort(-peaks, kind="stable")[:n]:
        if peaks[number] <= 0:
            break
        at = int(trials[number].argmax())
        start = max(at - reach, 0)
        found.append(
            Window(int(number), at, float(peaks[number]), start, trials[number][start : at + reach + 1])
        )
    return found


def feature_tuning(
    features: ArrayLike,
    variables: Mapping[str, ArrayLike],
    groups: ArrayLike,
    n_bins: int = 8,
    circular: Sequence[str] = (),
    n_information: int = 5,
    config: SelectivityConfig | None = None,
) -> dict[str, FeatureTuning]:
    """How much each feature tells about each variable, against variables shifted in time.

    Parameters
    ----------
    features : array_like, shape (n, n_features)
        In the order of time.
    variables : dict of array_like, shape (n,)
        Labels, or numbers, which are cut into ``n_bins`` of equal count.
    groups : array_like, shape (n,)
        Trial of each sample.
    n_bins : int
    circular : sequence of str
        Names of variables that are angles in radians; their bins are of equal width.
    n_information : int
        Information is slow to estimate, so only so many features that are most selective get theirs.
    config : SelectivityConfig, optional

    Returns
    -------
    dict of FeatureTuning
    """
    features, groups = np.asarray(features, float), np.asarray(groups)
    found, config = {}, config or SelectivityConfig()
    for name, variable in variables.items():
        variable = np.asarray(variable)
        labels = _binned(variable, n_bins, name in circular)
        measured = SelectivityTest(labels, groups, config).measure(features)
        p = np.where(features.any(axis=0), measured.p_value, 1.0)
        bits = np.full(features.shape[1], np.nan)
        for number in np.argsort(-measured.eta_squared)[:n_information]:
            told = np.column_stack([np.cos(variable), np.sin(variable)]) if name in circular else variable
            bits[number] = information_null(
                features[:, number], told, groups, n_shifts=20, seed=config.seed
            ).excess
        adjusted = false_discovery_control(p) if config.n_permutations else np.full(len(p), np.nan)
        found[name] = FeatureTuning(measured, adjusted, bits)
    return found


def without(
    dictionary: SparseAutoencoderBase, features: int | Sequence[int], along: Tensor | None = None
) -> Edit:
    """An edit that sets features to zero, where sparse features mostly are.

    Parameters
    ----------
    dictionary : SparseAutoencoderBase
    features : int or sequence of int
    along : Tensor, shape (n_channels,), optional
        Take the same amounts away along this direction instead: the control for moving a value so far.

    Examples
    --------
    >>> from neurolib.interpret.dictionaries.topk import TopKConfig
    >>> sae = TopKConfig(n_features=6, k=2).build(3)
    >>> x = torch.randn(4, 3)
    >>> rest = x - sae(x)  # what is not explained stays
    >>> bool((without(sae, range(6))(x) - rest - sae.b_dec).abs().max() < 1e-5)
    True
    """
    return _edit(dictionary, features, torch.zeros_like, along)


def steered(
    dictionary: SparseAutoencoderBase, feature: int, value: float, along: Tensor | None = None
) -> Edit:
    """An edit that sets a feature to ``value`` everywhere; the other arguments are those of :func:`without`."""
    return _edit(dictionary, feature, lambda now: torch.full_like(now, value), along)


def _edit(dictionary, features: int | Sequence[int], change: Callable, along: Tensor | None) -> Edit:
    numbers = [features] if isinstance(features, int | np.integer) else list(features)
    if not numbers or not 0 <= min(numbers) <= max(numbers) < dictionary.n_features:
        raise ValueError(f"features {numbers} of a dictionary of {dictionary.n_features}")
    atoms = dictionary.W_dec[numbers].detach()
    if along is not None:
        atoms = F.normalize(along.to(atoms), dim=-1).expand_as(atoms)

    def edit(value: Tensor) -> Tensor:
        now = dictionary.encode(value)[..., numbers]
        return value + (change(now) - now) @ atoms / dictionary.scale

    return edit


def _binned(variable: NDArray, n_bins: int, circular: bool) -> NDArray:
    """Bin of each sample; labels stay what they are."""
    if circular:
        return np.floor(np.mod(variable, 2 * np.pi) / (2 * np.pi) * n_bins).astype(int).clip(0, n_bins - 1)
    if variable.dtype.kind not in "fc" or len(np.unique(variable)) <= n_bins:
        return variable
    edges = np.quantile(variable, np.linspace(0, 1, n_bins + 1)[1:-1])
    return np.searchsorted(edges, variable, side="right")
