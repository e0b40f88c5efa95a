"""Every model that declares sites: all of them are passed, and hold what they say."""

import pytest
import torch

from neurolib.interpret.activations import patch, record
from neurolib.models.controls import RecurrentEncoderConfig
from neurolib.models.discrete import DiscreteDecoder, DiscreteDecoderConfig
from neurolib.models.hebbian.encoder import HebbianConfig
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.decoder import SpikeDecoderConfig
from neurolib.models.multimodal.mixers import S6MixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.quantizers.residual import ResidualConfig
from neurolib.models.recurrent import RecurrentConfig, RecurrentDecoder
from neurolib.models.sites import sites_of
from neurolib.models.state_space import StateSpaceConfig
from neurolib.models.transformer import CausalTransformerConfig
from neurolib.models.vae import SequenceVAE, VAEConfig

N_UNITS, BIN_S = 5, 0.05
SIZES = {"batch": 3, "time": 12, "unit": N_UNITS}


def small(name):
    if name == "discrete":
        cfg = DiscreteDecoderConfig(
            RecurrentEncoderConfig(hidden=8), ResidualConfig(size=4, n_stages=2), dim=3
        )
        return DiscreteDecoder(cfg, N_UNITS, 2, BIN_S)
    if name == "vae":
        return SequenceVAE(VAEConfig(HebbianConfig(d=8)), N_UNITS, 2, BIN_S)
    if name == "two sessions":
        return SequenceVAE(VAEConfig(RecurrentEncoderConfig(hidden=8)), {"session": N_UNITS}, 2, BIN_S)
    cfg = {
        "gru": lambda: RecurrentDecoder(RecurrentConfig(N_UNITS, 2, hidden=8)),
        "loop": lambda: RecurrentDecoder(RecurrentConfig(N_UNITS, 2, hidden=8, fused=False)),
        "spikes": lambda: SpikeDecoderConfig(N_UNITS, 2, BIN_S, d=16, slots=2).build(),
        "s6": lambda: SpikeDecoderConfig(N_UNITS, 2, BIN_S, d=16, slots=1, mixer=S6MixerConfig()).build(),
        "transformer": lambda: CausalTransformerConfig(d=8, heads=2).build(N_UNITS, 2, BIN_S),
        "state space": lambda: StateSpaceConfig(d=8).build(N_UNITS, 2, BIN_S),
    }
    return cfg[name]()


@pytest.mark.parametrize(
    "name", ["gru", "loop", "discrete", "vae", "two sessions", "spikes", "s6", "transformer", "state space"]
)
def test_declared_sites_are_passed_and_a_patch_with_the_same_changes_nothing(name):
    torch.manual_seed(0)
    model = small(name)
    counts = torch.poisson(torch.full((3, 12, N_UNITS), 0.7))
    acts = record(model, counts)
    assert list(acts) == list(sites_of(model)) and len(acts) >= 2
    for site, axes in acts.axes.items():
        for axis, size in zip(axes, acts[site].shape, strict=True):
            assert size == SIZES.get(axis, size), (site, axis)
    wanted = acts.output[0] if isinstance(acts.output, tuple) else acts.output
    for site in acts:
        with patch(model, {site: acts[site]}), torch.no_grad():
            out = model(counts)
        torch.testing.assert_close(out[0] if isinstance(out, tuple) else out, wanted)


@pytest.mark.parametrize(
    "backbone", [BackboneConfig(2, rates=(1, 2)), BackboneConfig(1, slots="mlp", heads=4)]
)
def test_sites_of_the_multimodal_model_with_a_dict_of_signals(backbone):
    torch.manual_seed(0)
    model = MultimodalConfig.preset("tiny", modalities=("spike", "emg"), backbone=backbone).build()
    signals = {"spike": torch.rand(2, 50, 7).round(), "emg": torch.randn(2, 200, 4)}
    acts = record(model, signals)
    assert acts["tokens"].shape[1] == acts["tokens.spike"].shape[1] + acts["tokens.emg"].shape[1]
    torch.testing.assert_close(acts["grid"], acts.output["aux"]["grid"])
    torch.testing.assert_close(acts["decoder"], acts.output["decoder"])
    for i in range(
        len(model.perceiver.process)
    ):  # heads are what the output projection maps to what is added
        attend = model.perceiver.process[i].attend
        torch.testing.assert_close(
            attend.out(acts[f"process.{i}.heads"].flatten(-2)), acts[f"process.{i}.attention"]
        )
    # the stream of latents is the sum of what was added to it
    added = acts["enter.query"] + acts["enter.attention"] + acts["enter.feed"]
    torch.testing.assert_close(acts["process.0.query"], added)
    with pytest.raises(RuntimeError, match=r"tokens\.emg"):
        record(model, {"spike": signals["spike"]})
