"""Losses of predicted signals: predictions and targets ``(batch, time, channel)`` in, one number out.

Means over what the mask lets count (0 where it lets nothing); what is masked is never read and has no gradient.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from neurolib.metrics.spikes import ZERO_RATE

MIN_RATE = 1e-6


def masked_mean(each: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of ``each`` where the mask is True; 0, with a gradient of 0, where it never is."""
    if mask is None:
        return each.mean()
    mask = mask.expand(each.shape)
    return torch.where(mask, each, torch.zeros_like(each)).sum() / mask.sum().clamp(min=1)


def poisson_nll(rates: Tensor, counts: Tensor, mask: Tensor | None = None, saturated: bool = False) -> Tensor:
    r"""Mean Poisson loss :math:`\lambda - n \ln \lambda`, without the constant :math:`\ln n!`.

    With ``saturated`` less its value at :math:`\lambda = n`: half the deviance, 0 or more.

    Examples
    --------
    >>> poisson_nll(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 3.0])).item()
    1.0
    """
    rates, counts = _paired(rates, counts, mask)
    each = rates - torch.xlogy(counts, rates)
    if saturated:
        each = each - counts + torch.xlogy(counts, counts)
    return masked_mean(each, mask)


def gaussian_nll(mean: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of half the squared error: a Gaussian of unit variance, without its constant."""
    mean, target = _paired(mean, target, mask)
    return masked_mean((mean - target).square() / 2, mask)


def huber(value: Tensor, target: Tensor, mask: Tensor | None = None, delta: float = 1.0) -> Tensor:
    """Mean Huber loss: half the squared error up to ``delta``, then linear."""
    value, target = _paired(value, target, mask)
    return masked_mean(F.huber_loss(value, target, reduction="none", delta=delta), mask)


def zero_inflated_gamma_nll(
    raw: Tensor, target: Tensor, mask: Tensor | None = None, floor: float = 0.0
) -> Tensor:
    r"""Mean loss of ΔF/F that is silent with probability ``1 - q`` and else gamma distributed above ``floor``.

    Parameters
    ----------
    raw : Tensor, shape (..., 3)
        Logit of ``q``, and shape and scale of the gamma distribution before a softplus.
    target : Tensor, shape (...)
    mask : Tensor of bool, shape (...), optional
    floor : float
        At or below it a cell is silent.

    References
    ----------
    .. [1] Wei et al. (2020), "A zero-inflated gamma model for deconvolved calcium imaging traces", Neurons,
       Behavior, Data analysis, and Theory, arXiv:2006.03737.

    Examples
    --------
    >>> zero_inflated_gamma_nll(torch.zeros(1, 3), torch.zeros(1)).item()  # q = 1/2: ln 2
    0.6931471824645996
    """
    raw = raw.to(target.dtype)  # lgamma is poor in half precision
    if mask is not None:
        raw = torch.where(mask[..., None], raw, torch.zeros_like(raw))
        target = torch.where(mask, target, torch.zeros_like(target))
    active = target > floor
    above = torch.where(active, target - floor, torch.ones_like(target))
    shape, scale = (F.softplus(raw[..., i]) + MIN_RATE for i in (1, 2))
    density = (shape - 1) * above.log() - above / scale - torch.lgamma(shape) - shape * scale.log()
    each = F.softplus(torch.where(active, -raw[..., 0], raw[..., 0]))  # -ln q, -ln(1 - q)
    return masked_mean(each - torch.where(active, density, torch.zeros_like(density)), mask)


def bits_per_spike(rates: Tensor, counts: Tensor, null: Tensor, mask: Tensor | None = None) -> float:
    r"""Poisson log-likelihood gain over null rates, in bits per spike.

    Unlike :func:`neurolib.metrics.spikes.bits_per_spike` it takes the null as given: the units' means over the
    *training* windows, which have not seen what is scored.

    Parameters
    ----------
    rates, counts : Tensor, shape (B, T, C)
        Spikes per bin.
    null : Tensor, broadcast to the same shape
        Say ``(B, 1, C)``.
    mask : Tensor of bool, shape (B, T, C), optional

    Raises
    ------
    ValueError
        If there is no spike.

    Examples
    --------
    >>> rates, counts = torch.tensor([[[0.5], [1.5]]]), torch.tensor([[[0.0], [2.0]]])
    >>> round(bits_per_spike(rates, counts, torch.ones(1)), 3)  # (2 ln 1.5) / (2 ln 2)
    0.585
    """
    null = null.expand(rates.shape)
    if mask is not None:
        rates, counts, null = rates[mask], counts[mask], null[mask]
    rates, counts, null = (x.detach().double() for x in (rates, counts, null))
    if not counts.sum() > 0:
        raise ValueError("no spikes: bits per spike is undefined")
    rates, null = rates.clamp(min=ZERO_RATE), null.clamp(min=ZERO_RATE)
    gain = (torch.xlogy(counts, rates) - rates - torch.xlogy(counts, null) + null).sum()
    return float(gain / (counts.sum() * math.log(2)))


def _paired(prediction: Tensor, target: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Prediction and target of one shape, 1 where masked, so that what is hidden has no gradient."""
    if prediction.shape != target.shape:
        raise ValueError(f"prediction {tuple(prediction.shape)} for target {tuple(target.shape)}")
    if mask is None:
        return prediction, target
    return tuple(torch.where(mask, x, torch.ones_like(x)) for x in (prediction, target))
