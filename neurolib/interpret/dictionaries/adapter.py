"""The source's way to call a sparse autoencoder: activations in, trained and explained in two lines.

The source's own divides the penalty by the number of features, leaves atoms free to grow and has no count of
dead features; here the same calls train the autoencoders of this package.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from neurolib.interpret.dictionaries.features import Window, top_windows
from neurolib.interpret.dictionaries.penalised import ReLUConfig
from neurolib.interpret.dictionaries.quality import Quality, quality
from neurolib.interpret.dictionaries.training import DictionaryTraining, History, train_dictionary
from neurolib.metrics.selectivity import eta_squared


class FeatureReport(NamedTuple):
    """What is known of one feature.

    Parameters
    ----------
    density, mean_active : float
        Share of vectors on which it is active, and its mean there.
    nearest : float
        Largest cosine of its atom to another one.
    windows : list of Window
        Where it is most active; with ``lengths``.
    eta_squared : float
        Share of its variance between ``labels``; nan without.
    """

    density: float
    mean_active: float
    nearest: float
    windows: list[Window]
    eta_squared: float


class SparseAutoencoder:
    """A dictionary with a penalty on activity, called as in the source.

    Parameters
    ----------
    latent_dim : int
        Channels of the activations.
    dictionary_size : int
    sparsity_coefficient : float
        Penalty on the sum of features, of vectors scaled to a mean norm of the root of ``latent_dim``.
    training : DictionaryTraining, optional

    Attributes
    ----------
    dictionary : SparseAutoencoderBase
        After training; what every function of this package takes.
    history : History
    quality : Quality
        On the activations held out.

    Examples
    --------
    >>> sae = SparseAutoencoder(4, 8, 0.5, DictionaryTraining(steps=3))
    >>> sae.train_on_activations(np.random.default_rng(0).normal(size=(5, 20, 4))).dictionary_size
    8
    >>> 0 <= sae.interpret_feature(2, np.zeros((5, 20, 4))).density <= 1
    True
    """

    def __init__(
        self,
        latent_dim: int,
        dictionary_size: int,
        sparsity_coefficient: float = 1.0,
        training: DictionaryTraining | None = None,
    ):
        self.latent_dim, self.dictionary_size = latent_dim, dictionary_size
        self.cfg = ReLUConfig(n_features=dictionary_size, penalty=sparsity_coefficient)
        self.training = training or DictionaryTraining()
        self.dictionary = None
        self.history: History | None = None
        self.quality: Quality | None = None

    def train_on_activations(
        self, activations: ArrayLike | Tensor, held_out: float = 0.2
    ) -> "SparseAutoencoder":
        """Train on all but the last part, and score on that.

        Parameters
        ----------
        activations : array_like or Tensor, shape (..., latent_dim)
            The first axis is trials or time: its last ``held_out`` is not trained on.
        held_out : float
            Share of the first axis.
        """
        if not 0 < held_out < 1:
            raise ValueError(f"held_out={held_out} must be a share between 0 and 1")
        values = self._checked(activations)
        last = max(1, round(held_out * len(values)))
        if last >= len(values):
            raise ValueError(f"{len(values)} along the first axis of the activations cannot be split in two")
        train, test = (part.reshape(-1, self.latent_dim) for part in (values[:-last], values[-last:]))
        steps = replace(self.training, batch_size=min(self.training.batch_size, len(train)))
        self.dictionary, self.history = train_dictionary(self.cfg, train, steps)
        self.quality = quality(self.dictionary, test)
        return self

    def interpret_feature(
        self,
        feature: int,
        activations: ArrayLike | Tensor,
        labels: ArrayLike | None = None,
        n: int = 8,
    ) -> FeatureReport:
        """What a feature does on activations ``(..., time, latent_dim)``.

        Parameters
        ----------
        feature : int
        activations : array_like or Tensor
            The axis before the last is time; windows do not cross from one trial to the next.
        labels : array_like, shape as activations without the last axis, optional
            Condition of each vector.
        n : int
            Windows.
        """
        if self.dictionary is None:
            raise ValueError("no dictionary yet: call train_on_activations first")
        if not 0 <= feature < self.dictionary_size:
            raise ValueError(f"feature {feature} of a dictionary of {self.dictionary_size}")
        values = self._checked(activations)
        with torch.no_grad():
            activity = self.dictionary.encode(values)[..., feature].numpy()
        n_bins = activity.shape[-1]
        active, flat = activity > 0, activity.reshape(-1).astype(float)
        told = float("nan")
        if labels is not None:
            told = float(eta_squared(flat[:, None], np.asarray(labels).reshape(-1))[0])
        unit = self.dictionary.W_dec / self.dictionary.W_dec.norm(dim=1, keepdim=True)
        cosine = unit @ unit[feature]
        cosine[feature] = -1
        return FeatureReport(
            float(active.mean()),
            float(activity[active].mean()) if active.any() else 0.0,
            float(cosine.max()),
            top_windows(flat, np.full(len(flat) // n_bins, n_bins), n),
            told,
        )

    def _checked(self, activations: ArrayLike | Tensor) -> Tensor:
        values = torch.as_tensor(
            np.asarray(activations) if not isinstance(activations, Tensor) else activations
        )
        values = values.detach().float().cpu()
        if values.dim() < 2 or values.shape[-1] != self.latent_dim:
            raise ValueError(f"activations {tuple(values.shape)} must be (..., {self.latent_dim})")
        return values
