"""What is hidden from the model: inputs by modality in, inputs with less of them and what to predict out.

Every window of a batch gets its own scheme, in the manner of masked multi-task training.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.pretext import order

SCHEMES = ("neural", "behaviour", "within", "cross")


@dataclass(frozen=True)
class MaskingConfig:
    """How windows are hidden.

    A window's scheme is drawn in proportion to the four weights. ``neural`` hides blocks of time in all
    channels of all modalities at once; ``behaviour`` hides no signal, so that behaviour is decoded from all of
    it; ``within`` hides some channels of each modality at all times; ``cross`` hides one whole modality. A window
    that a scheme does not fit (one modality, one channel) gets ``neural``. Before that, each modality is
    dropped from a window with probability ``modality_dropout``, but never all of them; what is dropped
    is not to be predicted.

    References
    ----------
    .. [1] Zhang et al. (2025), "Neural encoding and decoding at scale", ICML, arXiv:2504.08201.

    Examples
    --------
    >>> MaskingConfig(cross=0, modality_dropout=0).weights
    (0.25, 0.25, 0.25, 0)
    """

    neural: float = 0.25
    behaviour: float = 0.25
    within: float = 0.25
    cross: float = 0.25
    ratio: float = 0.3  # of the blocks, or of the channels
    n_blocks: int = 10  # into which the recorded part of a window is divided
    modality_dropout: float = 0.15

    def __post_init__(self):
        if min(self.weights) < 0 or not sum(self.weights) > 0:
            raise ValueError(
                f"weights {dict(zip(SCHEMES, self.weights, strict=True))} must be 0 or more, one above 0"
            )
        if not 0 < self.ratio < 1 or not 0 <= self.modality_dropout < 1:
            raise ValueError(
                f"ratio={self.ratio} must be in (0, 1), modality_dropout={self.modality_dropout} in [0, 1)"
            )
        if self.n_blocks < 2:
            raise ValueError(f"n_blocks={self.n_blocks}; with one block all would be hidden, or nothing")

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the schemes, in the order of ``SCHEMES``."""
        return (self.neural, self.behaviour, self.within, self.cross)


class Hidden(NamedTuple):
    """What :func:`hide` gives."""

    inputs: dict[str, ModalityInput]  # less than there was
    targets: dict[str, Tensor]  # (B, T, C) True where a recorded value was hidden and is to be predicted
    behaviour: Tensor  # (B,) True where behaviour is hidden and to be predicted
    scheme: Tensor  # (B,) number in SCHEMES


def keep_times(signal: ModalityInput, keep: Callable[[Tensor], Tensor]) -> ModalityInput:
    """A signal of which only some times are seen, samples and events alike.

    Parameters
    ----------
    signal : ModalityInput
    keep : callable
        From times ``(B, n)`` to True for what stays. The edges of a window of events always stay.

    Examples
    --------
    >>> signal = ModalityInput.sampled(torch.zeros(1, 4, 1), rate_hz=4.0)
    >>> keep_times(signal, lambda time: time <= 0.5).mask.tolist()
    [[True, True, True, False]]
    """
    if signal.event_mask is not None:
        signal = replace(signal, event_mask=signal.event_mask & keep(signal.event_time))
    return signal if signal.values is None else signal.keeping(mask=keep(signal.time))


def hide(
    inputs: Mapping[str, ModalityInput],
    cfg: MaskingConfig,
    generator: torch.Generator,
    grids: Mapping[str, Tensor] | None = None,
) -> Hidden:
    """Hide a part of every window; something always stays.

    Parameters
    ----------
    inputs : mapping of ModalityInput
    cfg : MaskingConfig
    generator : torch.Generator
        The only source of chance. The order of the modalities does not matter.
    grids : mapping of Tensor, shape (B, T), optional
        Times at which a modality is to be predicted, if not at its samples: the bins of spikes that
        come as events.

    Returns
    -------
    Hidden
        A spike in a hidden block is gone, and nothing tells a hidden block of events from a silent one:
        models of events learn more from hidden channels, or from bins.

    Raises
    ------
    ValueError
        If there is no input.

    Examples
    --------
    >>> spikes = ModalityInput.sampled(torch.ones(2, 50, 8), rate_hz=50.0)
    >>> only = MaskingConfig(neural=1, behaviour=0, within=0, cross=0)
    >>> hidden = hide({"spike": spikes}, only, torch.Generator().manual_seed(0))
    >>> hidden.targets["spike"].float().mean((1, 2)).tolist()  # 3 of 10 blocks
    [0.30000001192092896, 0.30000001192092896]
    >>> bool((hidden.inputs["spike"].mask[:, :, None] ^ hidden.targets["spike"]).all())
    True
    """
    names = sorted(inputs)
    if not names:
        raise ValueError("no modality to hide anything of")
    grids = grids or {}
    n_rows, device = inputs[names[0]].n_rows, inputs[names[0]].mask.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device).to(device)

    present = torch.stack([inputs[name].present for name in names], dim=1)  # (B, M)
    spared = order(uniform(n_rows, len(names)), present) == 0  # one that cannot be dropped
    kept = present & (spared | (uniform(n_rows, len(names)) >= cfg.modality_dropout))

    chance = torch.tensor(cfg.weights, dtype=torch.float64).cumsum(0) / sum(cfg.weights)
    scheme = torch.bucketize(uniform(n_rows).double(), chance.to(device), right=True).clamp(
        max=len(SCHEMES) - 1
    )
    channels = {name: inputs[name].channel_mask & kept[:, i, None] for i, name in enumerate(names)}
    many = torch.stack([channels[name].sum(1) > 1 for name in names], dim=1).any(1)
    is_within, is_cross = scheme == SCHEMES.index("within"), scheme == SCHEMES.index("cross")
    scheme = torch.where((is_within & ~many) | (is_cross & (kept.sum(1) < 2)), 0, scheme)
    neural, behaviour, within, cross = (scheme == i for i in range(len(SCHEMES)))

    end = torch.stack([_last_time(inputs[name]) * kept[:, i] for i, name in enumerate(names)]).amax(0)

    def block_of(time: Tensor) -> Tensor:
        part = time / end.clamp(min=1e-9)[:, None].to(time.dtype)
        return (part.nan_to_num() * cfg.n_blocks).clamp(0, cfg.n_blocks - 1).long()

    # blocks in which a modality that was kept has something to see
    filled = torch.zeros(n_rows, cfg.n_blocks, dtype=torch.bool, device=device)
    for i, name in enumerate(names):
        signal = inputs[name]
        if signal.values is None:  # silence is seen, too, up to the end of the window
            filled |= kept[:, i, None]
        else:
            hits = torch.zeros_like(filled, dtype=torch.int64)
            hits.scatter_add_(1, block_of(signal.time), (signal.mask & kept[:, i, None]).long())
            filled |= hits > 0
    blocks = _some(uniform(n_rows, cfg.n_blocks), filled, cfg.ratio) & neural[:, None]
    whole = (order(uniform(n_rows, len(names)), kept) == 0) & cross[:, None]  # (B, M)

    def hidden_at(time: Tensor) -> Tensor:
        return blocks.gather(1, block_of(time))

    less, targets = {}, {}
    for i, name in enumerate(names):
        signal = inputs[name]
        gone = _some(uniform(*signal.channel.shape), channels[name], cfg.ratio) & within[:, None]
        seen = kept[:, i, None] & ~whole[:, i, None] & ~gone
        less[name] = keep_times(signal.keeping(channel_mask=seen), lambda time: ~hidden_at(time))
        time = grids.get(name, signal.time)
        recorded = signal.mask if name not in grids else torch.ones_like(time, dtype=torch.bool)
        wanted = hidden_at(time)[:, :, None] | (whole[:, i, None] | gone)[:, None, :]
        targets[name] = wanted & recorded[:, :, None] & channels[name][:, None, :]
    return Hidden({n: less[n] for n in inputs}, {n: targets[n] for n in inputs}, behaviour, scheme)


def _last_time(signal: ModalityInput) -> Tensor:
    """Time of the last sample of each window, ``(B,)``."""
    return signal.time.masked_fill(~signal.mask, 0).amax(1)


def _some(scores: Tensor, among: Tensor, ratio: float) -> Tensor:
    """A random part of those that count ``(B, n)``: at least 1, and never all."""
    total = among.sum(1, keepdim=True)
    count = torch.minimum((ratio * total).round().clamp(min=1), total - 1)
    return among & (order(scores, among) < count)
