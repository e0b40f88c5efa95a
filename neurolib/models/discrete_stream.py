"""A discrete decoder in real time: counts ``(n_units,)`` of one bin in, outputs and codes of that bin out.

One bin is too little work for torch: its calls cost more than the arithmetic. Recurrent encoders,
transformers, residual codes and the head are therefore NumPy here, from the same weights; any other
encoder or quantizer is called as it is.
"""

import copy
import math
import time
from collections import deque

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, expit
from torch import nn

from neurolib.models.controls import RecurrentEncoder
from neurolib.models.decoder import check_counts
from neurolib.models.discrete import DiscreteDecoder
from neurolib.models.quantizers.quantizer import Quantizer
from neurolib.models.quantizers.residual import ResidualQuantizer
from neurolib.models.transformer import CausalTransformer

Arrays = tuple[NDArray, ...]


class DiscreteStream:
    """A :class:`~neurolib.models.discrete.DiscreteDecoder` in use, one bin after the other, on the CPU.

    Parameters
    ----------
    decoder : DiscreteDecoder
        Its weights are copied: what it learns later does not reach the stream.
    n_logged : int
        Steps whose latency is kept.

    Attributes
    ----------
    state : tuple or None
        What the trial has left behind. No step changes it in place, so it can be kept, and put back later.

    Notes
    -----
    A stream is made anew from its decoder, which ``checkpoints.save_weights`` and ``load_weights`` keep
    together with its settings; nothing else needs saving.

    The numbers are those of ``decoder.predict`` up to rounding. In float32, a latent that lies as good as
    halfway between two codes may get the other one.

    Examples
    --------
    >>> from neurolib.models.controls import RecurrentEncoderConfig
    >>> from neurolib.models.discrete import DiscreteDecoderConfig
    >>> from neurolib.models.quantizers.residual import ResidualConfig
    >>> cfg = DiscreteDecoderConfig(RecurrentEncoderConfig("lstm", 8), ResidualConfig(n_stages=2, size=4), dim=3)
    >>> stream = DiscreteStream(DiscreteDecoder(cfg, n_units=5, n_outputs=2, bin_size_s=0.025))
    >>> velocity, codes = stream.step([0, 2, 0, 0, 1])
    >>> velocity.shape, codes.shape, stream.latency_ms.shape
    ((2,), (2,), (1,))
    """

    def __init__(self, decoder: DiscreteDecoder, n_logged: int = 4096):
        if n_logged < 1:
            raise ValueError(f"n_logged={n_logged} steps; at least the last one must be kept")
        decoder = copy.deepcopy(decoder).cpu().eval().requires_grad_(False)
        self.n_units, self.leak = decoder.n_units, decoder.cfg.leak
        self._encode = _encoder_step(decoder.encoder)
        self._quantize = _quantizer_step(decoder.quantizer) if decoder.quantizer else None
        self._head = [_Linear(decoder.head[1]), _Linear(decoder.head[3])]
        self._mean, self._scale = decoder.output_mean.numpy(), decoder.output_scale.numpy()
        self._nanoseconds: deque[int] = deque(maxlen=n_logged)
        self.reset()

    def reset(self) -> None:
        """Start a trial; latencies are kept."""
        self.state: Arrays | None = None

    def step(self, counts: ArrayLike) -> tuple[NDArray, NDArray | None]:
        """Decode the newest bin.

        Parameters
        ----------
        counts : array_like, shape (n_units,)
            Spikes of each unit, not scaled.

        Returns
        -------
        outputs : ndarray, shape (n_outputs,)
            In their own unit.
        codes : ndarray, shape (n_codebooks,), or None
            None from a continuous decoder.

        Raises
        ------
        ValueError
            If these are not counts of the population. The state stays what it was: a bad bin must not
            spoil the ones after it.
        """
        start = time.perf_counter_ns()
        counts = check_counts(counts, self.n_units, self._mean.dtype)
        latent, state = self._encode(counts, self.state)
        codes = None
        if self._quantize is not None:
            codes, through = self._quantize(latent)
            latent = through + self.leak * (latent - through) if self.leak else through
        first, last = self._head
        outputs = last(_gelu(first(latent))) * self._scale + self._mean
        self.state = state
        self._nanoseconds.append(time.perf_counter_ns() - start)
        return outputs.astype(float), codes

    @property
    def latency_ms(self) -> NDArray:
        """Milliseconds that each of the last steps took, oldest first."""
        return np.array(self._nanoseconds, dtype=float) / 1e6

    def latency_percentiles(self, percents: tuple[float, ...] = (50, 99)) -> dict[str, float]:
        """Percentiles of :attr:`latency_ms` by name, ``{"p50": ..., "p99": ...}``.

        Raises
        ------
        ValueError
            Before the first step.
        """
        if not self._nanoseconds:
            raise ValueError("no step has been taken; there is no latency yet")
        found = np.percentile(self.latency_ms, percents)
        return {f"p{percent:g}": float(ms) for percent, ms in zip(percents, found, strict=True)}


class _Linear:
    """A torch layer ``(n_in,)`` to ``(n_out,)`` in NumPy."""

    def __init__(self, layer: nn.Linear):
        self.weight, self.bias = layer.weight.numpy(), layer.bias.numpy()

    def __call__(self, x: NDArray) -> NDArray:
        out = self.weight.dot(x)
        out += self.bias
        return out


class _LayerNorm:
    """The same for layer normalisation."""

    def __init__(self, layer: nn.LayerNorm):
        self.weight, self.bias, self.eps = layer.weight.numpy(), layer.bias.numpy(), layer.eps

    def __call__(self, x: NDArray) -> NDArray:
        x = x - x.sum() / x.dtype.type(x.size)
        return x * (x.dtype.type(1 / math.sqrt(x.dot(x) / x.size + self.eps)) * self.weight) + self.bias


def _gelu(x: NDArray) -> NDArray:
    out = erf(x * x.dtype.type(math.sqrt(0.5)))
    out += 1
    out *= x
    out *= x.dtype.type(0.5)
    return out


class _RecurrentStep:
    """One step of a :class:`RecurrentEncoder`: counts ``(n_units,)`` to a latent ``(dim,)``."""

    def __init__(self, encoder: RecurrentEncoder):
        rnn = encoder.rnn
        self.mean, self.scale = encoder.count_mean.numpy(), encoder.count_scale.numpy()
        names = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")
        self.w_in, self.b_in, self.w_back, self.b_back = (getattr(rnn, name).numpy() for name in names)
        self.readout, self.hidden = _Linear(encoder.readout), rnn.hidden_size
        self.advance = {"LSTM": self._lstm, "GRU": self._gru, "RNN_TANH": self._rnn}[rnn.mode]
        self.start = (np.zeros(self.hidden, self.mean.dtype),) * (2 if rnn.mode == "LSTM" else 1)

    def __call__(self, counts: NDArray, state: Arrays | None) -> tuple[NDArray, Arrays]:
        state = state or self.start
        given, back = self.w_in.dot((counts - self.mean) / self.scale), self.w_back.dot(state[0])
        given += self.b_in
        back += self.b_back
        state = self.advance(given, back, *state)
        return self.readout(state[0]), state

    def _lstm(self, given: NDArray, back: NDArray, h: NDArray, c: NDArray) -> Arrays:
        n = self.hidden  # torch's order: input, forget, cell, output
        given += back
        enter, forget, leave = expit(given[:n]), expit(given[n : 2 * n]), expit(given[3 * n :])
        c = forget * c + enter * np.tanh(given[2 * n : 3 * n])
        return leave * np.tanh(c), c

    def _gru(self, given: NDArray, back: NDArray, h: NDArray) -> Arrays:
        n = self.hidden  # torch's order: reset, update, new; the reset gate acts on the product
        gates = expit(given[: 2 * n] + back[: 2 * n])
        new = np.tanh(given[2 * n :] + gates[:n] * back[2 * n :])
        return (new + gates[n:] * (h - new),)

    def _rnn(self, given: NDArray, back: NDArray, h: NDArray) -> Arrays:
        return (np.tanh(given + back),)


class _TransformerStep:
    """One step of a :class:`CausalTransformer`.

    The state is the averages ``(tau, n_units)`` and per layer keys and values of the last bins. A pair of
    channels that is rotated together is one complex number, so a rotation is a product, and only the
    lag between query and key counts: queries are turned by the lag of each key, keys stay as they are.
    """

    def __init__(self, encoder: CausalTransformer):
        self.mean, self.scale = encoder.count_mean.numpy(), encoder.count_scale.numpy()
        rate, dtype = encoder.average.rate[:, None], self.mean.dtype
        self.fade, self.rise = torch.exp(-rate).numpy(), -torch.expm1(-rate).numpy()
        self.noise = encoder.average.noise_scale()[:, None].numpy()
        self.embed, self.norm = _Linear(encoder.embed), _LayerNorm(encoder.readout[0])
        self.readout, self.blocks = _Linear(encoder.readout[1]), []
        for block in encoder.blocks:
            lag = np.arange(block.window)[::-1]  # of the oldest key first
            angle = lag[:, None, None] * block.frequency.double().numpy()  # (window, 1, pairs)
            turn = np.exp(1j * angle) / math.sqrt(2 * angle.shape[2])
            self.blocks.append(
                (
                    (block.window, block.heads),
                    turn.astype(np.result_type(dtype, np.complex64)),
                    (_LayerNorm(block.attention_norm), _LayerNorm(block.mlp_norm)),
                    [_Linear(each) for each in (block.qkv, block.project, block.mlp[0], block.mlp[2])],
                )
            )

    def __call__(self, counts: NDArray, state: Arrays | None) -> tuple[NDArray, Arrays]:
        smooth, *caches = state or (0,) + (None,) * (2 * len(self.blocks))
        smooth = self.fade * smooth + self.rise * ((counts - self.mean) / self.scale)
        x, left = self.embed((smooth / self.noise).ravel()), [smooth]
        for block, keys, values in zip(self.blocks, caches[::2], caches[1::2], strict=True):
            x, *cache = self._block(x, *block, keys, values)
            left.extend(cache)
        return self.readout(self.norm(x)), tuple(left)

    @staticmethod
    def _block(x, size, turn, norms, layers, keys, values) -> tuple[NDArray, NDArray, NDArray]:
        (window, heads), (qkv, project, widen, narrow) = size, layers
        query, key, value = qkv(norms[0](x)).reshape(3, 1, heads, -1)
        half = query.shape[2] // 2
        query, key = query[..., :half] + 1j * query[..., half:], key[..., :half] - 1j * key[..., half:]
        if keys is not None:
            gone = int(len(keys) == window)
            key, value = np.concatenate([keys[gone:], key]), np.concatenate([values[gone:], value])
        scores = (query * turn[-len(key) :] * key).real.sum(axis=2)  # (bins, heads)
        weights = np.exp(scores - scores.max(axis=0))
        weights /= weights.sum(axis=0)
        mixed = (weights[..., None] * value).sum(axis=0)
        x = x + project(mixed.ravel())
        return x + narrow(_gelu(widen(norms[1](x)))), key, value


def _encoder_step(encoder: nn.Module):
    """``(counts, state) -> (latent, state)`` of one bin."""
    if type(encoder) is RecurrentEncoder:
        return _RecurrentStep(encoder)
    if type(encoder) is CausalTransformer:
        return _TransformerStep(encoder)

    @torch.inference_mode()
    def step(counts: NDArray, state: tuple | None) -> tuple[NDArray, tuple]:
        latents, state = encoder(torch.from_numpy(counts)[None, None], state)
        return latents[0, 0].numpy(), state

    return step


def _quantizer_step(quantizer: Quantizer):
    """``latent -> (codes, what they stand for)``."""
    if type(quantizer) is ResidualQuantizer and quantizer.cfg.beam == 1:
        stream = quantizer.stream()

        def step(latent: NDArray) -> Arrays:
            codes = stream.encode(latent)
            return codes, stream.decode(codes)

        return step

    @torch.inference_mode()
    def step(latent: NDArray) -> Arrays:
        found = quantizer.quantize(torch.from_numpy(latent)[None])
        return found.codes[0].numpy(), found.z_q[0].numpy()

    return step
