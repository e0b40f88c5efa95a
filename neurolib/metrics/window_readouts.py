"""Linear read-outs of windows: features ``(window, step, feature)`` and targets ``(window, step, output)`` in, predictions out.

Both what a model has learned and plain summaries of the signals are read the same way, so that they compare.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

PENALTIES = tuple(np.logspace(-1, 5, 13))
POWERS = ("lfp", "eeg", "ecog", "emg")  # modalities whose news are in the size of what they do
FLOOR = 1e-4  # of a power, in squared SD

Readout = Callable[[ArrayLike], NDArray]


def step_features(batch: Mapping[str, Tensor], names: Iterable[str], n_steps: int) -> dict[str, NDArray]:
    """What an analyst would take from each modality in each step of a window, ``(window, step, feature)``.

    Means of all signals, which for spikes are rates. For field potentials, EEG and EMG, the logarithms of the
    mean squared sample and of the mean squared change from sample to sample, which is mostly fast rhythms.
    Signals of fewer samples than steps give all their samples to every step.

    Parameters
    ----------
    batch : mapping of Tensor
        With ``"<name>/values" (window, time, channel)``, without gaps.
    names : iterable of str
    n_steps : int

    Raises
    ------
    ValueError
        If a signal cannot be divided into steps.

    Examples
    --------
    >>> batch = {"spike/values": torch.tensor([[[0.0], [2.0], [1.0], [3.0]]])}
    >>> step_features(batch, ["spike"], n_steps=2)["spike"].tolist()
    [[[1.0], [2.0]]]
    """
    found = {}
    for name in names:
        values = batch[f"{name}/values"]
        n = values.shape[1]
        if n < n_steps:
            found[name] = values.flatten(1)[:, None].expand(-1, n_steps, -1).numpy()
            continue
        if n % n_steps:
            raise ValueError(f"{name}: {n} samples cannot be divided into {n_steps} steps")
        steps = values.unflatten(1, (n_steps, -1))
        parts = [steps.mean(2)]
        if name in POWERS:
            changes = steps.diff(dim=2)
            parts += [(x.square().mean(2) + FLOOR).log() for x in (steps - parts[0][:, :, None], changes)]
        found[name] = torch.cat(parts, -1).numpy()
    return found


def with_neighbours(features: ArrayLike, reach: int) -> NDArray:
    """Features of a step beside those of the ``reach`` steps before and after it; zeros outside the window.

    Examples
    --------
    >>> with_neighbours([[[1.0], [2.0], [3.0]]], reach=1)[0].tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]]
    """
    features = np.asarray(features)
    n = features.shape[1]
    padded = np.pad(features, ((0, 0), (reach, reach), (0, 0)))
    return np.concatenate([padded[:, lag : lag + n] for lag in range(2 * reach + 1)], axis=2)


def ridge_readout(
    features: Sequence[ArrayLike], targets: Sequence[ArrayLike], penalties: Sequence[float] = PENALTIES
) -> Readout:
    """Fit a ridge on training windows, its penalty chosen per output on valid windows.

    Parameters
    ----------
    features : (train, valid), each of shape (n_windows, n_steps, n_features)
        Standardised with the moments of the training windows.
    targets : (train, valid), each of shape (n_windows, n_steps, n_outputs)
    penalties : sequence of float

    Returns
    -------
    callable
        From features to predictions ``(n_windows, n_steps, n_outputs)``.

    Examples
    --------
    >>> x = np.arange(6.0).reshape(2, 3, 1)
    >>> ridge_readout((x, x), (2 * x + 1, 2 * x + 1), [1e-9])([[[10.0]]]).round(6).tolist()
    [[[21.0]]]
    """
    x, seen = (_rows(part) for part in features)
    y, wanted = (_rows(part) for part in targets)
    centre, scale, offset = x.mean(0), x.std(0), y.mean(0)
    scale[scale < 1e-9] = 1.0
    x, seen = (x - centre) / scale, (seen - centre) / scale
    eigenvalue, basis = np.linalg.eigh(x.T @ x)
    projected = basis.T @ (x.T @ (y - offset))
    floor = 1e-12 * eigenvalue[-1]  # directions the data never took stay at zero
    kept = (eigenvalue > floor)[:, None]
    fits = [basis @ (kept * projected / np.maximum(eigenvalue + p, floor)[:, None]) for p in penalties]
    errors = [((seen @ fit + offset - wanted) ** 2).sum(0) for fit in fits]
    best = np.argmin(errors, axis=0)
    weights = np.stack([fits[b][:, k] for k, b in enumerate(best)], axis=1)

    def read(new: ArrayLike) -> NDArray:
        new = np.asarray(new, float)
        return (new - centre) / scale @ weights + offset

    return read


def _rows(part: ArrayLike) -> NDArray:
    part = np.asarray(part, float)
    if part.ndim != 3:
        raise ValueError(f"shape {part.shape}; read-outs take (window, step, feature)")
    return part.reshape(-1, part.shape[2])
