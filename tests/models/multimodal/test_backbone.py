"""The backbone: nothing from later, streaming equal to the whole, shapes and settings."""

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.backbone import BackboneConfig
from neurolib.models.multimodal.mixers import S6MixerConfig, SSDMixerConfig

MIXER = SSDMixerConfig(head=8, n_state=4, steps=(0.05, 0.5))
SETTINGS = [
    {},
    {"rates": (1, 4)},
    {"rates": (1, 2, 3), "mixer": S6MixerConfig(n_state=2), "slots": "mlp"},
    {"flatten": "time_major", "rates": (1, 4), "slots": "none"},
]
D, SLOTS = 16, 3


def built(**settings):
    torch.manual_seed(0)
    cfg = BackboneConfig(**{"blocks": 2, "mixer": MIXER, "heads": 2} | settings)
    return cfg.build(D, SLOTS).double().eval()


def latents(length=11):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2, length, SLOTS, D)))


def reach(backbone, at, length=11):
    """How much a change at one step changes each step, per slot."""
    x = latents(length)
    changed = x.clone()
    changed[:, at, 0] += 3
    with torch.no_grad():
        return (backbone(changed) - backbone(x)).abs().amax((0, 3))  # (T, K)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("at", [0, 3, 6, 10])
def test_causal_outputs_depend_on_no_later_step(settings, at):
    difference = reach(built(**settings), at)
    assert (difference[:at] == 0).all() and (difference[at:, 0] > 0).all()


def test_in_both_directions_every_step_depends_on_every_other():
    for settings in SETTINGS:
        assert (reach(built(**settings | {"direction": "bi"}), 5)[:, 0] > 0).all()


def test_slots_meet_by_attention_or_perceptron_or_only_in_one_sequence():
    for settings, meet in [({}, True), ({"slots": "mlp"}, True), ({"slots": "none"}, False)]:
        assert bool((reach(built(**settings), 5)[5:, 1:] > 0).all()) == meet
    assert (reach(built(flatten="time_major", slots="none"), 5)[5:, 1:] > 0).all()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("gradients", [False, True])
def test_streaming_is_the_whole_pass(settings, gradients):
    backbone, x = built(**settings), latents()
    with torch.set_grad_enabled(gradients):
        state, outputs = backbone.init_state(2), []
        for step in x.unbind(1):
            y, state = backbone.step(step, state)
            outputs.append(y)
        assert (torch.stack(outputs, 1) - backbone(x)).abs().max() < 1e-10


def test_streaming_in_single_precision_is_the_whole_pass_to_1e_5():
    backbone, x = built(rates=(1, 4)).float().requires_grad_(False), latents(64).float()
    state, outputs = backbone.init_state(2), []
    for step in x.unbind(1):
        y, state = backbone.step(step, state)
        outputs.append(y)
    assert (torch.stack(outputs, 1) - backbone(x)).abs().max() < 1e-5


def test_the_slow_stack_changes_only_when_a_mean_is_complete():
    backbone = built(rates=(1, 4))
    with torch.no_grad():
        backbone.join.weight[:, :D] = 0  # only the slow stack is read
        y = backbone(latents())
    same = (y[:, 1:] - y[:, :-1]).abs().amax((0, 2, 3)) < 1e-14
    assert same.tolist() == [True, True, False, True, True, True, False, True, True, True]
    assert (y[:, 0] - backbone.join.bias).abs().max() < 1e-14  # nothing before the first mean


@pytest.mark.parametrize("settings", [*SETTINGS, {"direction": "bi", "rates": (1, 4)}])
def test_every_parameter_gets_a_gradient_and_those_not_to_decay_are_named(settings):
    backbone = built(**settings)
    backbone(latents()).square().sum().backward()
    names = dict(backbone.named_parameters())
    for name, parameter in names.items():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    n_mixers = 2 * len(backbone.stacks) * (2 if settings.get("direction") == "bi" else 1)
    assert len(set(backbone.no_decay)) == 3 * n_mixers and set(backbone.no_decay) <= set(names)


def test_settings_that_make_no_sense_are_refused():
    for settings, message in [
        ({"direction": "both"}, "direction='both' must be one of"),
        ({"rates": (4, 1)}, r"rates=\(4, 1\) must start with 1"),
        ({"dropout": 1.0}, "dropout=1.0 must be a probability"),
        ({"heads": 3}, "d=16 cannot be divided into 3 heads"),
    ]:
        with pytest.raises(ValueError, match=message):
            built(**settings)
    with pytest.raises(ValueError, match=r"latents \(2, 3, 16\) must be"):
        built()(latents()[:, 0])
    with pytest.raises(ValueError, match="cannot be streamed"):
        built(direction="bi").init_state(2)
