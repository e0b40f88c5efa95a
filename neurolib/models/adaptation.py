"""Adaptation: trials of a recording that changes in, one after the other; predictions ``(n_bins, n_outputs)`` out.

Always predict, then adapt: a trial is decoded with what the trials before it have taught, and only then
learned from. Without labels nothing but a gain and an offset per unit adapts, in front of the encoder
and in standardised counts; encoder, codes and head are those of training. Here they come from running
moments; learned by gradient they are in :mod:`neurolib.models.gain_offset`, and a readout with labels
is in :mod:`neurolib.models.recalibration`.
"""

import copy
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_bins, check_units
from neurolib.models.discrete import DiscreteDecoder
from neurolib.models.quantizers.usage import code_usage


class AdaptationConfig(Protocol):
    """Settings of a method of adaptation."""

    def build(self, decoder: DiscreteDecoder, reference: Trials) -> "Adapter":
        """Make ready to follow a recording; ``reference`` are the trials the decoder was trained on."""


@dataclass(frozen=True)
class Guard:
    """When to give up what was adapted and start again from the trained decoder.

    Few codes in use are the mark of a collapse, which a loss without labels may reward. Codes that are
    wrong but as many as before pass: a guard without labels is no proof that the decoder still works.
    """

    perplexity: float = (
        0.5  # least that the codes of the last trials may have, relative to training; 0 is off
    )
    change: float = 1.0  # most that log gains and offsets may be, root mean square
    n_trials: int = 4  # whose perplexities are averaged

    def __post_init__(self):
        if not 0 <= self.perplexity <= 1 or not self.change > 0 or self.n_trials < 1:
            raise ValueError(
                f"a guard at a share {self.perplexity} of the perplexity, a change of {self.change} "
                f"and {self.n_trials} trials; want 0 to 1, more than 0, at least 1"
            )


@dataclass(frozen=True)
class RecentringConfig:
    """Online normalisation: the moments that standardise the counts follow the recording.

    Running means, and deviations if ``scale``, start from those of training and forget exponentially.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    """

    tau_s: float = 45.0  # seconds of decoded trials; long against a trial, or the task itself is taken out
    scale: bool = True  # else means only
    max_gain: float = 4.0  # either way: the deviation of a unit that fell silent says nothing
    guard: Guard = Guard()

    def __post_init__(self):
        if not self.tau_s > 0:
            raise ValueError(f"tau_s={self.tau_s} must be positive; it is in seconds")
        if not self.max_gain >= 1:
            raise ValueError(f"max_gain={self.max_gain} must be at least 1, which is no change of scale")

    def build(self, decoder: DiscreteDecoder, reference: Trials) -> "Adapter":
        """A decoder whose standardisation follows the recording."""
        return Adapter(decoder, reference, self, self.guard)


class RunningMoments:
    r"""Mean and variance of standardised counts that forget exponentially, from 0 and 1 on.

    .. math:: m_t = a\,m_{t-1} + (1 - a)\,x_t, \qquad q_t = a\,q_{t-1} + (1 - a)\,x_t^2,
        \qquad a = e^{-\Delta t/\tau}

    Parameters
    ----------
    n_units : int
    tau_bins : float
        Time constant in bins.

    Examples
    --------
    >>> moments = RunningMoments(n_units=1, tau_bins=1 / 0.693147)  # halving with every bin
    >>> moments.update(torch.tensor([[2.0], [4.0]]))  # 0 -> 1 -> 2.5, of squares 1 -> 2.5 -> 9.25
    >>> moments.mean.round(decimals=3).tolist(), moments.variance.round(decimals=3).tolist()
    ([2.5], [3.0])
    """

    def __init__(self, n_units: int, tau_bins: float):
        self.n_units, self.tau_bins = n_units, tau_bins
        self.reset()

    def reset(self) -> None:
        """Back to mean 0 and variance 1."""
        self.mean = torch.zeros(self.n_units, dtype=torch.float64)
        self.square = torch.ones(self.n_units, dtype=torch.float64)

    @property
    def variance(self) -> Tensor:
        """Of each unit, ``(n_units,)``."""
        return self.square - self.mean**2

    def update(self, x: Tensor) -> None:
        """Take in bins ``(n_bins, n_units)``, oldest first."""
        x = x.to(self.mean)
        age = torch.arange(len(x) - 1, -1, -1).to(x)
        weights = -np.expm1(-1 / self.tau_bins) * torch.exp(-age / self.tau_bins)
        fade = np.exp(-len(x) / self.tau_bins)
        self.mean = fade * self.mean + weights @ x
        self.square = fade * self.square + weights @ x**2


@dataclass(frozen=True)
class Adapted:
    """What an adapting decoder did with trials in order of time."""

    predictions: NDArray  # (n_bins, n_outputs), each before its own trial was learned from
    perplexity: NDArray  # (n_trials,) of the codes of a trial, first codebook; NaN without codes
    change: NDArray  # (n_trials,) root mean square of log gains and offsets that a trial was decoded with
    rollbacks: int  # times the guard gave up what was adapted


def adapt(
    decoder: DiscreteDecoder,
    method: AdaptationConfig | None,
    trials: Trials,
    reference: Trials,
    labelled: ArrayLike | None = None,
) -> Adapted:
    """Decode trials in order of time with a decoder that adapts.

    Parameters
    ----------
    decoder : DiscreteDecoder
        Left as it is; a copy adapts.
    method : AdaptationConfig or None
        None does not adapt.
    trials : Trials
        In order of time.
    reference : Trials
        Those the decoder was trained on.
    labelled : array_like of bool, shape (n_trials,), optional
        Trials whose behaviour becomes known once they are decoded. All other behaviour stays unseen.

    Returns
    -------
    Adapted

    Raises
    ------
    ValueError
        If the trials do not fit the decoder, or a method cannot work with it.

    References
    ----------
    .. [1] Wang et al. (2021), "Tent: fully test-time adaptation by entropy minimization", ICLR.

    Examples
    --------
    >>> from neurolib.models.controls import RecurrentEncoderConfig
    >>> from neurolib.models.discrete import DiscreteDecoderConfig
    >>> rng = np.random.default_rng(0)
    >>> trials = Trials(rng.poisson(1.0, (40, 3)), rng.normal(size=(40, 2)), [10] * 4, 0.05)
    >>> decoder = DiscreteDecoder.for_trials(trials, DiscreteDecoderConfig(RecurrentEncoderConfig(hidden=4)))
    >>> found = adapt(decoder, RecentringConfig(tau_s=1.0), trials, reference=trials)
    >>> found.predictions.shape, float(found.change[0]), found.rollbacks
    ((40, 2), 0.0, 0)
    """
    adapter = method.build(decoder, reference) if method else Adapter(decoder, reference)
    check_units(trials, decoder.n_units)
    check_bins(trials, decoder.bin_size_s)
    known = np.zeros(len(trials), bool) if labelled is None else np.asarray(labelled)
    if known.shape != (len(trials),) or known.dtype != bool:
        raise ValueError(
            f"labelled is {known.dtype} of shape {known.shape}; want True or False for each of "
            f"{len(trials)} trials"
        )
    borders = trials.starts[1:]
    predictions, perplexity, change = [], [], []
    for counts, behaviour, tell in zip(
        np.split(trials.counts, borders), np.split(trials.behaviour, borders), known, strict=True
    ):
        change.append(adapter.change)
        outputs, codes = adapter.predict(counts)
        predictions.append(outputs)
        perplexity.append(adapter.code_perplexity(codes))
        adapter.update(counts, behaviour if tell else None)
    return Adapted(np.concatenate(predictions), np.array(perplexity), np.array(change), adapter.rollbacks)


class Adapter:
    """A decoder in use, trial by trial; this one follows the moments of the counts, or nothing.

    Parameters
    ----------
    decoder : DiscreteDecoder
        Copied.
    reference : Trials
    recentring : RecentringConfig, optional
    guard : Guard
    """

    def __init__(
        self,
        decoder: DiscreteDecoder,
        reference: Trials,
        recentring: RecentringConfig | None = None,
        guard: Guard = Guard(),
    ):
        self.decoder = copy.deepcopy(decoder).eval().requires_grad_(False)
        self.recentring, self.guard = recentring, guard
        self.rollbacks, self._last = 0, deque(maxlen=guard.n_trials)
        n_units, bin_size_s = decoder.n_units, decoder.bin_size_s
        self._moments = RunningMoments(n_units, recentring.tau_s / bin_size_s) if recentring else None
        self.reference_latents = self._tensor(self.decoder.embed(reference))
        self.reference_perplexity = float("nan")
        if decoder.quantizer is not None:
            codes = self.decoder.quantizer.quantize(self.reference_latents).codes.cpu().numpy()
            parts = np.split(codes, reference.starts[1:])
            self.reference_perplexity = float(np.mean([self.code_perplexity(part) for part in parts]))

    def learn(self, counts: Tensor, behaviour: NDArray | None) -> None:
        """Learn from a trial that has been decoded; ``behaviour`` is None without labels."""

    def forget(self) -> None:
        """Give up what :meth:`learn` did to the input."""

    def gain_offset(self) -> tuple[Tensor, Tensor]:
        """What standardised counts are multiplied by and what is then added, each ``(n_units,)``."""
        like = self.decoder.count_mean
        if self.recentring is None:
            return torch.ones_like(like), torch.zeros_like(like)
        mean = self._moments.mean.to(like)
        if not self.recentring.scale:
            return torch.ones_like(like), -mean
        most = self.recentring.max_gain
        gain = self._moments.variance.clamp(min=1e-12).rsqrt().clamp(1 / most, most).to(like)
        return gain, -gain * mean

    @property
    def change(self) -> float:
        """Root mean square of log gains and offsets over all units."""
        gain, offset = self.gain_offset()
        return float(torch.cat([gain.log(), offset]).detach().square().mean().sqrt())

    @torch.no_grad()
    def predict(self, counts: ArrayLike) -> tuple[NDArray, NDArray | None]:
        """Decode one trial ``(n_bins, n_units)``: outputs ``(n_bins, n_outputs)`` and codes, if there are any."""
        through, codes = self._through(self.latents([self._tensor(counts)]))
        outputs = self.decoder.head(through) * self.decoder.output_scale + self.decoder.output_mean
        return outputs.cpu().numpy().astype(float), None if codes is None else codes.cpu().numpy()

    def update(self, counts: ArrayLike, behaviour: ArrayLike | None = None) -> None:
        """Adapt to a trial that has been decoded, then ask the guard."""
        counts = self._tensor(counts)
        if self._moments is not None:
            self._moments.update(self._standard(counts))
        self.learn(counts, None if behaviour is None else np.asarray(behaviour, float))
        self._last.append(counts)
        if not self._sound():
            self.forget()
            if self._moments is not None:
                self._moments.reset()
            self.rollbacks += 1

    def latents(self, trials: list[Tensor]) -> Tensor:
        """Latents of trials, each ``(n_bins, n_units)``, as their input now stands, stacked ``(n_bins, dim)``."""
        gain, offset = self.gain_offset()
        padded = torch.nn.utils.rnn.pad_sequence(trials, batch_first=True)
        bins = torch.arange(padded.shape[1], device=padded.device)
        real = bins < torch.tensor([len(trial) for trial in trials], device=padded.device)[:, None]
        moved = (gain * self._standard(padded) + offset) * self.decoder.count_scale + self.decoder.count_mean
        # cuDNN refuses gradients through a recurrent layer in evaluation mode.
        with torch.backends.cudnn.flags(enabled=not torch.is_grad_enabled()):
            return self.decoder.encoder(moved)[0][real]

    def code_perplexity(self, codes: NDArray | None) -> float:
        """Perplexity of the first codebook over the bins ``(n_bins, n_codebooks)``."""
        if codes is None:
            return float("nan")
        return float(code_usage(codes, self.decoder.quantizer.sizes).perplexity[0])

    def _sound(self) -> bool:
        change = self.change
        if change == 0:
            return True  # there is nothing to give up
        if not change <= self.guard.change:
            return False
        if self.decoder.quantizer is None or not self.guard.perplexity:
            return True
        with torch.no_grad():
            codes = self._through(self.latents(list(self._last)))[1].cpu().numpy()
        borders = np.cumsum([len(trial) for trial in self._last])[:-1]
        now = np.mean([self.code_perplexity(part) for part in np.split(codes, borders)])
        return bool(now >= self.guard.perplexity * self.reference_perplexity)

    def _through(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the head reads of the latents, and their codes."""
        if self.decoder.quantizer is None:
            return latents, None
        found = self.decoder.quantizer.quantize(latents)
        return self.decoder.with_leak(latents, found.z_q), found.codes

    def _standard(self, counts: Tensor) -> Tensor:
        return (counts - self.decoder.count_mean) / self.decoder.count_scale

    def _tensor(self, values: ArrayLike) -> Tensor:
        return torch.as_tensor(np.asarray(values)).to(self.decoder.output_mean)
