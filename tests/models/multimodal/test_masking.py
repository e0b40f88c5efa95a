"""Hiding parts of windows: each scheme hides what it says, something always stays, chance comes from one place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurolib.models.multimodal.inputs import ModalityInput
from neurolib.models.multimodal.masking import SCHEMES, MaskingConfig, hide, keep_times


def close(one, other, atol=1e-6, rtol=1e-5):
    """torch.testing would import sympy, which takes seconds."""
    np.testing.assert_allclose(
        torch.as_tensor(one).detach(), torch.as_tensor(other).detach(), rtol=rtol, atol=atol
    )


ONLY = {
    name: MaskingConfig(**({s: 0.0 for s in SCHEMES} | {name: 1.0}), modality_dropout=0) for name in SCHEMES
}


def example(rows=40, seed=0):
    """EEG with gaps, spikes as events, and fMRI; any of them may be absent from a window."""
    generator = torch.Generator().manual_seed(seed)

    def chance(*shape, p):
        return torch.rand(*shape, generator=generator) < p

    eeg = ModalityInput.sampled(torch.randn(rows, 50, 6), 50.0, mask=chance(rows, 50, p=0.9))
    eeg = replace(eeg, channel_mask=chance(rows, 6, p=0.7))
    lengths = torch.randint(0, 30, (rows,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    time, unit = torch.rand(int(offsets[-1]), generator=generator), torch.randint(0, 5, (int(offsets[-1]),))
    spike = ModalityInput.events(time, unit, offsets, torch.arange(5).expand(rows, 5), 1.0)
    fmri = ModalityInput.sampled(torch.randn(rows, 2, 3), 2.0)
    there = chance(rows, 3, p=0.6)
    there[torch.arange(rows), torch.randint(0, 3, (rows,), generator=generator)] = True
    inputs = {}
    for i, (name, signal) in enumerate({"eeg": eeg, "spike": spike, "fmri": fmri}.items()):
        mask = signal.mask & there[:, i, None]
        inputs[name] = replace(signal, mask=mask).checked()
    empty = ~torch.stack([signal.present for signal in inputs.values()]).any(0)
    inputs["fmri"].mask[empty] = True
    return inputs


def seen(signal):
    """What of a signal can be read, (B, T, C)."""
    return signal.mask[:, :, None] & signal.channel_mask[:, None, :]


GRIDS = {"spike": torch.linspace(0.025, 0.975, 20).expand(40, 20)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.95])
def test_never_is_everything_of_a_window_hidden(seed, ratio):
    inputs = example(seed=seed)
    hidden = hide(
        inputs, MaskingConfig(ratio=ratio, modality_dropout=0.9), torch.Generator().manual_seed(seed)
    )
    left = torch.stack([signal.present for signal in hidden.inputs.values()]).any(0)
    assert left.all()
    for name, signal in hidden.inputs.items():
        assert not (seen(signal) & ~seen(inputs[name])).any()  # nothing appears
        if name != "spike":
            assert not (hidden.targets[name] & seen(signal)).any()  # what is predicted is not seen
            assert not (hidden.targets[name] & ~seen(inputs[name])).any()  # and was recorded


def test_neural_hides_the_same_times_of_all_channels_and_modalities():
    inputs = example()
    hidden = hide(inputs, ONLY["neural"], torch.Generator().manual_seed(0), GRIDS)
    assert (hidden.scheme == 0).all() and not hidden.behaviour.any()
    eeg, spikes = hidden.targets["eeg"], hidden.targets["spike"]
    assert spikes.shape == (40, 20, 5)
    for row in range(40):
        if not inputs["eeg"].present[row]:
            continue
        recorded = seen(inputs["eeg"])[row]
        times = eeg[row].any(1)
        assert torch.equal(eeg[row], recorded & times[:, None])
        assert 0.05 < times[recorded.any(1)].float().mean() < 0.6
        if inputs["spike"].present[row]:  # the edges of windows differ by a sample; compare inside blocks
            gone = inputs["spike"].event_time[row][
                inputs["spike"].event_mask[row] & ~hidden.inputs["spike"].event_mask[row]
            ]
            bins = spikes[row, :, 0].float()
            assert all(bins[min(int(t * 20), 19)] == 1 for t in gone)
    fraction = spikes.any(2)[inputs["spike"].present].float().mean()
    assert 0.2 < fraction < 0.4
    assert (hidden.inputs["spike"].mask == inputs["spike"].mask).all()  # the edges of the window stay


def test_within_hides_channels_at_all_times_and_their_spikes():
    inputs = example()
    hidden = hide(inputs, ONLY["within"], torch.Generator().manual_seed(0))
    for name in ("eeg", "spike"):
        before, after = inputs[name], hidden.inputs[name]
        count = (before.channel_mask & before.present[:, None]).sum(1)
        gone = before.channel_mask & ~after.channel_mask
        many = (hidden.scheme == 2) & (count > 1)
        expected = (0.3 * count[many]).round().clamp(min=1)
        assert torch.equal(gone[many].sum(1), expected.long())
        wanted = gone[:, None, :] & before.mask[:, :, None]
        assert torch.equal(hidden.targets[name][many], wanted[many])
    spike = hidden.inputs["spike"]
    assert spike.channel_mask.gather(1, spike.event_unit)[spike.event_mask].all()
    assert spike.event_mask.sum() < inputs["spike"].event_mask.sum()


def test_cross_hides_one_whole_modality_where_there_are_two():
    inputs = example()
    hidden = hide(inputs, ONLY["cross"], torch.Generator().manual_seed(0))
    before = torch.stack([signal.present for signal in inputs.values()])
    after = torch.stack([signal.present for signal in hidden.inputs.values()])
    two = before.sum(0) > 1
    assert two.any() and not two.all()
    assert (hidden.scheme == torch.where(two, 3, 0)).all()  # one modality: neural instead
    assert (before.sum(0) - after.sum(0) == 1)[two].all()
    for i, name in enumerate(inputs):
        gone = two & before[i] & ~after[i]
        assert gone.any()
        assert torch.equal(hidden.targets[name][gone], seen(inputs[name])[gone])
        assert not hidden.targets[name][two & ~gone].any()


def test_behaviour_hides_no_signal_and_dropout_is_not_predicted():
    inputs = example()
    hidden = hide(inputs, ONLY["behaviour"], torch.Generator().manual_seed(0))
    assert hidden.behaviour.all()
    assert all(torch.equal(seen(hidden.inputs[n]), seen(inputs[n])) for n in inputs)
    assert not any(target.any() for target in hidden.targets.values())
    dropped = hide(inputs, replace(ONLY["behaviour"], modality_dropout=0.5), torch.Generator().manual_seed(0))
    left = torch.stack([signal.present for signal in dropped.inputs.values()])
    assert left.any(0).all() and left.sum() < 0.8 * torch.stack([s.present for s in inputs.values()]).sum()
    assert not any(target.any() for target in dropped.targets.values())


def test_the_generator_alone_decides_and_schemes_come_in_proportion():
    inputs = example()
    cfg = MaskingConfig()
    one, same, other = (hide(inputs, cfg, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    turned = hide(dict(reversed(inputs.items())), cfg, torch.Generator().manual_seed(0))
    for name in inputs:
        for again in (same, turned):
            assert torch.equal(one.targets[name], again.targets[name])
            assert torch.equal(one.inputs[name].mask, again.inputs[name].mask)
    assert any(not torch.equal(one.targets[name], other.targets[name]) for name in inputs)
    many = {"eeg": ModalityInput.sampled(torch.zeros(4000, 3, 2), 3.0)}
    many["lfp"] = many["eeg"]
    cfg = MaskingConfig(neural=1, behaviour=2, within=0, cross=1, modality_dropout=0)
    drawn = hide(many, cfg, torch.Generator().manual_seed(0)).scheme
    parts = torch.bincount(drawn, minlength=4) / 4000
    close(parts, torch.tensor([0.25, 0.5, 0, 0.25]), atol=0.03, rtol=0)


def test_garbage_under_the_mask_decides_nothing():
    inputs = example()
    wild = {
        name: replace(signal, time=signal.time.masked_fill(~signal.mask, 1e6))
        for name, signal in inputs.items()
    }
    one, other = (hide(x, MaskingConfig(), torch.Generator().manual_seed(0)) for x in (inputs, wild))
    assert all(torch.equal(one.targets[name], other.targets[name]) for name in inputs)


def test_times_are_kept_for_samples_and_events_alike():
    both = replace(
        ModalityInput.sampled(torch.zeros(1, 4, 2), 4.0),
        event_time=torch.tensor([[0.1, 0.6]]),
        event_unit=torch.tensor([[0, 1]]),
        event_mask=torch.tensor([[True, True]]),
    )
    kept = keep_times(both, lambda time: time < 0.5)
    assert kept.mask.tolist() == [[True, True, False, False]]
    assert kept.event_mask.tolist() == [[True, False]]


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="'cross': -1"):
        MaskingConfig(cross=-1)
    with pytest.raises(ValueError, match=r"ratio=1\.0"):
        MaskingConfig(ratio=1.0)
    with pytest.raises(ValueError, match="n_blocks=1"):
        MaskingConfig(n_blocks=1)
    with pytest.raises(ValueError, match="no modality"):
        hide({}, MaskingConfig(), torch.Generator())
