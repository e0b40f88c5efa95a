from dataclasses import replace

import pytest
import torch

from neurolib.interpret.attribution.hidden_attention import hidden_attention, hidden_attentions
from neurolib.interpret.attribution.rollout import attention_rollout, evenly, rollout
from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.decoder import SpikeDecoderConfig
from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.perceiver import PerceiverConfig


def decoder(**changes):
    torch.manual_seed(0)
    cfg = SpikeDecoderConfig(
        n_units=4, n_outputs=2, bin_size_s=0.05, d=16, heads=2, blocks=1, history_s=0.1, latents_s=0.1
    )
    return replace(cfg, **changes).build().eval()


@pytest.mark.parametrize(
    "changes",
    [
        {"slots": 1},
        {"slots": 2, "mixer": S6MixerConfig(n_state=4)},
        {"slots": 2, "mixer": SSDMixerConfig(head=8, n_state=4), "layers": 2},
    ],
)
def test_a_decoder_looks_at_no_later_bin_and_at_every_one_that_matters(changes):
    model = decoder(**changes)
    counts = torch.rand(2, 7, 4)
    made = rollout(model, counts)
    assert made.scores.shape == (2, 7, 7) and list(made.parts) == ["spike"]
    assert torch.allclose(made.scores.sum(-1) + made.null, torch.ones(2, 7), atol=1e-5)
    slope = torch.autograd.functional.jacobian(
        lambda x: model(x).sum((0, 2)), counts
    )  # (query, B, bin, unit)
    matters = (slope.abs().sum(-1) > 1e-9).transpose(0, 1)
    assert torch.equal(made.scores > 0, matters)
    assert (made.scores.triu(1) == 0).all()
    alone = rollout(model, counts[1:])
    torch.testing.assert_close(alone.scores[0], made.scores[1])


@pytest.mark.parametrize("flatten", ["slot", "time_major"])
@pytest.mark.parametrize("direction", ["causal", "bi"])
def test_latents_are_arranged_as_the_backbone_arranges_them(flatten, direction):
    """Against a product over explicit (time, slot) pairs."""
    torch.manual_seed(0)
    cfg = MultimodalConfig(
        d=16,
        modalities=("spike", "emg"),
        perceiver=PerceiverConfig(steps=3, slots=2, layers=0, heads=2, radius=None),
        backbone=BackboneConfig(
            blocks=1, mixer=SSDMixerConfig(head=8, n_state=4), direction=direction, flatten=flatten, heads=2
        ),
        pooled=1,
    )
    model = cfg.build().eval()
    inputs = {"spike": torch.ones(2, 50, 3), "emg": torch.randn(2, 1000, 2)}
    made = rollout(model, inputs, run=lambda m, given: m(given, task="decode"))
    assert made.scores.shape[1] == 3 and {n: p.stop - p.start for n, p in made.parts.items()} == {
        "spike": 50,
        "emg": 50,
    }
    block = model.backbone.stacks[0][0]
    mixers = hidden_attentions(model, inputs, run=lambda m, given: m(given, task="decode"))
    sizes = [one.size for one in mixers.values()]
    mixed = sizes[0] if direction == "causal" else (sizes[0] + sizes[1].flip(1, 2)) / 2
    whole = torch.zeros(2, 6, 6)
    for row in range(2):
        for i in range(6):
            for j in range(6):
                if flatten == "time_major":
                    whole[row, i, j] = mixed[row, i, j]
                elif i % 2 == j % 2:
                    whole[row, i, j] = mixed[2 * row + i % 2, i // 2, j // 2]
    heard = {}
    hooks = [
        block.slots.register_forward_pre_hook(lambda m, args: heard.update(slots=args[0])),
        model.perceiver.enter.attend.register_forward_pre_hook(
            lambda m, args: heard.update(enter=m.weights(*args))
        ),
        model.perceiver.leave.attend.register_forward_pre_hook(
            lambda m, args: heard.update(leave=m.weights(*args))
        ),
    ]
    with torch.no_grad():
        model(inputs, task="decode")
    for hook in hooks:
        hook.remove()
    q, k, _ = block.slots.qkv(heard["slots"]).unflatten(-1, (3, 2, 8)).unbind(-3)  # (B, T, K, heads, 8)
    across = torch.zeros(2, 6, 6)
    for i in range(6):
        same = [i - i % 2, i - i % 2 + 1]
        logits = (q.flatten(1, 2)[:, i, None] * k.flatten(1, 2)[:, same]).sum(-1) / 8**0.5
        across[:, i, same] = logits.softmax(1).mean(-1)
    inside = attention_rollout([whole, across])
    expected = heard["leave"].mean(1)[..., 1:] @ inside @ heard["enter"].mean(1)[..., 1:]
    torch.testing.assert_close(made.scores, expected.detach(), atol=1e-6, rtol=1e-4)
    assert torch.allclose(sum(made.by_modality().values()), 1 - made.null, atol=1e-5)


def test_excess_is_zero_where_attention_is_even():
    model = decoder(slots=1, layers=0)
    with torch.no_grad():
        for layer in (model.model.perceiver.enter, model.model.perceiver.leave):
            layer.attend.query.weight.zero_()
    made = rollout(model, torch.rand(1, 1, 4))
    torch.testing.assert_close(made.excess, torch.zeros_like(made.excess), atol=1e-6, rtol=0)
    assert made.null.item() == pytest.approx(0.75)  # one of two keys is null, and so again


def test_what_has_no_weights_is_refused():
    with pytest.raises(ValueError, match="holds no MultimodalModel"):
        rollout(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="entries below zero"):
        attention_rollout([torch.tensor([[2.0, -1.0], [0.0, 1.0]])])
    with pytest.raises(ValueError, match="attend among the same things"):
        attention_rollout([torch.ones(2, 3) / 3])
    with pytest.raises(ValueError, match="need one"):
        attention_rollout([])
    cfg = BackboneConfig(blocks=1, slots="mlp", mixer=SSDMixerConfig(head=8, n_state=4))
    model = MultimodalConfig(
        d=16, modalities=("spike",), perceiver=PerceiverConfig(heads=2), backbone=cfg, pooled=1
    )
    with pytest.raises(ValueError, match="slots='mlp'"):
        rollout(model.build(), {"spike": torch.ones(1, 50, 2)})
    with pytest.raises(ValueError, match="no state-space mixer"):
        hidden_attentions(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="as the mixer gets it"):
        hidden_attention(SSDMixerConfig(head=4, n_state=4).build(8), torch.zeros(3, 8))
    assert evenly(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]


def test_hooks_are_gone_after_an_error():
    model = decoder()
    with pytest.raises(ValueError, match="a signal is"):
        rollout(model, torch.zeros(1, 3, 9, 9))
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())
