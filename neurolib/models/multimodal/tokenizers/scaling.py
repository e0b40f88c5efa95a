"""Values ``(batch, time, channel)`` in, the same in units of their channel's spread out; tokenizers that need it."""

import warnings
from dataclasses import replace

import torch
from torch import Tensor, nn

from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.tokenizers.frames import check_rate

MAD_PER_SD = 0.6744897501960817  # median absolute deviation of a normal distribution with SD 1
SENSIBLE = (1e-3, 1e3)  # SD between which values may be left as they are


class ChannelScaling(nn.Module):
    """Robust z-score per channel, from the median and spread of training data.

    The spread is the median absolute deviation over that of a normal distribution; the standard deviation
    where the former is zero, as in silent cells. Rows without training data pass unchanged, with a warning if
    values look like volts.

    References
    ----------
    .. [1] Rousseeuw & Croux (1993), "Alternatives to the median absolute deviation", J. Am. Stat. Assoc.

    Examples
    --------
    >>> scaling = ChannelScaling()
    >>> row, values = torch.tensor([[4]]), torch.tensor([1.0, 2.0, 3.0, 4.0, 500.0]).view(1, 5, 1)
    >>> scaling.fit(row, values, torch.ones(1, 5, 1, dtype=torch.bool))
    >>> (scaling(row, values) / MAD_PER_SD)[0, :, 0].round().int().tolist()  # median 3, MAD 1
    [-2, -1, 0, 1, 497]
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("centre", torch.zeros(0))
        self.register_buffer("spread", torch.ones(0))
        self._looked = False

    @torch.no_grad()
    def fit(self, row: Tensor, values: Tensor, seen: Tensor) -> None:
        """Take median and spread of training data; rows that are not there keep theirs.

        Parameters
        ----------
        row : Tensor of int64, shape (B, C)
        values : Tensor, shape (B, T, C)
        seen : Tensor of bool, shape (B, T, C)
        """
        rows = torch.unique(row[seen.any(1)])
        if not len(rows):
            return
        if (more := int(rows[-1]) + 1 - len(self.centre)) > 0:
            self.centre = torch.cat([self.centre, self.centre.new_zeros(more)])
            self.spread = torch.cat([self.spread, self.spread.new_ones(more)])
        by_channel, held = values.transpose(1, 2), seen.transpose(1, 2)
        for one in rows.tolist():
            here = row == one
            x = by_channel[here][held[here]]
            centre = x.median()
            spread = (x - centre).abs().median() / MAD_PER_SD
            if spread == 0:
                spread = x.std(correction=0)
            self.centre[one], self.spread[one] = centre, spread if spread > 0 else 1.0

    def forward(self, row: Tensor, values: Tensor) -> Tensor:
        """Scale values ``(B, T, C)`` of rows ``(B, C)``; what is masked may come out as anything finite."""
        if not len(self.centre):
            self._look(values)
            return values
        last = len(self.centre)
        row = torch.where(row < 0, last, row).clamp(max=last)  # one more row, for channels not fitted
        centre = torch.cat([self.centre, self.centre.new_zeros(1)])[row][:, None]
        spread = torch.cat([self.spread, self.spread.new_ones(1)])[row][:, None]
        return (values - centre.to(values)) / spread.to(values)

    def _look(self, values: Tensor) -> None:
        if self._looked:
            return
        self._looked = True
        held = values.detach()[values.detach() != 0]
        sd = float(held.std()) if len(held) > 1 else 1.0
        if not SENSIBLE[0] <= sd <= SENSIBLE[1] and sd > 0:
            warnings.warn(
                f"values have an SD of {sd:.2g} and no scale was fitted; are they in volts? standardise() takes "
                "the scale of each channel from training data",
                stacklevel=4,
            )

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        for name in ("centre", "spread"):  # another vocabulary: take its size
            if (loaded := state_dict.get(prefix + name)) is not None:
                setattr(self, name, getattr(self, name).new_ones(loaded.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class ScaledTokenizer(nn.Module):
    """What tokenizers of sampled signals share: the rate is checked, and channels are scaled.

    Parameters
    ----------
    cfg : dataclass
        With ``rate_hz``.
    """

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.scaling = ChannelScaling()

    def prepared(self, inputs: ModalityInput) -> ModalityInput:
        """What comes before scaling: zeros where nothing was recorded, in the precision of the weights."""
        return replace(inputs, values=inputs.clean().to(next(self.parameters()).dtype))

    def standardise(self, inputs: ModalityInput) -> None:
        """Take the scale of each channel from windows of the training data."""
        inputs = self.prepared(inputs)
        seen = inputs.mask[:, :, None] & inputs.channel_mask[:, None, :]
        self.scaling.fit(inputs.channel, inputs.clean(), seen)

    def scaled(self, inputs: ModalityInput) -> ModalityInput:
        """The input that the filters see; its values are zero where nothing was recorded."""
        inputs = self.prepared(inputs)
        check_rate(inputs, self.cfg.rate_hz, type(self).__name__)
        inputs = replace(inputs, values=self.scaling(inputs.channel, inputs.values))
        return replace(inputs, values=inputs.clean())
