"""Summaries of a population: counts ``(batch, time, unit)`` in, outputs per bin out.

Three summaries of a bin forget which unit fired (sorted counts, a histogram, moments); one of the
history keeps it. Each is followed by a perceptron. Whole trials, chunks with the state carried and
single bins give the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from neurolib.models.controls import CountEncoder, State
from neurolib.models.decoder import moments
from neurolib.models.history import HistoryPerceptron, check_settings, history_bins, prepend

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
HISTOGRAM_RANGE = 3.0  # in standard deviations; counts beyond it go into the outermost bars


@dataclass(frozen=True)
class PopulationSummaryConfig:
    r"""A summary of the population's standardised counts, then a perceptron.

    ``"sorted"``, ``"histogram"`` and ``"moments"`` summarise each bin and stack the summaries of the
    last ``history_s``. They do not change when units are permuted. A multiset of rates can carry speed
    but not direction: if unit ``i`` fires at :math:`b + k\,s\cos(\theta - \varphi_i)` and the preferred
    directions :math:`\varphi_i` are spread evenly, a turn of :math:`\theta` permutes the rates, whereas
    their standard deviation is :math:`k s / \sqrt 2`.

    With ``pooled=False`` each unit has its own mean and scale, which lets identity back in: the same
    count is another number in each unit, and the multiset of those numbers tells who fired. Such
    summaries are invariant only when units are permuted together with their training moments.

    ``"temporal"`` summarises each unit's last ``history_s`` by mean, slope, standard deviation and
    maximum, and so keeps identity. The slope is the change over the history along the regression line.

    Before the start of a trial, summaries of bins are at their training mean; for ``"temporal"``, counts are.
    The state is the past of the history, ``(B, bins - 1, feature)``; for ``"temporal"``, of the counts.

    References
    ----------
    .. [1] Zaheer et al. (2017), "Deep sets", NeurIPS.
    .. [2] Georgopoulos et al. (1986), "Neuronal population coding of movement direction", Science 233.

    Examples
    --------
    >>> encoder = PopulationSummaryConfig("moments").build(n_units=4, n_outputs=2, bin_size_s=0.025).eval()
    >>> one, other = (encoder(torch.tensor([[c]]).float())[0] for c in ([3, 0, 1, 0], [0, 1, 0, 3]))
    >>> torch.equal(one, other)
    True
    """

    summary: str = "sorted"  # "sorted", "histogram", "moments" or "temporal"
    history_s: float = 0.25
    hidden: tuple[int, ...] = (256, 128)
    dropout: float = 0.3  # on each hidden layer, training only
    pooled: bool = True  # one mean and scale for all units; "temporal" always has each unit's own
    top: int = 16  # how many of the sorted counts are kept, the largest first
    bars: int = 32  # of the histogram

    def __post_init__(self):
        check_settings(self.history_s, self.dropout, hidden=self.hidden)
        if self.summary not in (known := [*OF_A_BIN, "temporal"]):
            raise ValueError(f"summary={self.summary!r} must be one of {known}")
        if self.top < 1 or self.bars < 2:
            raise ValueError(f"top={self.top} must be at least 1 and bars={self.bars} at least 2")

    def build(self, n_units: int, n_outputs: int, bin_size_s: float) -> "PopulationSummary":
        """Make the encoder, with random weights."""
        if self.summary == "sorted" and self.top > n_units:
            raise ValueError(f"top={self.top} sorted counts of a population of {n_units} units; lower top")
        return PopulationSummary(self, n_units, n_outputs, bin_size_s)


class PopulationSummary(CountEncoder):
    """The encoder of :class:`PopulationSummaryConfig`."""

    def __init__(self, cfg: PopulationSummaryConfig, n_units: int, n_outputs: int, bin_size_s: float):
        super().__init__(n_units)
        self.cfg, self.n_bins = cfg, history_bins(cfg.history_s, bin_size_s)
        if cfg.summary == "temporal":
            self.perceptron = HistoryPerceptron(4 * n_units, n_outputs, 1, cfg.hidden, cfg.dropout)
        else:
            n_features = self.summarise(torch.zeros(1, 1, n_units)).shape[2]
            self.register_buffer("summary_mean", torch.zeros(n_features))
            self.register_buffer("summary_scale", torch.ones(n_features))
            self.perceptron = HistoryPerceptron(n_features, n_outputs, self.n_bins, cfg.hidden, cfg.dropout)

    def standardise(self, counts: ArrayLike) -> None:
        """Take the moments of the training counts ``(n_bins, n_units)``, and of their summaries."""
        super().standardise(counts)
        if self.cfg.summary != "temporal":
            if self.cfg.pooled:
                for buffer, value in zip((self.count_mean, self.count_scale), _pooled(counts), strict=True):
                    buffer.fill_(value)
            device, dtype = self.count_mean.device, self.count_mean.dtype
            summaries = self.summarise(torch.as_tensor(counts, device=device).to(dtype)[None])[0]
            mean, scale = moments(summaries.cpu().numpy())
            self.summary_mean.copy_(torch.as_tensor(mean))
            self.summary_scale.copy_(torch.as_tensor(scale))

    def summarise(self, counts: Tensor) -> Tensor:
        """Summaries of a trial from its start, as they are before the perceptron, ``(B, T, feature)``.

        ``"sorted"``: the ``top`` largest. ``"histogram"``: shares of units from -3 to 3 SD.
        ``"moments"``: mean, SD, skewness, excess kurtosis, quantiles .1 .25 .5 .75 .9, share of silent
        units. ``"temporal"``: mean of each unit, then slopes, then SDs, then maxima.
        """
        x = self.standard(counts)
        if self.cfg.summary == "temporal":
            return _of_each_unit(prepend(x, None, self.n_bins - 1)[0], self.n_bins)
        return OF_A_BIN[self.cfg.summary](x, counts == 0, self.cfg)

    def forward(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map counts ``(B, T, n_units)`` to outputs ``(B, T, n_outputs)`` and the state to go on from."""
        past = state[0] if state else None
        if self.cfg.summary == "temporal":
            longer, past = prepend(self.standard(counts), past, self.n_bins - 1)
            return self.perceptron(_of_each_unit(longer, self.n_bins))[0], (past,)
        features = (self.summarise(counts) - self.summary_mean) / self.summary_scale
        outputs, past = self.perceptron(features, past)
        return outputs, (past,)


def _pooled(counts: ArrayLike) -> tuple[float, float]:
    """Mean and scale of all counts, summed in an order that does not depend on the order of the units."""
    mean, scale = moments(np.sort(np.ravel(counts))[:, None])
    return float(mean[0]), float(scale[0])


def _sorted(x: Tensor, silent: Tensor, cfg: PopulationSummaryConfig) -> Tensor:
    return x.topk(cfg.top, dim=-1).values


def _histogram(x: Tensor, silent: Tensor, cfg: PopulationSummaryConfig) -> Tensor:
    bar = ((x / HISTOGRAM_RANGE + 1) / 2 * cfg.bars).floor().clamp(0, cfg.bars - 1).long()
    shares = x.new_zeros(*x.shape[:-1], cfg.bars)
    return shares.scatter_add(-1, bar, torch.ones_like(x)) / x.shape[-1]


def _moments(x: Tensor, silent: Tensor, cfg: PopulationSummaryConfig) -> Tensor:
    # sorted first: a sum in one fixed order does not depend on the order of the units
    x = x.sort(dim=-1).values
    mean = x.mean(-1, keepdim=True)
    scale = _root(x.var(-1, correction=0, keepdim=True))
    z = (x - mean) / scale
    place = x.new_tensor(QUANTILES) * (x.shape[-1] - 1)
    below, above = x[..., place.floor().long()], x[..., place.ceil().long()]
    share = silent.to(x.dtype).mean(-1, keepdim=True)
    skewness, kurtosis = z.pow(3).mean(-1, keepdim=True), z.pow(4).mean(-1, keepdim=True) - 3
    return torch.cat([mean, scale, skewness, kurtosis, below + place.frac() * (above - below), share], dim=-1)


OF_A_BIN: dict[str, Callable[[Tensor, Tensor, PopulationSummaryConfig], Tensor]] = {
    "sorted": _sorted,
    "histogram": _histogram,
    "moments": _moments,
}


def _of_each_unit(x: Tensor, n_bins: int) -> Tensor:
    """Mean, slope, SD and maximum over the last bins; ``(B, T + n_bins - 1, unit)`` to ``(B, T, 4 unit)``."""
    windows = x.unfold(1, n_bins, 1)  # a view, (B, T, unit, bin)
    ramp = torch.arange(n_bins, dtype=x.dtype, device=x.device) - (n_bins - 1) / 2
    slope = windows @ (ramp * (n_bins - 1) / ramp.square().sum().clamp(min=0.5))  # of one bin, 0
    spread = _root(windows.var(-1, correction=0))
    return torch.cat([windows.mean(-1), slope, spread, windows.amax(-1)], dim=-1)


def _root(variance: Tensor) -> Tensor:
    """Square root with a gradient at zero, where silent units are."""
    return variance.clamp(min=1e-12).sqrt()
