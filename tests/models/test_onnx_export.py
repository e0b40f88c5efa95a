import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurolib.data.trials import Trials
from neurolib.models.controls import EmaMlpConfig, RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.onnx_export import OnnxStream, export_onnx
from neurolib.models.quantizers.finite_scalar import FiniteScalarConfig
from neurolib.models.quantizers.product import ProductConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.transformer import CausalTransformerConfig

RVQ = ResidualConfig(n_stages=3, size=16)


def make(encoder, quantizer=RVQ, **settings):
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    counts, behaviour = draw.poisson(draw.uniform(0.1, 2, 7), (120, 7)), draw.normal(3, 20, (120, 2))
    trials = Trials(counts, behaviour, [40, 50, 30], 0.025, name="toy")
    cfg = DiscreteDecoderConfig(encoder, quantizer, dim=6, hidden=9, dropout=0.5, **settings)
    decoder = DiscreteDecoder.for_trials(trials, cfg)
    with torch.no_grad():
        decoder.head[3].weight.mul_(30)  # outputs that move
    if quantizer is not None:
        decoder.quantizer.init_kmeans(torch.as_tensor(decoder.embed(trials)))
    return decoder, trials


@pytest.fixture
def onnx():
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    return pytest.importorskip("onnx")


@pytest.mark.parametrize(
    ("encoder", "quantizer", "settings"),
    [
        (RecurrentEncoderConfig("lstm", 12), RVQ, {}),
        (RecurrentEncoderConfig("gru", 12), ResidualConfig(2, 16, beam=3), {"leak": 0.3}),
        (RecurrentEncoderConfig("rnn", 12), FiniteScalarConfig((4, 3)), {}),
        (CausalTransformerConfig(d=16, heads=2, context_s=0.15), ProductConfig(2, RVQ), {}),
        (EmaMlpConfig(), None, {}),
    ],
)
def test_onnxruntime_finds_what_whole_trials_give(onnx, tmp_path, encoder, quantizer, settings):
    decoder, trials = make(encoder, quantizer, **settings)
    path = export_onnx(decoder.train(), tmp_path / "new" / "decoder.onnx", n_checked=20)
    assert decoder.training and list(path.parent.iterdir()) == [path]
    stream, rows = OnnxStream(path), []
    for counts, first in zip(trials.counts, trials.bin_in_trial == 0, strict=True):
        if first:
            stream.reset()
        rows.append(stream.step(counts))
    outputs, codes = zip(*rows, strict=True)
    whole = decoder.predict(trials)
    assert whole.std(axis=0).min() > 1
    np.testing.assert_allclose(outputs, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    if quantizer is None:
        assert set(codes) == {None}
    else:
        assert len(np.unique(np.stack(codes)[:, 0])) > 4
        np.testing.assert_array_equal(np.stack(codes), decoder.codes(trials))
    model = onnx.load(path)
    assert not {"OneHot", "Loop", "RandomNormal", "Dropout"} & {node.op_type for node in model.graph.node}
    assert {"bin_size_s": "0.025"}.items() <= {each.key: each.value for each in model.metadata_props}.items()
    with pytest.raises(ValueError, match="the decoder has 7 units"):
        stream.step([1, 2])


def test_a_file_that_does_not_agree_is_not_written(onnx, tmp_path):
    path = tmp_path / "decoder.onnx"
    path.write_bytes(b"the last good one")
    decoder, _ = make(EmaMlpConfig())
    with torch.no_grad():
        decoder.head[3].bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="nothing was written"):
        export_onnx(decoder, path)
    assert path.read_bytes() == b"the last good one" and list(tmp_path.iterdir()) == [path]


def test_an_encoder_without_a_fixed_state_is_refused(onnx, tmp_path):
    with pytest.raises(ValueError, match="no ONNX export of a Hebbian"):
        export_onnx(make(HebbianConfig(d=6, tau_s=(0.1,)))[0], tmp_path / "decoder.onnx")


@pytest.mark.parametrize("use", [lambda path: export_onnx(make(EmaMlpConfig())[0], path), OnnxStream])
def test_missing_packages_are_named_with_their_extra(monkeypatch, tmp_path, use):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"neurolib-book\[onnx\]"):
        use(Path(tmp_path / "decoder.onnx"))
    assert not list(tmp_path.iterdir())
