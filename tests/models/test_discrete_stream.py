import re

import numpy as np
import pytest
import torch

from neurolib.data.trials import Trials
from neurolib.models.controls import EmaMlpConfig, RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.discrete_stream import DiscreteStream
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.product import ProductConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.training import checkpoints

RVQ = ResidualConfig(n_stages=3, size=16)
ENCODERS = {cell: RecurrentEncoderConfig(cell, 12) for cell in ("lstm", "gru", "rnn")} | {
    "transformer": CausalTransformerConfig(d=16, heads=2, context_s=0.15, tau_s=(0.05, 0.2)),  # 6 of 30 bins
    "one bin of context": CausalTransformerConfig(d=8, heads=1, context_s=0.025),
    "averages": EmaMlpConfig(),
    "Hebbian": HebbianConfig(d=6, tau_s=(0.1,)),
}
QUANTIZERS = {
    "linear": ResidualConfig(n_stages=2, size=16, update="linear"),
    "beam": ResidualConfig(n_stages=3, size=16, beam=4),
    "product": ProductConfig(2, ResidualConfig(size=8)),
    "grid": FiniteScalarConfig((4, 3)),
    "none": None,
}


def make_trials():
    draw = np.random.default_rng(0)
    lengths = [30, 22, 28, 30]
    counts = draw.poisson(draw.uniform(0.1, 2, 7), (sum(lengths), 7))
    behaviour = draw.normal((5, -40), (90, 150), (sum(lengths), 2))  # mm/s
    return Trials(counts, behaviour, lengths, 0.025, name="toy")


TRIALS = make_trials()


def make(encoder="lstm", quantizer=RVQ, dtype=torch.float64, **settings):
    """A decoder whose codes vary, in training mode with dropout, as it may come from a fit."""
    torch.manual_seed(0)
    cfg = DiscreteDecoderConfig(ENCODERS[encoder], quantizer, dim=6, hidden=9, dropout=0.5, **settings)
    decoder = DiscreteDecoder.for_trials(TRIALS, cfg).to(dtype)
    with torch.no_grad():
        decoder.head[3].weight.mul_(30)  # outputs that move
    if quantizer is not None:
        decoder.quantizer.init_kmeans(torch.as_tensor(decoder.embed(TRIALS)))
    return decoder.train()


def run(stream):
    """All trials, bin by bin."""
    rows = []
    for counts, first in zip(TRIALS.counts, TRIALS.bin_in_trial == 0, strict=True):
        if first:
            stream.reset()
        rows.append(stream.step(counts))
    outputs, codes = zip(*rows, strict=True)
    return np.stack(outputs), codes[0] if codes[0] is None else np.stack(codes)


CASES = [(encoder, RVQ, {}) for encoder in ENCODERS]
CASES += [("gru", quantizer, {}) for quantizer in QUANTIZERS.values()]
CASES += [("gru", RVQ, {"leak": 0.3})]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("encoder", "quantizer", "settings"), CASES)
def test_a_stream_gives_what_whole_trials_give(encoder, quantizer, settings, dtype):
    decoder = make(encoder, quantizer, dtype, **settings)
    outputs, codes = run(DiscreteStream(decoder))
    assert decoder.training  # the stream is a copy
    whole = decoder.predict(TRIALS)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5 * np.abs(whole).max()
    assert whole.std(axis=0).min() > 10
    np.testing.assert_allclose(outputs, whole, rtol=0, atol=tolerance)
    if quantizer is None:
        assert codes is None
        return
    assert len(np.unique(codes[:, 0])) > 4
    np.testing.assert_array_equal(codes, decoder.codes(TRIALS))
    if not settings:  # codes are all that the outputs depend on
        np.testing.assert_allclose(decoder.decode_codes(codes), outputs, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_state_that_was_kept_can_be_put_back(encoder):
    stream = DiscreteStream(make(encoder))
    for counts in TRIALS.counts[:10]:
        stream.step(counts)
    kept = stream.state
    first = [stream.step(counts)[0] for counts in TRIALS.counts[10:20]]
    stream.state = kept
    again = [stream.step(counts)[0] for counts in TRIALS.counts[10:20]]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, 0], "shape (2,), the decoder has 7 units"),
        ([[0] * 7], "shape (1, 7)"),
        ([0, 1, np.nan, 0, 0, 0, 0], "counts hold nan at unit 2"),
        ([0, 0, 0, 0, 0, np.inf, 0], "counts hold inf at unit 5"),
        ([0, 0, 0, -1, 0, 0, 0], "counts hold -1 at unit 3"),
    ],
)
def test_what_is_no_bin_of_the_population_is_refused_and_spoils_nothing(counts, message):
    stream, other = DiscreteStream(make()), DiscreteStream(make())
    for each in (stream, other):
        each.step(TRIALS.counts[0])
    with pytest.raises(ValueError, match=re.escape(message)):
        stream.step(counts)
    assert len(stream.latency_ms) == 1
    np.testing.assert_array_equal(stream.step(TRIALS.counts[1])[0], other.step(TRIALS.counts[1])[0])


def test_what_the_decoder_learns_later_does_not_reach_a_stream():
    decoder = make()
    stream = DiscreteStream(decoder)
    before, _ = run(stream)
    with torch.no_grad():
        for each in (*decoder.parameters(), *decoder.buffers()):
            each.mul_(2)
    np.testing.assert_array_equal(run(stream)[0], before)


def test_the_last_latencies_are_kept():
    stream = DiscreteStream(make(), n_logged=5)
    assert stream.latency_ms.shape == (0,)
    with pytest.raises(ValueError, match="no step"):
        stream.latency_percentiles()
    for counts in TRIALS.counts[:3]:
        stream.step(counts)
    three = stream.latency_ms
    stream.reset()
    for counts in TRIALS.counts[:4]:
        stream.step(counts)
    last = stream.latency_ms
    np.testing.assert_array_equal(last[0], three[2])
    assert last.shape == (5,) and (last > 0).all()
    found = stream.latency_percentiles((0, 50, 100))
    assert found == {"p0": last.min(), "p50": np.median(last), "p100": last.max()}
    with pytest.raises(ValueError, match="n_logged=0"):
        DiscreteStream(make(), n_logged=0)


def test_a_stream_comes_back_from_weights_and_settings(tmp_path):
    decoder, path = make(), tmp_path / "decoder.pt"
    checkpoints.save_weights(path, decoder)
    again = checkpoints.load_weights(path, DiscreteDecoder(decoder.cfg, 7, 2, 0.025).double())
    for found, wanted in zip(run(DiscreteStream(again)), run(DiscreteStream(decoder)), strict=True):
        np.testing.assert_array_equal(found, wanted)
    other = make("gru").cfg
    with pytest.raises(ValueError, match="cell='lstm'"):
        checkpoints.load_weights(path, DiscreteDecoder(other, 7, 2, 0.025))
