"""A gain and an offset per unit, learned by gradient: decoded trials in, ``(n_units,)`` twice out.

What is descended is an objective of the latents of the last trials: without labels how undecided their
codes are, how unlike training's is their use, or how unlike training's are the latents themselves;
with labels the decoding error. A low objective without labels is no low error; that is for the
notebook to measure.
"""

from collections import deque
from dataclasses import dataclass, field

import torch
from numpy.typing import NDArray
from torch import Tensor

from neurolib.data.trials import Trials
from neurolib.models.adaptation import Adapter, Guard, RecentringConfig
from neurolib.models.discrete import DiscreteDecoder
from neurolib.models.quantizers.residual import ResidualQuantizer

OBJECTIVES = ("entropy", "information", "usage", "latents", "labels")
NEEDS_CODES = OBJECTIVES[:3]


@dataclass(frozen=True)
class GainOffsetConfig:
    r"""Settings of :class:`GainOffset`.

    With :math:`p = \mathrm{softmax}(-|z - e_k|^2 / T)` over the codes of the first codebook and means over
    the bins of the last ``n_trials`` trials, ``objective`` is one of

    - ``"entropy"``: :math:`E[H(p)]`, as Tent [1]_ does with classes; the least is one code for all bins,
    - ``"information"``: :math:`E[H(p)] - \lambda H(E[p])`, which pays for the use of many codes [2]_,
    - ``"usage"``: :math:`KL(E[p] \| E_{train}[p])`,
    - ``"latents"``: :math:`KL(N(\mu, \Sigma) \| N(\mu_{train}, \Sigma_{train}))` of the latents, the
      alignment of moments that NoMAD [3]_ is built on, without its model of the dynamics,
    - ``"labels"``: squared error of the outputs, over labelled trials alone.

    Raises
    ------
    ValueError
        If a setting makes no sense.

    References
    ----------
    .. [1] Wang et al. (2021), "Tent: fully test-time adaptation by entropy minimization", ICLR.
    .. [2] Liang, Hu & Feng (2020), "Do we really need to access the source data?", ICML.
    .. [3] Karpowicz et al. (2025), "Stabilizing brain-computer interfaces through alignment of latent
       dynamics", Nature Communications 16:4662.
    """

    objective: str = "latents"
    lr: float = 3e-3  # of Adam: about what a gain or an offset moves in one step
    steps: int = 1  # per trial
    n_trials: int = 12  # that a step sees: the last ones, counted in trials
    decay: float = 0.0  # pull towards the trained decoder per step, as a share of lr
    temperature: float = 1.0  # T, in mean squared distances of training latents to their codes
    balance: float = 1.0  # lambda
    recentring: RecentringConfig | None = None  # first; its own guard is not asked
    guard: Guard = field(default_factory=Guard)

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective={self.objective!r} must be one of {OBJECTIVES}")
        for name in ("steps", "n_trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.lr > 0 or not self.temperature > 0 or self.decay < 0 or self.balance < 0:
            raise ValueError(
                f"lr={self.lr} and temperature={self.temperature} must be positive, "
                f"decay={self.decay} and balance={self.balance} not negative"
            )

    def build(self, decoder: DiscreteDecoder, reference: Trials) -> "GainOffset":
        """A decoder whose input is learned while it is used."""
        return GainOffset(self, decoder, reference)


class GainOffset(Adapter):
    """A decoder with a gain and an offset per unit that follow a gradient.

    Parameters
    ----------
    cfg : GainOffsetConfig
    decoder : DiscreteDecoder
    reference : Trials

    Raises
    ------
    ValueError
        If the objective needs codes and the decoder has no residual quantizer.
    """

    def __init__(self, cfg: GainOffsetConfig, decoder: DiscreteDecoder, reference: Trials):
        super().__init__(decoder, reference, cfg.recentring, cfg.guard)
        self.cfg, self._buffer = cfg, deque(maxlen=cfg.n_trials)
        self.log_gain = torch.zeros_like(decoder.count_mean, requires_grad=True)
        self.offset = torch.zeros_like(decoder.count_mean, requires_grad=True)
        self._start_optimizer()
        if cfg.objective in NEEDS_CODES:
            if not isinstance(decoder.quantizer, ResidualQuantizer):
                raise ValueError(
                    f"objective={cfg.objective!r} reads distances to a codebook, and this decoder has "
                    f"{type(decoder.quantizer).__name__}; make it discrete with quantised(ResidualConfig(...))"
                )
            self.codebook = self.decoder.quantizer.codebooks[0]
            nearest = torch.cdist(self.reference_latents, self.codebook).amin(dim=1).square().mean()
            self.temperature = cfg.temperature * float(nearest.clamp(min=1e-12))
            self.usage = soft_codes(self.reference_latents, self.codebook, self.temperature).mean(dim=0)
        self.reference_moments = latent_moments(self.reference_latents)

    def gain_offset(self) -> tuple[Tensor, Tensor]:
        """What standardised counts are multiplied by and what is then added, each ``(n_units,)``."""
        gain, offset = super().gain_offset()
        learned = self.log_gain.exp()
        return learned * gain, learned * offset + self.offset

    def learn(self, counts: Tensor, behaviour: NDArray | None) -> None:
        """Take steps on the last trials; those without labels do not count where labels are needed."""
        if self.cfg.objective == "labels" and behaviour is None:
            return
        self._buffer.append((counts, None if behaviour is None else self._tensor(behaviour)))
        for _ in range(self.cfg.steps):
            self._optimizer.zero_grad()
            loss = self.objective()
            loss.backward()
            self._optimizer.step()

    def forget(self) -> None:
        """Back to the trained decoder, and to an optimiser without a past."""
        with torch.no_grad():
            self.log_gain.zero_()
            self.offset.zero_()
        self._start_optimizer()

    def objective(self) -> Tensor:
        """What is descended, of the trials in the buffer."""
        latents = self.latents([counts for counts, _ in self._buffer])
        if self.cfg.objective == "labels":
            target = torch.cat([behaviour for _, behaviour in self._buffer])
            target = (target - self.decoder.output_mean) / self.decoder.output_scale
            return (self.decoder.head(self._through(latents)[0]) - target).square().mean()
        if self.cfg.objective == "latents":
            return gaussian_kl(*latent_moments(latents), *self.reference_moments)
        p = soft_codes(latents, self.codebook, self.temperature)
        if self.cfg.objective == "usage":
            mean = p.mean(dim=0)
            return (mean * (mean.clamp(min=1e-12).log() - self.usage.clamp(min=1e-12).log())).sum()
        undecided = entropy(p).mean()
        if self.cfg.objective == "entropy":
            return undecided
        return undecided - self.cfg.balance * entropy(p.mean(dim=0))

    def _start_optimizer(self) -> None:
        self._optimizer = torch.optim.AdamW(
            [self.log_gain, self.offset], lr=self.cfg.lr, weight_decay=self.cfg.decay
        )


def soft_codes(z: Tensor, codebook: Tensor, temperature: float) -> Tensor:
    """Probabilities of codes ``(..., size)`` that fall with the squared distance of latents ``(..., dim)``.

    Examples
    --------
    >>> soft_codes(torch.tensor([[0.5]]), torch.tensor([[0.0], [1.0]]), temperature=1.0).tolist()
    [[0.5, 0.5]]
    """
    # |z|^2 is the same for every code, and a softmax does not see it.
    return torch.softmax((2 * z @ codebook.T - codebook.square().sum(dim=1)) / temperature, dim=-1)


def entropy(p: Tensor) -> Tensor:
    """Entropy in nats along the last axis.

    Examples
    --------
    >>> round(float(entropy(torch.tensor([0.5, 0.5]))), 4)  # ln 2
    0.6931
    """
    return -torch.xlogy(p, p.clamp(min=1e-30)).sum(dim=-1)


def latent_moments(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(dim,)`` and covariance ``(dim, dim)`` of latents ``(n, dim)``.

    A hundredth of the mean variance is added to the diagonal, so that few latents have a density too.
    """
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / len(z)
    ridge = 0.01 * covariance.diagonal().mean() + 1e-8
    return z.mean(dim=0), covariance + ridge * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)


def gaussian_kl(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    r"""Kullback-Leibler divergence of one Gaussian from another, in nats.

    .. math:: \tfrac12 \left[ \mathrm{tr}(\Sigma_0^{-1} \Sigma) + (\mu - \mu_0)^\top \Sigma_0^{-1} (\mu - \mu_0)
        - d + \ln |\Sigma_0| - \ln |\Sigma| \right]

    Examples
    --------
    >>> float(gaussian_kl(torch.ones(1), torch.eye(1), torch.zeros(1), torch.eye(1)))
    0.5
    """
    factor, own = torch.linalg.cholesky(other_covariance), torch.linalg.cholesky(covariance)
    spread = torch.linalg.solve_triangular(factor, own, upper=False).square().sum()
    shift = torch.linalg.solve_triangular(factor, (mean - other_mean)[:, None], upper=False).square().sum()
    volume = 2 * (factor.diagonal().log().sum() - own.diagonal().log().sum())
    return (spread + shift - len(mean) + volume) / 2
