"""GRU and LSTM decoders: counts ``(batch, time, unit)`` in, behaviour ``(batch, time, output)`` out.

Causal: the prediction of a bin sees that bin and the ones before it in the trial.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.data.trials import Trials
from neurolib.models.decoder import check_units, moments
from neurolib.models.sites import Site, Tap

State = tuple[Tensor, ...]  # (h,) for a GRU, (h, c) for an LSTM; each (batch, hidden)


@dataclass(frozen=True)
class RecurrentConfig:
    """Everything needed to rebuild a :class:`RecurrentDecoder`."""

    n_units: int  # recorded neurons
    n_outputs: int = 2  # behaviour columns
    cell: str = "gru"  # "gru" or "lstm"
    hidden: int = 64
    dropout: float = 0.2  # on counts and on the hidden state, training only
    fused: bool = True  # torch's own kernel; False unrolls bin by bin, which torch.func can batch


class RecurrentDecoder(nn.Module):
    """One recurrent layer with a linear read-out.

    Counts and behaviour are standardised inside, with the moments given by
    :meth:`standardise`, so a saved model takes raw counts and returns physical units.

    Parameters
    ----------
    cfg : RecurrentConfig

    References
    ----------
    .. [1] Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder", EMNLP.
    .. [2] Hochreiter & Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8).

    Examples
    --------
    >>> model = RecurrentDecoder(RecurrentConfig(n_units=5, n_outputs=2, hidden=8))
    >>> model(torch.zeros(3, 7, 5)).shape
    torch.Size([3, 7, 2])
    """

    def __init__(self, cfg: RecurrentConfig):
        super().__init__()
        kinds = {"gru": nn.GRU, "lstm": nn.LSTM}
        if cfg.cell not in kinds:
            raise ValueError(f"cell={cfg.cell!r} must be one of {sorted(kinds)}")
        self.cfg = cfg
        self.rnn = kinds[cfg.cell](cfg.n_units, cfg.hidden, batch_first=True)
        self.drop = nn.Dropout(cfg.dropout)
        self.hidden = Tap()
        self.readout = nn.Linear(cfg.hidden, cfg.n_outputs)
        for name, size in (("count", cfg.n_units), ("output", cfg.n_outputs)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def standardise(self, train: Trials) -> "RecurrentDecoder":
        """Take the moments of the training trials."""
        check_units(train, self.cfg.n_units)
        for name, values in (("count", train.counts), ("output", train.behaviour)):
            for moment, value in zip(("mean", "scale"), moments(values), strict=True):
                getattr(self, f"{name}_{moment}").copy_(torch.as_tensor(value))
        return self

    def sites(self) -> tuple[Site, ...]:
        """Standardised counts, and the hidden state as it is read out; a change of it does not last."""
        at = ("batch", "time", "channel")
        return Site("counts", "drop", at, side="input", call=0), Site("hidden", axes=at)

    def forward(self, counts: Tensor) -> Tensor:
        """Map counts ``(B, T, n_units)`` to behaviour ``(B, T, n_outputs)``."""
        return self._standard(counts) * self.output_scale + self.output_mean

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean squared error in standard deviations of each output, over the bins that exist.

        Parameters
        ----------
        batch : dict
            ``counts (B, T, n_units)``, ``behaviour (B, T, n_outputs)``, ``mask (B, T)``.
        """
        target = (batch["behaviour"] - self.output_mean) / self.output_scale
        error = (self._standard(batch["counts"]) - target).square().mean(dim=-1)  # (B, T)
        mask = batch["mask"].to(error.dtype)
        return (error * mask).sum() / mask.sum()

    def weight(self, batch: dict[str, Tensor]) -> Tensor:
        """Bins behind the mean of :meth:`loss`, so that means of unequal batches can be pooled."""
        return batch["mask"].sum()

    def step(self, counts: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One bin: counts ``(B, n_units)`` in, behaviour ``(B, n_outputs)`` and the new state out."""
        x = (counts - self.count_mean) / self.count_scale
        state = self._advance(x, state or self._rest(x))
        return self.readout(state[0]) * self.output_scale + self.output_mean, state

    @torch.no_grad()
    def predict(self, trials: Trials) -> NDArray:
        """Decode every bin, shape ``(n_bins, n_outputs)``."""
        check_units(trials, self.cfg.n_units)
        self.eval()
        padded = trials.padded()
        like = self.readout.weight
        rows = torch.from_numpy(padded.counts).split(256)
        blocks = [self(block.to(like)).float().cpu().numpy() for block in rows]
        return np.concatenate(blocks)[padded.mask].astype(float)

    def stream(self) -> "RecurrentStream":
        """Decode bin by bin."""
        return RecurrentStream(self)

    def _standard(self, counts: Tensor) -> Tensor:
        """Standardised behaviour of standardised counts.

        Kept out of autocast: torch runs fused recurrent kernels in half precision under it, whose
        small gradients vanish, and these models are too small to gain from it.
        """
        with torch.autocast(counts.device.type, enabled=False):
            return self._read(counts)

    def _read(self, counts: Tensor) -> Tensor:
        x = self.drop((counts - self.count_mean) / self.count_scale)
        if self.cfg.fused:
            hidden, _ = self.rnn(x)  # (B, T, hidden)
        else:
            state, hiddens = self._rest(x[:, 0]), []
            for t in range(x.shape[1]):
                state = self._advance(x[:, t], state)
                hiddens.append(state[0])
            hidden = torch.stack(hiddens, dim=1)
        return self.readout(self.drop(self.hidden(hidden)))

    def _rest(self, x: Tensor) -> State:
        zero = x.new_zeros(x.shape[0], self.cfg.hidden)
        return (zero,) if self.cfg.cell == "gru" else (zero, zero)

    def _advance(self, x: Tensor, state: State) -> State:
        """The cell's equations for one bin, ``x (B, n_units)``; torch's gate order."""
        rnn = self.rnn
        inputs = nn.functional.linear(x, rnn.weight_ih_l0, rnn.bias_ih_l0)
        recurrent = nn.functional.linear(state[0], rnn.weight_hh_l0, rnn.bias_hh_l0)
        if self.cfg.cell == "gru":
            reset_x, update_x, new_x = inputs.chunk(3, dim=-1)
            reset_h, update_h, new_h = recurrent.chunk(3, dim=-1)
            update = torch.sigmoid(update_x + update_h)
            new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
            return ((1 - update) * new + update * state[0],)
        enter, forget, new, out = (inputs + recurrent).chunk(4, dim=-1)
        memory = torch.sigmoid(forget) * state[1] + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(out) * torch.tanh(memory), memory


class RecurrentStream:
    """A :class:`RecurrentDecoder` in use."""

    def __init__(self, model: RecurrentDecoder):
        self.model = model.eval()
        self.reset()

    def reset(self) -> None:
        """Start a trial with an empty hidden state."""
        self.state: State | None = None

    @torch.no_grad()
    def step(self, counts: ArrayLike) -> NDArray:
        """Take counts ``(n_units,)``, return behaviour ``(n_outputs,)``."""
        like = self.model.readout.weight
        counts = torch.as_tensor(np.asarray(counts, dtype=np.float32)).to(like)[None]
        output, self.state = self.model.step(counts, self.state)
        return output[0].float().cpu().numpy().astype(float)
