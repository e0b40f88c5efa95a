"""Forecasts: latents ``(batch, latent, d)`` up to a moment in, states ``(batch, horizon, d)`` after it out.

Scores are kept per channel and horizon, beside the last value and the mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.inputs import TOLERANCE, ModalityInput
from neurolib.models.multimodal.masking import keep_times
from neurolib.models.multimodal.population import SetAttention, perceptron

MEMORY = (1.0, 4.0, 16.0)  # steps over which the weights that tell latents' ages decay


def until(inputs: Mapping[str, ModalityInput], origin_s: Tensor) -> dict[str, ModalityInput]:
    """Inputs without anything later than ``origin_s (B,)``.

    Latents that attend both ways along time have seen the whole window, also those of its first half.
    A forecast needs latents of inputs that were cut.

    Examples
    --------
    >>> signal = ModalityInput.sampled(torch.zeros(1, 4, 1), rate_hz=4.0)
    >>> until({"eeg": signal}, torch.tensor([0.25]))["eeg"].mask.tolist()
    [[True, True, False, False]]
    """
    limit = origin_s[:, None] + TOLERANCE
    return {name: keep_times(signal, lambda time: time <= limit) for name, signal in inputs.items()}


@dataclass(frozen=True)
class ForecastConfig:
    """Which steps ahead are predicted, and how much each counts.

    Examples
    --------
    >>> forecaster = ForecastConfig(heads=2).build(d=8)
    >>> latents, time = torch.randn(3, 6, 8), 0.1 * torch.arange(6).expand(3, 6)
    >>> forecaster(latents, time, origin_s=torch.tensor([0.2, 0.3, 0.5])).shape
    torch.Size([3, 4, 8])
    """

    horizons: tuple[int, ...] = (1, 2, 5, 10)  # steps after the origin
    gamma: float = 0.9  # horizon h counts gamma^h
    step_s: float = 0.02
    heads: int = 8

    def __post_init__(self):
        if not self.horizons or list(self.horizons) != sorted(set(self.horizons)) or self.horizons[0] < 1:
            raise ValueError(f"horizons={self.horizons} must be increasing numbers of steps, 1 or more")
        if not 0 < self.gamma <= 1 or not self.step_s > 0:
            raise ValueError(f"gamma={self.gamma} must be in (0, 1], step_s={self.step_s} positive")

    def build(self, d: int) -> "Forecaster":
        """Make the forecaster, with random weights."""
        return Forecaster(self, d)


class Forecaster(nn.Module):
    """The forecaster of :class:`ForecastConfig`: one query per horizon that attends to what came before.

    It gives states, which the read-outs of the network turn into channels.
    """

    def __init__(self, cfg: ForecastConfig, d: int):
        super().__init__()
        self.cfg = cfg
        self.query = nn.Parameter(torch.randn(len(cfg.horizons), d))
        self.age = nn.Linear(len(MEMORY), d)
        self.token_norm, self.mlp_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = SetAttention(d, cfg.heads)
        self.mlp = perceptron(d, 4)

    def forward(self, latents: Tensor, time: Tensor, origin_s: Tensor, mask: Tensor | None = None) -> Tensor:
        """Predict states after ``origin_s``.

        Parameters
        ----------
        latents : Tensor, shape (B, S, d)
            Of inputs cut by :func:`until`, unless they are causal. Those after the origin are not read.
        time : Tensor, shape (B, S)
            Seconds.
        origin_s : Tensor, shape (B,)
            The last moment that is known.
        mask : Tensor of bool, shape (B, S), optional

        Returns
        -------
        Tensor, shape (B, n_horizons, d)
        """
        age = (origin_s[:, None] - time) / self.cfg.step_s
        known = age >= -TOLERANCE / self.cfg.step_s
        known = known if mask is None else known & mask
        latents = torch.where(known[..., None], latents, torch.zeros_like(latents))
        age = torch.where(known, age, torch.zeros_like(age)).clamp(min=0)
        decay = torch.exp(-age[..., None] / age.new_tensor(MEMORY)).to(latents.dtype)
        x = self.query + self.attention(
            self.query.expand(len(latents), -1, -1), self.token_norm(latents) + self.age(decay), known
        )
        return x + self.mlp(self.mlp_norm(x))


def future(series: Tensor, mask: Tensor, origin: Tensor, horizons: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """What came: ``series (B, T, C)`` at each horizon after bin ``origin (B,)``.

    Returns
    -------
    target : Tensor, shape (B, H, C)
    known : Tensor of bool, shape (B, H, C)
        False after the end of the window and where ``mask (B, T, C)`` is.

    Examples
    --------
    >>> series = torch.arange(5.0).view(1, 5, 1)
    >>> target, known = future(series, series >= 0, torch.tensor([2]), (1, 2, 5))
    >>> target.flatten().tolist(), known.flatten().tolist()
    ([3.0, 4.0, 0.0], [True, True, False])
    """
    at = origin[:, None] + torch.tensor(horizons, device=series.device)
    inside = at < series.shape[1]
    at = at.clamp(max=series.shape[1] - 1)[..., None].expand(-1, -1, series.shape[2])
    known = mask.gather(1, at) & inside[..., None]
    return torch.where(known, series.gather(1, at), series.new_zeros(())), known


def baselines(
    series: Tensor, mask: Tensor, origin: Tensor, n_horizons: int, means: Tensor
) -> dict[str, Tensor]:
    """What a forecast must beat: each channel's last known value, and its mean over the training windows.

    Parameters
    ----------
    series : Tensor, shape (B, T, C)
    mask : Tensor of bool, shape (B, T, C)
    origin : Tensor of int64, shape (B,)
        The last bin that is known.
    n_horizons : int
    means : Tensor, broadcast to (B, C)
        Also stand in for a last value where there is none.

    Returns
    -------
    dict of Tensor, shape (B, n_horizons, C)
        ``"last"`` and ``"mean"``.

    Examples
    --------
    >>> series = torch.arange(5.0).view(1, 5, 1)
    >>> found = baselines(series, series >= 0, torch.tensor([2]), 2, means=torch.tensor([7.0]))
    >>> found["last"].flatten().tolist(), found["mean"].flatten().tolist()
    ([2.0, 2.0], [7.0, 7.0])
    """
    bins = torch.arange(series.shape[1], device=series.device)[None, :, None]
    seen = mask & (bins <= origin[:, None, None])
    last = torch.where(seen, bins, -1).amax(1, keepdim=True)  # (B, 1, C)
    mean = means.to(series.dtype).expand(len(series), series.shape[2])[:, None]
    value = torch.where(last >= 0, series.gather(1, last.clamp(min=0)), mean)
    return {"last": value.expand(-1, n_horizons, -1), "mean": mean.expand(-1, n_horizons, -1)}


def forecast_loss(each: Tensor, known: Tensor, horizons: tuple[int, ...], gamma: float = 0.9) -> Tensor:
    """Mean of the losses ``each (B, H, C)`` where ``known``, horizon ``h`` counting ``gamma^h``.

    Each horizon is a mean over what is known of it, so that those with few targets count as much.

    Examples
    --------
    >>> each = torch.tensor([[[1.0], [3.0]]])
    >>> round(forecast_loss(each, each > 0, (1, 2), gamma=0.5).item(), 3)  # (1 / 2 + 3 / 4) / (3 / 4)
    1.667
    """
    if each.shape != known.shape or each.shape[1] != len(horizons):
        raise ValueError(
            f"losses {tuple(each.shape)}, known {tuple(known.shape)} for {len(horizons)} horizons"
        )
    count = known.sum((0, 2))
    mean = torch.where(known, each, torch.zeros_like(each)).sum((0, 2)) / count.clamp(min=1)
    weight = gamma ** torch.tensor(horizons, dtype=each.dtype, device=each.device) * (count > 0)
    return (weight * mean).sum() / weight.sum().clamp(min=1e-30)


class ForecastSkill(NamedTuple):
    """Scores of forecasts, each ``(H, C)``; NaN where there are under 3 targets or nothing varies."""

    r: Tensor  # correlation over windows
    over: dict[str, Tensor]  # 1 - squared error over that of each baseline


def forecast_skill(
    prediction: Tensor, target: Tensor, known: Tensor, against: Mapping[str, Tensor]
) -> ForecastSkill:
    """Skill of each channel at each horizon; channels that differ in mean cannot feign a correlation.

    Parameters
    ----------
    prediction, target : Tensor, shape (N, H, C)
        Many windows of the same channels.
    known : Tensor of bool, shape (N, H, C)
    against : mapping of Tensor, shape (N, H, C)
        As :func:`baselines` gives them.

    Examples
    --------
    >>> target = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    >>> skill = forecast_skill(2 * target, target, target > 0, {"mean": torch.full_like(target, 2.0)})
    >>> skill.r.item(), skill.over["mean"].item()  # 1 - (1 + 4 + 9) / (1 + 0 + 1)
    (1.0, -6.0)
    """
    weight = known.double()
    n = weight.sum(0)
    x, y = (torch.where(known, z.detach().double(), 0.0) for z in (prediction, target))

    def centred(z: Tensor) -> Tensor:
        return (z - z.sum(0) / n.clamp(min=1)) * weight

    a, b = centred(x), centred(y)
    vary = torch.minimum(a.square().mean(0), b.square().mean(0)) > 1e-12
    nan = torch.full_like(n, torch.nan)
    r = (a * b).sum(0) / (a.square().sum(0) * b.square().sum(0)).sqrt()
    error = (x - y).square().sum(0)
    over = {}
    for name, baseline in against.items():
        theirs = (torch.where(known, baseline.detach().double(), 0.0) - y).square().sum(0)
        over[name] = torch.where((n >= 3) & (theirs > 0), 1 - error / theirs.clamp(min=1e-300), nan)
    return ForecastSkill(torch.where((n >= 3) & vary, r, nan), over)
