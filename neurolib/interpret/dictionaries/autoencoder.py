"""Sparse autoencoders: vectors ``(..., channel)`` in, features ``(..., feature)``, few of them active, out.

What all variants share is here: scale, decoder of unit norm, initial values. The variants are in
:mod:`~neurolib.interpret.dictionaries.topk` and :mod:`~neurolib.interpret.dictionaries.penalised`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEDIAN_SAMPLES = 10_000  # vectors that the first bias is the geometric median of


class Objective(NamedTuple):
    """What one batch cost: the loss to descend, and the features and reconstruction behind it (scaled)."""

    loss: Tensor
    features: Tensor
    reconstruction: Tensor


@dataclass(frozen=True)
class AutoencoderConfig:
    """What every variant needs to know.

    Parameters
    ----------
    n_features : int
        Size of the dictionary. Recordings give few and autocorrelated vectors: two to four times the
        channels is a start, where language models use more.
    """

    n_features: int = 256

    def __post_init__(self):
        if self.n_features < 1:
            raise ValueError(f"n_features={self.n_features} must be at least 1")

    def build(self, n_channels: int) -> "SparseAutoencoderBase":
        """Make the autoencoder for vectors of ``n_channels``, with random weights."""
        raise NotImplementedError


class SparseAutoencoderBase(nn.Module):
    r"""What the variants share.

    .. math:: f = act(W_{enc}^T (s x - b_{dec}) + b_{enc}), \qquad s \hat x = W_{dec}^T f + b_{dec}

    The rows of ``W_dec``, the atoms, keep unit norm; without that a penalty on features is evaded by small
    features and large atoms. The scale :math:`s` makes the mean norm of centred vectors
    :math:`\sqrt{channels}`, so that penalties and thresholds mean the same for any model.

    Attributes
    ----------
    W_enc : Parameter, shape (n_channels, n_features)
    b_enc : Parameter, shape (n_features,)
    W_dec : Parameter, shape (n_features, n_channels)
    b_dec : Parameter, shape (n_channels,), scaled
    scale : Tensor, ()
    mean : Tensor, shape (n_channels,)
        Of the training vectors, unscaled; what an ablation puts in.
    """

    def __init__(self, cfg: AutoencoderConfig, n_channels: int):
        super().__init__()
        if n_channels < 1:
            raise ValueError(f"n_channels={n_channels} must be at least 1")
        self.cfg = cfg
        atoms = F.normalize(torch.randn(cfg.n_features, n_channels), dim=1)
        self.W_dec = nn.Parameter(atoms)
        self.W_enc = nn.Parameter(atoms.T.clone(memory_format=torch.contiguous_format))
        self.b_enc = nn.Parameter(torch.zeros(cfg.n_features))
        self.b_dec = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("mean", torch.zeros(n_channels))

    @property
    def n_channels(self) -> int:
        """Width of the vectors."""
        return self.W_dec.shape[1]

    @property
    def n_features(self) -> int:
        """Size of the dictionary."""
        return self.W_dec.shape[0]

    @torch.no_grad()
    def fit_scale(self, vectors: Tensor, generator: torch.Generator | None = None) -> None:
        """Take scale, mean and first bias from training vectors ``(n, n_channels)``, and nothing else.

        Raises
        ------
        ValueError
            If the vectors have another width, are not finite, or all agree.
        """
        vectors = self._checked(vectors)
        if not vectors.isfinite().all():
            raise ValueError("vectors hold NaN or infinity; leave out bins that only fill a short trial")
        rows = torch.randperm(len(vectors), generator=generator)[:MEDIAN_SAMPLES].to(vectors.device)
        centre = geometric_median(vectors[rows])
        norm = (vectors - centre).norm(dim=1).mean()
        if not norm > 0:
            raise ValueError("all vectors are the same; there is nothing to learn from them")
        self.mean.copy_(vectors.mean(0))
        self.scale.copy_(self.n_channels**0.5 / norm)
        self.b_dec.copy_(centre * self.scale)

    def encode(self, x: Tensor) -> Tensor:
        """Features ``(..., n_features)`` of vectors ``(..., n_channels)``, as in use."""
        return self.activate(self.before(self._checked(x) * self.scale))

    def decode(self, features: Tensor) -> Tensor:
        """Vectors of features, in the units of the vectors that came in."""
        return (features @ self.W_dec + self.b_dec) / self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct vectors."""
        return self.decode(self.encode(x))

    def before(self, x: Tensor) -> Tensor:
        """What the activation gets, of scaled vectors."""
        return (x - self.b_dec) @ self.W_enc + self.b_enc

    def activate(self, before: Tensor) -> Tensor:
        """Features in use, of what :meth:`before` gave."""
        raise NotImplementedError

    def objective(self, x: Tensor, dead: Tensor, progress: float) -> Objective:
        """Cost of a batch of scaled vectors.

        Parameters
        ----------
        x : Tensor, shape (batch, n_channels)
        dead : Tensor of bool, shape (n_features,)
            Features that have not been active for long.
        progress : float
            Share of the training that is done.
        """
        raise NotImplementedError

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Take from the gradient of each atom its part along the atom, which would only change its norm."""
        grad = self.W_dec.grad
        grad.sub_((grad * self.W_dec).sum(1, keepdim=True) * self.W_dec)

    @torch.no_grad()
    def normalise(self) -> None:
        """Put the atoms back to unit norm."""
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp(min=1e-12))

    def _checked(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.n_channels:
            raise ValueError(f"vectors {tuple(x.shape)} for a dictionary of {self.n_channels} channels")
        return x


def reconstruction_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """Squared error summed over channels, mean over the batch."""
    return (x - reconstruction).square().sum(-1).mean()


def geometric_median(points: Tensor, n_steps: int = 50) -> Tensor:
    """The point from which the summed distance to ``points (n, d)`` is least, by Weiszfeld's iteration.

    References
    ----------
    .. [1] Weiszfeld & Plastria (2009), "On the point for which the sum of the distances to n given points is
       minimum", Annals of Operations Research 167, 7-41.

    Examples
    --------
    >>> geometric_median(torch.tensor([[0.0], [1.0], [50.0]]), 200).round(decimals=2).tolist()
    [1.0]
    """
    centre = points.mean(0)
    for _ in range(n_steps):
        weight = 1 / (points - centre).norm(dim=1, keepdim=True).clamp(min=1e-9)
        centre = (points * weight).sum(0) / weight.sum()
    return centre
