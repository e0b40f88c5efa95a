"""Latents that do not tell their domain: pooled latents ``(batch, d)`` and domains in, a loss out.

A domain (species, laboratory) is compared only among windows of the same modalities. Else the modality gives it
away (EEG is of humans), and latents would be made to forget what was measured. Whether it worked is for a
fresh probe to say (:mod:`neurolib.metrics.probes`), not for the discriminator that was trained against.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.heads import DomainHead

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the kernels, over the median distance


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def gradient_reversal(x: Tensor, strength: float) -> Tensor:
    """The same tensor, whose gradient comes back times ``-strength``.

    References
    ----------
    .. [1] Ganin et al. (2016), "Domain-adversarial training of neural networks", JMLR 17, arXiv:1505.07818.

    Examples
    --------
    >>> x = torch.ones(2, requires_grad=True)
    >>> gradient_reversal(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    return _Reversal.apply(x, strength)


def reversal_strength(progress: float) -> float:
    """Strength that rises from 0 to nearly 1 as ``progress`` goes from 0 to 1.

    Examples
    --------
    >>> reversal_strength(0.0), round(reversal_strength(1.0), 4)
    (0.0, 0.9999)
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress={progress} is the fraction of the training that is done, 0 to 1")
    return 2 / (1 + math.exp(-10 * progress)) - 1


def modality_groups(present: Mapping[str, Tensor]) -> Tensor:
    """A number for each window ``(B,)``, the same for windows of the same modalities.

    Examples
    --------
    >>> modality_groups({"eeg": torch.tensor([True, True, False]), "emg": torch.tensor([True, False, True])})
    tensor([3, 1, 2])
    """
    return sum(present[name].long() << bit for bit, name in enumerate(sorted(present)))


def comparable(domain: Tensor, group: Tensor) -> dict[int, Tensor]:
    """Rows of each group that has two domains or more; negative domains are unknown.

    Examples
    --------
    >>> comparable(torch.tensor([0, 1, 1, 1]), torch.tensor([7, 7, 8, 8]))
    {7: tensor([0, 1])}
    """
    found = {}
    for number in group.unique().tolist():
        rows = ((group == number) & (domain >= 0)).nonzero()[:, 0]
        if len(domain[rows].unique()) > 1:
            found[number] = rows
    return found


@dataclass(frozen=True)
class DomainAdversaryConfig:
    """A discriminator behind a gradient reversal.

    Examples
    --------
    >>> adversary = DomainAdversaryConfig(n_domains=3).build(d=8)
    >>> one_species_each = adversary(torch.zeros(4, 8), torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 2, 2]), 0.5)
    >>> one_species_each.loss is None, int(adversary.skipped)
    (True, 2)
    """

    n_domains: int
    hidden: tuple[int, ...] = (256, 128)
    smoothing: float = 0.1  # of the labels

    def __post_init__(self):
        if self.n_domains < 2 or not 0 <= self.smoothing < 1:
            raise ValueError(
                f"n_domains={self.n_domains} must be 2 or more, smoothing={self.smoothing} in [0, 1)"
            )

    def build(self, d: int) -> "DomainAdversary":
        """Make the discriminator, with random weights."""
        return DomainAdversary(self, d)


class Adversarial(NamedTuple):
    """What :class:`DomainAdversary` gives."""

    loss: Tensor | None  # of the discriminator; None where no two domains could be compared
    logits: Tensor  # (B, n_domains)


class DomainAdversary(nn.Module):
    """The adversary of :class:`DomainAdversaryConfig`.

    The discriminator chooses among the domains that its group has in the batch, each of which counts
    as much, so that knowing the modality is of no help to it.

    Attributes
    ----------
    applied, skipped : Tensor of int64
        Groups so far that were compared, and that had only one domain.
    """

    def __init__(self, cfg: DomainAdversaryConfig, d: int):
        super().__init__()
        self.cfg = cfg
        self.head = DomainHead(d, cfg.n_domains, cfg.hidden)
        self.register_buffer("applied", torch.zeros((), dtype=torch.int64))
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))

    def forward(self, pooled: Tensor, domain: Tensor, group: Tensor, progress: float) -> Adversarial:
        """Judge windows.

        Parameters
        ----------
        pooled : Tensor, shape (B, d)
        domain : Tensor of int64, shape (B,)
            Negative where unknown.
        group : Tensor of int64, shape (B,)
            Windows that may be compared, as :func:`modality_groups` gives it.
        progress : float
            Fraction of the training that is done.
        """
        if len(domain) and int(domain.max()) >= self.cfg.n_domains:
            raise ValueError(f"domain {int(domain.max())} of {self.cfg.n_domains}")
        logits = self.head(gradient_reversal(pooled, reversal_strength(progress)))
        groups = comparable(domain, group)
        self.applied += len(groups)
        self.skipped += len(group.unique()) - len(groups)
        if not groups:
            return Adversarial(None, logits)
        return Adversarial(
            torch.stack([self._group_loss(logits[rows], domain[rows]) for rows in groups.values()]).mean(),
            logits,
        )

    def _group_loss(self, logits: Tensor, domain: Tensor) -> Tensor:
        allowed, label = domain.unique(return_inverse=True)
        log_p = logits[:, allowed].log_softmax(-1)
        smooth = self.cfg.smoothing
        each = -(1 - smooth) * log_p.gather(1, label[:, None])[:, 0] - smooth * log_p.mean(1)
        weight = 1 / torch.bincount(label).to(each.dtype)[label]
        return (each * weight).sum() / len(allowed)


def confusion(logits: Tensor) -> Tensor:
    """How far the judged domains ``(B, n_domains)`` are from undecided: mean of ``ln n - entropy``, 0 at best.

    For the encoder; the discriminator is then trained on latents that are detached.

    Examples
    --------
    >>> confusion(torch.zeros(2, 3)).item(), round(confusion(torch.tensor([[50.0, 0.0]])).item(), 4)  # ln 2
    (0.0, 0.6931)
    """
    log_p = logits.log_softmax(-1)
    return (log_p.exp() * log_p).sum(-1).mean() + math.log(logits.shape[-1])


def mmd2(x: Tensor, y: Tensor, bandwidths: tuple[float, ...] = BANDWIDTHS) -> Tensor:
    """Squared maximum mean discrepancy of two samples: unbiased, so it is 0 on average for equal distributions.

    The kernel is the mean of Gaussians whose widths are ``bandwidths`` times the median distance.

    Parameters
    ----------
    x, y : Tensor, shape (n, d) and (m, d)
        At least 2 rows each.
    bandwidths : tuple of float

    References
    ----------
    .. [1] Gretton et al. (2012), "A kernel two-sample test", JMLR 13.

    Examples
    --------
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> round(mmd2(x, x, (1.0,)).item(), 4)  # median distance 1: 2 e^(-1/2) - (1 + e^(-1/2))
    -0.3935
    """
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        raise ValueError(f"{n} and {m} rows; a discrepancy without bias takes 2 of each")
    both = torch.cat([x, y])
    squared = (both[:, None] - both).square().sum(-1)
    apart = torch.triu_indices(n + m, n + m, 1)
    median = squared.detach()[apart[0], apart[1]].sqrt().quantile(0.5).clamp(min=1e-12)
    kernel = sum(torch.exp(-squared / (2 * (b * median) ** 2)) for b in bandwidths) / len(bandwidths)
    within_x = (kernel[:n, :n].sum() - kernel[:n, :n].trace()) / (n * (n - 1))
    within_y = (kernel[n:, n:].sum() - kernel[n:, n:].trace()) / (m * (m - 1))
    return within_x + within_y - 2 * kernel[:n, n:].mean()


def coral(x: Tensor, y: Tensor) -> Tensor:
    r"""Squared distance of two samples' covariances, over :math:`4 d^2`.

    References
    ----------
    .. [1] Sun & Saenko (2016), "Deep CORAL", ECCV workshops, arXiv:1607.01719.

    Examples
    --------
    >>> coral(torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [4.0]])).item()  # variances 2 and 8: 36 / 4
    9.0
    """
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"{len(x)} and {len(y)} rows; a covariance takes 2")
    covariances = [(z - z.mean(0)).mT @ (z - z.mean(0)) / (len(z) - 1) for z in (x, y)]
    return (covariances[0] - covariances[1]).square().sum() / (4 * x.shape[1] ** 2)
