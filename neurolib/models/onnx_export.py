"""A discrete decoder as an ONNX file: counts ``(1, n_units)`` and state in, outputs, codes and new state out.

One step per call, for programs without Python. Needs the extra ``onnx``.
"""

import copy
import importlib
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.models.controls import EmaMlp, OneBinAttention, OneBinMlp, RecurrentEncoder, State
from neurolib.models.decoder import check_counts
from neurolib.models.discrete import DiscreteDecoder
from neurolib.models.quantizers.coding import beam_search
from neurolib.models.quantizers.product import ProductQuantizer
from neurolib.models.quantizers.quantizer import Quantizer
from neurolib.models.quantizers.residual import ResidualQuantizer
from neurolib.models.quantizers.search import Search
from neurolib.models.transformer import CausalTransformer

TOLERANCE = 1e-5  # of the outputs, relative to the largest


def export_onnx(decoder: DiscreteDecoder, path: Path | str, n_checked: int = 200) -> Path:
    """Write one step of a decoder, in float32, after comparing it with torch.

    Inputs are ``counts (1, n_units)`` and ``state_0, state_1, ...``; outputs are
    ``velocity (1, n_outputs)``, ``codes (1, n_codebooks)`` unless the decoder is continuous, and
    ``new_state_0, ...``, to be handed in with the next bin. All shapes are fixed. A trial starts with
    zeros in every state. Settings and ``bin_size_s`` are in the file's metadata.

    Parameters
    ----------
    decoder : DiscreteDecoder
    path : path
        The file appears whole, or not at all.
    n_checked : int
        Bins of random counts on which onnxruntime and torch must agree, in codes exactly.

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        Without the extra ``onnx``.
    ValueError
        If the encoder has no fixed state, or onnxruntime finds something else than torch.

    Examples
    --------
    >>> from neurolib.models.controls import RecurrentEncoderConfig
    >>> from neurolib.models.discrete import DiscreteDecoderConfig
    >>> decoder = DiscreteDecoder(DiscreteDecoderConfig(RecurrentEncoderConfig()), 5, 2, bin_size_s=0.025)
    >>> export_onnx(decoder, "decoder.onnx")  # doctest: +SKIP
    PosixPath('decoder.onnx')
    """
    _need("onnx", "onnxscript", "onnxruntime")
    path = Path(path)
    step = _Step(copy.deepcopy(decoder).cpu().float().eval().requires_grad_(False)).eval()
    state = step.start()
    names = [f"state_{i}" for i in range(len(state))]
    found = ["velocity"] + ["codes"] * (decoder.quantizer is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own recurrent layers, and of its own tools
        program = torch.onnx.export(
            step,
            (torch.zeros(1, decoder.n_units), *state),
            input_names=["counts", *names],
            output_names=[*found, *(f"new_{name}" for name in names)],
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props.update(bin_size_s=f"{decoder.bin_size_s}", settings=repr(decoder.cfg))
    content = program.model_proto.SerializeToString()
    _check(OnnxStream(content), step, n_checked)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


class OnnxStream:
    """An exported decoder in use, on one thread of onnxruntime.

    Parameters
    ----------
    model : path, or bytes
        A file written by :func:`export_onnx`, or what is in it.

    Raises
    ------
    ImportError
        Without the extra ``onnx``.
    """

    def __init__(self, model: Path | str | bytes):
        runtime = _need("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = model if isinstance(model, bytes) else str(model)
        self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        counts, *self._states = self._session.get_inputs()
        self.n_units = counts.shape[1]
        self.reset()

    def reset(self) -> None:
        """Start a trial."""
        self.state = [np.zeros(each.shape, np.float32) for each in self._states]

    def step(self, counts: ArrayLike) -> tuple[NDArray, NDArray | None]:
        """Take counts ``(n_units,)``; return outputs ``(n_outputs,)`` and codes ``(n_codebooks,)`` or None.

        Raises
        ------
        ValueError
            If these are not counts of the population.
        """
        given = {"counts": check_counts(counts, self.n_units, np.float32)[None]}
        given |= {each.name: part for each, part in zip(self._states, self.state, strict=True)}
        found = self._session.run(None, given)
        n_found = len(found) - len(self.state)
        self.state = found[n_found:]
        return found[0][0].astype(float), found[1][0] if n_found > 1 else None


class _Step(nn.Module):
    """One bin of a decoder, in operations that ONNX has, with a state of fixed shape."""

    def __init__(self, decoder: DiscreteDecoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, counts: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Take ``counts (1, n_units)`` and the state; return outputs, codes if any, and the new state."""
        decoder = self.decoder
        if isinstance(decoder.encoder, CausalTransformer):
            latent, state = _transformer_step(decoder.encoder, counts, state)
        else:
            latents, state = decoder.encoder(counts[:, None], state)
            latent = latents[:, 0]
        codes, through = (), latent
        if decoder.quantizer is not None:
            *codes, z_q = _code(decoder.quantizer, latent)
            through = decoder.with_leak(latent, z_q)
        outputs = decoder.head(through) * decoder.output_scale + decoder.output_mean
        return outputs, *codes, *state

    def start(self) -> State:
        """The state of a trial without bins: zeros for all encoders that are let in."""
        encoder = self.decoder.encoder
        if isinstance(encoder, CausalTransformer):
            block = encoder.blocks[0]
            past, pairs = block.window - 1, len(block.frequency)
            caches = [torch.zeros(1, block.heads, past, 2 * pairs) for _ in range(2 * len(encoder.blocks))]
            smooth = torch.zeros(1, len(encoder.average.rate), self.decoder.n_units)
            return smooth, torch.zeros(1, past), *caches
        if not isinstance(encoder, RecurrentEncoder | EmaMlp | OneBinAttention | OneBinMlp):
            raise ValueError(
                f"no ONNX export of a {type(encoder).__name__}: its state has no fixed shape here"
            )
        _, state = encoder(torch.zeros(1, 1, self.decoder.n_units))
        return tuple(torch.zeros_like(part) for part in state)


def _transformer_step(encoder: CausalTransformer, counts: Tensor, state: State) -> tuple[Tensor, State]:
    """One bin of ``counts (1, n_units)``; ``there (1, window - 1)`` is 1 where a cache has been filled.

    Torch's own form lets the caches grow at the start of a trial.
    """
    smooth, there, *caches = state
    averages, smooth = encoder.average(encoder.standard(counts[:, None]), smooth)
    x = encoder.embed((averages / encoder.average.noise_scale()[:, None]).flatten(2))  # (1, 1, d)
    there = torch.cat([there, torch.ones(1, 1)], dim=1)
    left = [smooth, there[:, 1:]]
    for block, keys, values in zip(encoder.blocks, caches[::2], caches[1::2], strict=True):
        shape = (1, 1, 3, block.heads, -1)
        query, key, value = block.qkv(block.attention_norm(x)).view(shape).permute(2, 0, 3, 1, 4)
        key, value = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        position = torch.arange(block.window)
        mixed = F.scaled_dot_product_attention(
            block.rotate(query, position[-1:]),
            block.rotate(key, position),
            value,
            attn_mask=(there > 0)[:, None, None],
        )
        x = x + block.project(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.mlp_norm(x))
        left += [key[:, :, 1:], value[:, :, 1:]]
    return encoder.readout(x)[:, 0], tuple(left)


def _code(quantizer: Quantizer, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Codes ``(1, n_codebooks)`` and what they stand for ``(1, dim)``, by look-up rather than one-hot products."""
    if isinstance(quantizer, ProductQuantizer):
        parts = latent.split(latent.shape[1] // len(quantizer.groups), dim=1)
        coded = [_code(group, part) for group, part in zip(quantizer.groups, parts, strict=True)]
        codes, z_q = zip(*coded, strict=True)
        return torch.cat(codes, dim=1), torch.cat(z_q, dim=1)
    if not isinstance(quantizer, ResidualQuantizer):
        found = quantizer.quantize(latent)
        return found.codes, found.z_q
    searches = [Search(book) for book in quantizer.codebooks]
    if quantizer.cfg.beam > 1:
        codes = beam_search(latent, searches, quantizer.cfg.beam)
        picked = [s.codebook.index_select(0, at) for s, at in zip(searches, codes.unbind(1), strict=True)]
        return codes, sum(picked)
    found, rest, z_q = [], latent, torch.zeros_like(latent)
    for search in searches:
        at = search.scores(rest).argmax(dim=1)
        code = search.codebook.index_select(0, at)
        found.append(at)
        rest, z_q = rest - code, z_q + code
    return torch.stack(found, dim=1), z_q


@torch.no_grad()
def _check(stream: OnnxStream, step: _Step, n_bins: int) -> None:
    """Compare a stream of random counts with torch, bin by bin."""
    decoder, state = step.decoder, None
    rates = decoder.count_mean.clamp(min=0) + 0.5
    counts = np.random.default_rng(0).poisson(rates.numpy(), (n_bins, decoder.n_units))
    for at, row in enumerate(counts):
        outputs, codes = stream.step(row)
        wanted, wanted_codes, state = decoder.step(torch.from_numpy(row).float()[None], state)
        if codes is not None and (codes != wanted_codes[0].numpy()).any():
            raise ValueError(
                f"bin {at} of {n_bins}: onnxruntime finds codes {codes.tolist()}, torch "
                f"{wanted_codes[0].tolist()}; two codes equally near? nothing was written"
            )
        error = np.abs(outputs - wanted[0].numpy()).max()
        if not error <= TOLERANCE * max(1.0, float(wanted.abs().max())):
            raise ValueError(
                f"bin {at} of {n_bins}: onnxruntime is {error:.1e} off torch; nothing was written"
            )


def _need(*names: str):
    """Import packages of the extra; returns the last."""
    try:
        return [importlib.import_module(name) for name in names][-1]
    except ImportError as error:
        raise ImportError(
            f"{error.name or names[-1]} is not installed; ONNX needs the extra: pip install 'neurolib-book[onnx]'"
        ) from error
