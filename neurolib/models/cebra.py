"""CEBRA through its own package: spike counts in, an embedding, and the behaviour read from it.

Needs the optional extra ``cebra``, which is imported when a decoder is fitted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_units, moments

LABELS = ("behaviour", "time")


@dataclass(frozen=True)
class CebraConfig:
    """Everything needed to fit a :class:`CebraDecoder`.

    The package's models with memory are convolutions centred on the bin, so half of what they see is
    the future (``offset10-model``: 5 bins before, 4 after), and they run across the borders of trials.
    Here its one-bin network (``offset1-model``) gets a window of bins that ends where we say and stays in
    the trial, like that of ridge regression: causal unless ``lag_bins`` is negative.
    """

    history_bins: int = 10  # bins the network sees
    lag_bins: int = 0  # the window ends this many bins before the behaviour; negative looks ahead
    labels: str = "behaviour"  # what makes two bins alike; "time" uses no behaviour
    n_latents: int = 8
    hidden: int = 32
    time_offset_bins: int = 1  # positive pairs differ as much as bins this far apart do
    temperature: float = 1.0
    lr: float = 3e-3
    steps: int = 300
    batch_size: int = 256  # each step compares as many labels with those of all training bins
    neighbours: tuple[int, ...] = (5, 25, 125)  # of the kNN read-outs tried on the valid trials
    penalties: tuple[float, ...] = (1e-2, 1.0, 1e2)  # of the linear read-outs tried there
    device: str = "cuda_if_available"  # or "cpu", "cuda", as the package has it

    def __post_init__(self):
        if self.labels not in LABELS:
            raise ValueError(f"labels={self.labels!r} must be one of {LABELS}")
        if self.history_bins < 1:
            raise ValueError(f"history_bins={self.history_bins}; 1 is the newest bin alone")
        if not self.neighbours and not self.penalties:
            raise ValueError("no read-out to choose from; give neighbours or penalties")


class CebraDecoder:
    """A contrastive embedding of the counts, then the read-out that does best on the valid trials.

    Pairs of bins are drawn from all training trials stacked, as the package does with one session;
    with ``labels="time"`` a few of them lie in two neighbouring trials. The package seeds its samplers
    from the system (0.6.1), so no two fits are the same: report several.

    Parameters
    ----------
    cfg : CebraConfig

    Attributes
    ----------
    embedding : cebra.CEBRA
        The fitted estimator, for the package's own tools.
    readout : scikit-learn regressor
        From embedding to standardised behaviour: nearest neighbours or ridge regression.

    Raises
    ------
    ImportError
        From :meth:`fit`, if the package is missing.

    References
    ----------
    .. [1] Schneider, Lee & Mathis (2023), "Learnable latent embeddings for joint behavioural and
       neural analysis", Nature 617.

    Examples
    --------
    >>> CebraDecoder(CebraConfig(history_bins=10)).is_causal
    True
    >>> CebraDecoder(CebraConfig(history_bins=10, lag_bins=-4)).is_causal
    False
    """

    def __init__(self, cfg: CebraConfig = CebraConfig()):
        self.cfg = cfg

    @property
    def is_causal(self) -> bool:
        """Whether a prediction sees no later bin."""
        return self.cfg.lag_bins >= 0

    def fit(self, train: Trials, valid: Trials) -> "CebraDecoder":
        """Embed ``train``, and choose the read-out with the least standardised error on ``valid``."""
        cebra = _package()
        cfg = self.cfg
        self.mean, self.scale = moments(train.counts)
        self.output_mean, self.output_scale = moments(train.behaviour)
        target, valid_target = (
            (trials.behaviour - self.output_mean) / self.output_scale for trials in (train, valid)
        )
        self.embedding = cebra.CEBRA(
            model_architecture="offset1-model",
            conditional="time_delta" if cfg.labels == "behaviour" else "time",
            time_offsets=cfg.time_offset_bins,
            output_dimension=cfg.n_latents,
            num_hidden_units=cfg.hidden,
            temperature=cfg.temperature,
            learning_rate=cfg.lr,
            max_iterations=cfg.steps,
            batch_size=cfg.batch_size,
            device=cfg.device,
        )
        labels = (target.astype(np.float32),) if cfg.labels == "behaviour" else ()
        self.embedding.fit(self._windows(train), *labels)
        seen, valid_seen = self.embed(train), self.embed(valid)
        readouts = [KNeighborsRegressor(min(k, len(seen))) for k in cfg.neighbours]
        readouts += [Ridge(penalty) for penalty in cfg.penalties]
        errors = [
            ((readout.fit(seen, target).predict(valid_seen) - valid_target) ** 2).sum()
            for readout in readouts
        ]
        self.readout = readouts[int(np.argmin(errors))]
        return self

    def embed(self, trials: Trials) -> NDArray:
        """Embed every bin, shape ``(n_bins, n_latents)``, on the unit sphere."""
        check_units(trials, len(self.mean))
        return np.asarray(self.embedding.transform(self._windows(trials)))

    def predict(self, trials: Trials) -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)``."""
        return self.readout.predict(self.embed(trials)) * self.output_scale + self.output_mean

    def _windows(self, trials: Trials) -> NDArray:
        """Standardised counts, ``(n_bins, history_bins * n_units)``; before the trial, average."""
        window = trials.history(self.cfg.history_bins, fill=self.mean, lag_bins=self.cfg.lag_bins)
        window -= self.mean.astype(np.float32)
        window /= self.scale.astype(np.float32)
        return window.reshape(len(window), -1)


def _package():
    try:
        import cebra
    except ImportError as error:
        raise ImportError(
            "CEBRA is not installed; the extra has it: pip install 'neurolib-book[peers]'"
        ) from error
    return cebra
