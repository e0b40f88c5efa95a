"""Features ``(batch, token, channel, feature)`` of a set of channels in, tokens of the population out.

Channels have no order: what tells them apart is a learned vector each and, where known, their position.
"""

import math

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.population import PopulationTransformerConfig


class ChannelPlace(nn.Module):
    """One vector per channel: its identity, plus a perceptron of Fourier features of its position if known.

    Parameters
    ----------
    d : int
    channels : GrowingEmbedding
        Identities, width ``d``.
    octaves : int
        Frequencies 1/2, 1, 2, ... cycles per unit of length; ``None`` leaves positions out.

    References
    ----------
    .. [1] Tancik et al. (2020), "Fourier features let networks learn high frequency functions in low
       dimensional domains", NeurIPS.

    Examples
    --------
    >>> place = ChannelPlace(4, GrowingEmbedding(4, ["Cz", "Pz"]))
    >>> place(ModalityInput.sampled(torch.zeros(3, 5, 2), 100.0)).shape
    torch.Size([3, 2, 4])
    """

    def __init__(self, d: int, channels: GrowingEmbedding, octaves: int | None = 6):
        super().__init__()
        if channels.d != d:
            raise ValueError(f"identities of width {channels.d} for tokens of width {d}; both are d")
        self.channels, self.octaves = channels, octaves
        if octaves is not None:
            self.position = nn.Sequential(nn.Linear(3 + 6 * octaves, d), nn.GELU(), nn.Linear(d, d))

    def forward(self, inputs: ModalityInput) -> Tensor:
        """Vectors ``(B, C, d)``; a position that is not finite is unknown."""
        place = self.channels(inputs.channel.masked_fill(~inputs.channel_mask, 0))
        if self.octaves is None or inputs.coords is None:
            return place
        known = (inputs.channel_mask & inputs.coords.isfinite().all(-1))[..., None]
        xyz = torch.where(known, inputs.coords, 0).to(place.dtype)
        turns = (xyz[..., None] * (math.pi * 2.0 ** torch.arange(self.octaves, device=xyz.device))).flatten(2)
        waves = torch.cat([xyz, turns.sin(), turns.cos()], dim=-1)
        return place + torch.where(known, self.position(waves), 0)


class ChannelPool(nn.Module):
    r"""A few learned queries attend over channels; or a sum over all of them.

    A channel's features are first multiplied by a gate that its place decides, so that every feature has a
    spatial filter of its own, with both signs:

    .. math:: y_{k} = \sum_c a_{kc}\, x_c \odot (1 + G p_c) + \sum_c a_{kc} V p_c + q_k, \qquad
              a_{k\cdot} = \mathrm{softmax}_c (u_k x_c + v_k p_c)

    with features :math:`x_c` and normalised places :math:`p_c`. The sum has :math:`a_c = 1/\sqrt N`.

    Parameters
    ----------
    d : int
        Width of features and of places.
    queries : int
        Tokens out of each time step; 0 for the sum, which gives one.

    References
    ----------
    .. [1] Lee et al. (2019), "Set transformer", ICML (pooling by attention with learned queries).
    """

    def __init__(self, d: int, queries: int):
        super().__init__()
        self.queries = queries
        self.norm = nn.LayerNorm(d)
        self.gate = nn.Linear(d, d)
        self.value = nn.Linear(d, d, bias=False)
        self.seed = nn.Parameter(torch.randn(max(queries, 1), d) * 0.02)
        if queries:
            self.by_content = nn.Linear(d, queries, bias=False)
            self.by_place = nn.Linear(d, queries, bias=False)

    def forward(self, x: Tensor, place: Tensor, channel_mask: Tensor) -> Tensor:
        """Pool ``x (B, S, C, d)`` of channels at ``place (B, C, d)`` to ``(B, S, queries or 1, d)``."""
        place = self.norm(place)
        gate, value = 1 + self.gate(place)[:, None], self.value(place)[:, None]
        seen = channel_mask[:, None, None]  # (B, 1, 1, C)
        if self.queries:
            scores = (self.by_content(x) + self.by_place(place)[:, None]).transpose(2, 3).contiguous()
            scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)  # (B, S, K, C)
            weights = scores.softmax(-1) * seen  # zeros where a window has no channel
        else:
            weights = (seen / channel_mask.sum(1).clamp(min=1).sqrt()[:, None, None, None]).to(x.dtype)
        return weights @ (x * gate) + weights @ value + self.seed


class PopulationSum(nn.Module):
    r"""Tokens of a population of any size: :math:`\sum_u \varphi(x_u) \odot p_u / \sqrt N`.

    :math:`\varphi` is linear in the features of a unit. Units are summed before it, so that no tensor has
    time, units and width at once.

    Parameters
    ----------
    features : int
    d : int

    Examples
    --------
    >>> total = PopulationSum(features=1, d=2)
    >>> _ = nn.init.ones_(total.weight)
    >>> x, place = torch.tensor([1.0, 2.0, 3.0, 9.0]).view(1, 1, 1, 4), torch.ones(1, 4, 2)
    >>> total(x, place, torch.tensor([[True, True, True, False]]))[0, 0].tolist()  # 6 / sqrt(3)
    [3.464101552963257, 3.464101552963257]
    """

    def __init__(self, features: int, d: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, d) / features**0.5)

    def forward(self, x: Tensor, place: Tensor, channel_mask: Tensor) -> Tensor:
        """Tokens ``(B, S, d)`` of ``x (B, S, features, C)`` and ``place (B, C, d)``."""
        count = channel_mask.sum(1).clamp(min=1).to(place.dtype)
        place = torch.where(channel_mask[..., None], place, 0) / count.sqrt()[:, None, None]
        sums = x.flatten(1, 2) @ place  # (B, S * features, d)
        return (sums.unflatten(1, x.shape[1:3]) * self.weight).sum(2)


class PopulationAttention(nn.Module):
    """Tokens of a population whose units attend to each other at each time, instead of being summed.

    Costs time x units x width of memory, so it is for populations of tens.

    Parameters
    ----------
    cfg : PopulationTransformerConfig
    features : int
    d : int

    Examples
    --------
    >>> mix = PopulationAttention(PopulationTransformerConfig(layers=1, heads=2), features=3, d=8)
    >>> mix(torch.zeros(2, 5, 3, 4), torch.zeros(2, 4, 8), torch.ones(2, 4, dtype=torch.bool)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, cfg: PopulationTransformerConfig, features: int, d: int):
        super().__init__()
        self.enter, self.mix = nn.Linear(features, d), cfg.build(d)

    def forward(self, x: Tensor, place: Tensor, channel_mask: Tensor) -> Tensor:
        """Tokens ``(B, S, d)`` of ``x (B, S, features, C)`` and ``place (B, C, d)``."""
        units = (self.enter(x.mT) + place[:, None]).flatten(0, 1)  # (B * S, C, d)
        _, whole = self.mix(units, channel_mask.repeat_interleave(x.shape[1], dim=0))
        return whole.unflatten(0, x.shape[:2])
