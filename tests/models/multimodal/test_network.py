"""The whole model: what its source could not do, every subset of modalities, and what must not matter."""

import pytest
import torch

from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.inputs import MODALITIES, ModalityInput
from neurolib.models.multimodal.network import MultimodalConfig, MultiModalNeuroFMX
from neurolib.models.multimodal.perceiver import PerceiverConfig

SAMPLES = {"spike": 50, "lfp": 500, "calcium": 30, "eeg": 160, "fmri": 1, "ecog": 500, "emg": 1000}


def signals(names, rows=2, channels=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    made = {n: torch.randn(rows, SAMPLES[n], channels, generator=generator) for n in names}
    return made | {n: made[n].abs().round() for n in ("spike",) if n in made}


def tiny(names=MODALITIES, **changes):
    torch.manual_seed(0)
    return MultimodalConfig.preset("tiny", modalities=tuple(names), window_s=None, **changes).build().eval()


def test_the_calls_of_the_source_run_as_written():
    torch.manual_seed(0)
    model = MultiModalNeuroFMX(
        d_model=64,
        n_mamba_blocks=2,
        n_latents=64,
        latent_dim=48,
        use_domain_adversarial=True,
        n_domains=3,  # mouse, monkey, human
    )
    inputs = {
        "spike": torch.randint(0, 4, (4, 100, 384)).float(),
        "eeg": torch.randn(4, 100, 64),
        "fmri": torch.randn(4, 100, 400),
    }
    species = torch.tensor([0, 0, 1, 2])
    outputs = model(inputs, species_labels=species)
    assert outputs["latents"].shape == (4, 64, 48)
    assert outputs["domain_logits"].shape == (4, 3)
    outputs = model(modality_dict={"eeg": inputs["eeg"][:1]}, task="multi-task")
    assert {"latents", "decoder", "encoder", "contrastive", "forecast"} <= outputs.keys()
    assert outputs["encoder"]["eeg"].shape == (1, 100, 64)
    assert model.get_modality_names() == list(MODALITIES)
    model.freeze_backbone()
    assert not any(p.requires_grad for p in model.backbone.parameters())
    model.unfreeze_backbone()
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("names", [("spike",), ("eeg", "emg"), ("lfp", "ecog", "calcium"), MODALITIES])
def test_any_subset_of_modalities_trains(names):
    model = tiny().train()
    out = model(signals(names))
    assert out["latents"].shape == (2, 16, 64) and out["decoder"].shape == (2, 4, 2)
    assert out["contrastive"].norm(dim=-1).sub(1).abs().max() < 1e-5
    total = out["decoder"].square().sum() + sum(x.square().sum() for x in out["encoder"].values())
    total.backward()
    for name in MODALITIES:
        own = model.tokenizers[name].named_parameters()  # the vectors of channels are the read-outs' as well
        grads = [p.grad for part, p in own if p.grad is not None and "channels" not in part]
        assert (sum(g.abs().sum() for g in grads) > 0) == (name in names), name


def test_a_modality_missing_from_some_windows_is_as_if_absent_there():
    model, both = tiny(("spike", "eeg")), signals(("spike", "eeg"))
    model(both)  # numbers the channels
    alone = model({"spike": both["spike"][1:]})["pooled"]
    eeg = ModalityInput.sampled(both["eeg"], 160.0)
    eeg = eeg.keeping(mask=torch.tensor([[True], [False]]).expand(2, 160))
    assert torch.allclose(model({"spike": both["spike"], "eeg": eeg})["pooled"][1:], alone, atol=1e-5)


def test_padding_of_time_and_channels_changes_nothing():
    model, x = tiny(("spike",)), signals(("spike",))["spike"]
    want = model({"spike": x})["latents"]
    values = torch.full((2, 50 + 37, 6 + 3), 1e6)
    values[:, :50, :6] = x
    padded = ModalityInput.sampled(
        values,
        50.0,
        mask=(torch.arange(87) < 50).expand(2, 87),
        channel_mask=(torch.arange(9) < 6).expand(2, 9),
        channel=torch.arange(9).clamp(max=5).expand(2, 9),
    )
    assert torch.allclose(model({"spike": padded})["latents"], want, atol=1e-5)


def test_the_order_of_channels_does_not_matter():
    model, x, order = tiny(("eeg",)), signals(("eeg",))["eeg"], torch.tensor([3, 1, 5, 0, 4, 2])
    want = model({"eeg": x})["latents"]
    mixed = ModalityInput.sampled(x[:, :, order], 160.0, channel=order.expand(2, 6))
    assert torch.allclose(model({"eeg": mixed})["latents"], want, atol=1e-5)


def test_the_backbone_scans_along_time():
    """Later latents depend on earlier ones through the backbone alone, and never the other way."""
    cfg = PerceiverConfig(steps=8, slots=2, layers=0, heads=4, radius=1.0, causal=True, dropout=0.0)
    backbone = BackboneConfig(blocks=1, heads=4, dropout=0.0)
    model = tiny(("spike",), perceiver=cfg, backbone=backbone)
    x = signals(("spike",))["spike"]
    changed = x.clone()
    changed[:, 25] += 3.0
    grids = [model({"spike": version})["aux"]["grid"] for version in (x, changed)]
    moved = (grids[0] - grids[1]).abs().amax((0, 2, 3))
    assert (moved[:4] == 0).all() and (moved[5:] > 0).all()


def test_behaviour_can_be_asked_at_any_time():
    model, x = tiny(("spike",)), signals(("spike",))
    out = model(x, task="decode", output_time=torch.linspace(0, 1, 11))
    assert out["decoder"].shape == (2, 11, 2) and "encoder" not in out


@pytest.mark.parametrize(
    "name, rates, low, high", [("tiny", (1,), 0.3, 0.6), ("base", (1,), 45, 50), ("base", (1, 4), 61, 75)]
)
def test_presets_have_the_sizes_they_are_said_to_have(name, rates, low, high):
    cfg = MultimodalConfig.preset(name, modalities=("spike",))
    backbone = BackboneConfig(blocks=cfg.backbone.blocks, heads=cfg.backbone.heads, rates=rates)
    model = MultimodalConfig.preset(name, modalities=("spike",), backbone=backbone).build()
    assert low < sum(p.numel() for p in model.parameters()) / 1e6 < high


def test_adaptation_trains_what_it_says():
    model = tiny(("spike",))
    model.add_channels("spike", ["a", "b"])
    model.adapt("unit_id")
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {
        "channels",
        "recordings",
    }
    model.adapt("full")
    model.adapt("linear")
    assert {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad} == {
        "decoder",
        "ask_behaviour",
    }
    model.adapt("full")
    assert all(p.requires_grad for p in model.parameters())
    before = model({"spike": signals(("spike",), channels=2)["spike"]})["latents"]
    model.adapt("lora", rank=2)
    assert torch.allclose(
        model({"spike": signals(("spike",), channels=2)["spike"]})["latents"], before, atol=1e-5
    )
    names = [n for n, p in model.named_parameters() if p.requires_grad and n.startswith("backbone")]
    assert names and all(n.endswith((".a", ".b")) for n in names)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: m({"spikes": torch.zeros(1, 50, 2)}), "did you mean 'spike'"),
        (lambda m: m({"spike": torch.zeros(1, 50, 2)}, task="decoding"), "task 'decoding' is none of"),
        (lambda m: m({"spike": torch.zeros(1, 50, 2)}, species_labels=torch.zeros(1)), "domains=0"),
        (lambda m: m({"spike": ModalityInput.sampled(torch.zeros(1, 50, 2), 25.0)}), "25"),
        (
            lambda m: m(
                {"spike": ModalityInput.sampled(torch.zeros(1, 50, 1), 50.0, channel=torch.tensor([[99]]))}
            ),
            "row 99 of a table",
        ),
        (lambda m: m.adapt("little"), "mode='little'"),
        (lambda m: m.add_channels("spyke", ["a"]), "no modality 'spyke'"),
        (lambda m: MultimodalConfig.preset("huge"), "no preset 'huge'"),
    ],
)
def test_bad_calls_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(tiny(("spike",)))
