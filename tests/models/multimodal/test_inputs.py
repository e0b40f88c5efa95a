"""What the model accepts, and what it says of what it does not."""

import pytest
import torch

from neurolib.models.multimodal.inputs import ModalityInput, Tokens, as_inputs, pack, unpack

RATES = {"spike": 50.0, "eeg": 160.0}


def sampled(rows=2, samples=10, channels=3, **changes):
    return ModalityInput.sampled(torch.randn(rows, samples, channels), 10.0, **changes)


def test_clean_is_zero_wherever_nothing_was_recorded():
    signal = sampled()
    hidden = signal.keeping(
        torch.arange(10).expand(2, 10) < 7, torch.tensor([[True, False, True]]).expand(2, 3)
    )
    clean = hidden.clean()
    assert (clean[:, 7:] == 0).all() and (clean[:, :, 1] == 0).all()
    assert torch.equal(clean[:, :7, ::2], signal.values[:, :7, ::2])


def test_masked_values_may_hold_anything():
    values = torch.randn(2, 10, 3)
    values[:, 8:] = float("nan")
    mask = (torch.arange(10) < 8).expand(2, 10)
    assert ModalityInput.sampled(values, 10.0, mask=mask).clean().isfinite().all()


def test_events_are_the_same_packed_and_padded():
    time, unit = torch.tensor([0.1, 0.5, 0.2, 0.3, 0.9]), torch.tensor([0, 1, 1, 0, 1])
    spikes = ModalityInput.events(time, unit, torch.tensor([0, 2, 2, 5]), torch.arange(2).expand(3, 2), 1.0)
    assert spikes.event_mask.sum(1).tolist() == [2, 0, 3]
    assert torch.equal(spikes.event_time[spikes.event_mask], time)
    hidden = spikes.keeping(channel_mask=torch.tensor([[True, False]]).expand(3, 2))
    assert hidden.event_mask.sum(1).tolist() == [1, 0, 1]


def test_a_batch_survives_packing():
    inputs = {"eeg": sampled(), "spike": sampled(channels=5)}
    back = unpack(pack(inputs) | {"session": torch.zeros(2), "behaviour/values": torch.zeros(2, 4, 1)})
    assert back.keys() == inputs.keys()
    assert torch.equal(back["spike"].values, inputs["spike"].values)


def test_tokens_of_several_modalities_join():
    one = Tokens.of_population(torch.zeros(2, 3, 4), torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert Tokens.joined([one, one]).tokens.shape == (2, 6, 4)


def test_a_bare_tensor_has_the_rate_of_its_modality():
    assert as_inputs({"spike": torch.zeros(1, 50, 2)}, RATES, 1.0)["spike"].rate_hz == pytest.approx(50)


@pytest.mark.parametrize(
    "signals, words",
    [
        ({}, "no modality"),
        ({"spikes": torch.zeros(1, 50, 2)}, "did you mean 'spike'"),
        ({"optical": torch.zeros(1, 50, 2)}, "reads spike, eeg"),
        ({"spike": torch.zeros(50, 2)}, r"\(batch, time, channel\)"),
        ({"spike": torch.zeros(1, 500, 2)}, "10 s of signal for windows of 1 s; is the rate wrong"),
        ({"spike": torch.zeros(1, 50, 2), "eeg": torch.zeros(2, 160, 2)}, "differ in size"),
        ({"spike": torch.full((1, 50, 2), float("nan"))}, "window 0 are NaN or infinite at 0 s"),
    ],
)
def test_bad_signals_are_named(signals, words):
    with pytest.raises(ValueError, match=words):
        as_inputs(signals, RATES, 1.0)


def test_a_window_masked_in_every_modality_is_named():
    hidden = sampled(samples=5).keeping(torch.tensor([[True] * 5, [False] * 5]))
    with pytest.raises(ValueError, match="window 1 is masked in every modality"):
        as_inputs({"spike": hidden}, RATES, 1.0)
    whole = sampled(samples=5)
    assert as_inputs({"spike": hidden, "eeg": whole}, RATES, 1.0).keys() == {"spike", "eeg"}


def test_a_clock_that_goes_backwards_is_named():
    signal = sampled()
    time = signal.time.clone()
    time[1, 4] = 0.05
    with pytest.raises(ValueError, match=r"window 1 goes from 0.3 s to 0.05 s"):
        ModalityInput(time, signal.mask, signal.channel, signal.channel_mask, signal.values).checked("eeg")


def test_events_must_be_of_units_and_times_of_the_window():
    channel = torch.arange(2).expand(1, 2)
    with pytest.raises(ValueError, match="unit 2, but a window has 2 units"):
        ModalityInput.events(torch.tensor([0.1]), torch.tensor([2]), torch.tensor([0, 1]), channel, 1.0)
    with pytest.raises(ValueError, match="since the start of the window"):
        ModalityInput.events(torch.tensor([871.0]), torch.tensor([1]), torch.tensor([0, 1]), channel, 1.0)
    with pytest.raises(ValueError, match="offsets"):
        ModalityInput.events(torch.tensor([0.1]), torch.tensor([1]), torch.tensor([0, 2]), channel, 1.0)


def test_shapes_that_disagree_are_named():
    with pytest.raises(ValueError, match="coords"):
        sampled(coords=torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match="rate_hz=0"):
        ModalityInput.sampled(torch.zeros(1, 2, 1), 0.0)


def test_moving_casts_what_floats_and_nothing_else():
    moved = sampled().to(dtype=torch.float64)
    assert moved.values.dtype == torch.float64 and moved.mask.dtype == torch.bool
    assert moved.channel.dtype == torch.int64


def test_each_window_has_its_own_duration():
    time = torch.tensor([[0.0, 0.1, 0.2], [0.0, 0.5, 0.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    rows = torch.zeros(2, 1, dtype=torch.int64)
    signal = ModalityInput(time, mask, rows, torch.ones(2, 1, dtype=torch.bool), torch.zeros(2, 3, 1))
    assert signal.duration_s == pytest.approx(1.0)
