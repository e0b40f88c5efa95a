"""The model as a decoder of trials, whole and in use."""

import numpy as np
import pytest
import torch

from neurolib.data.trials import Trials
from neurolib.models.decoder import Decoder, stream_trials
from neurolib.models.multimodal.decoder import SpikeDecoderConfig, with_moments
from neurolib.models.multimodal.stream import ModelStream

CFG = SpikeDecoderConfig(n_units=5, n_outputs=2, bin_size_s=0.05, d=16, heads=2, slots=2, history_s=0.2)


def trials(lengths=(30, 21), seed=0):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    return Trials(rng.poisson(0.7, (n, 5)), rng.normal(2, 3, (n, 2)), lengths, 0.05)


def decoder(seed=0, **changes):
    torch.manual_seed(seed)
    made = with_moments(CFG, trials(), **changes).eval()
    with torch.no_grad():  # vectors of units start small; let them speak
        made.model.channels["spike"].weight.normal_()
    return made


def test_predictions_of_a_trial_do_not_depend_on_its_neighbours():
    model, both = decoder(), trials()
    alone = model.predict(both.select([1]))
    assert np.allclose(model.predict(both)[30:], alone, atol=1e-4)
    assert alone.shape == (21, 2)


def test_it_is_causal():
    model, one = decoder().double(), torch.rand(1, 30, 5, dtype=torch.float64).mul(3).round()
    two = one.clone()
    two[:, 12] += 2
    a, b = model(one), model(two)
    assert torch.equal(a[:, :12], b[:, :12]) and not torch.allclose(a[:, 12], b[:, 12])


def test_a_stream_gives_the_numbers_of_the_whole():
    model = decoder()
    counts = torch.from_numpy(trials((40,)).counts).float()
    stream = ModelStream(model.model, {"spike": torch.arange(5)}, context_s=0.05)
    for _ in range(2):  # a reset starts anew
        said = torch.stack([stream.step({"spike": row[None]}) for row in counts])
        stream.reset()
        want = model._standard(counts[None], None)[0]
        assert torch.allclose(said, want, atol=1e-5)


def test_a_decoder_in_use_gives_the_numbers_of_whole_trials():
    model, both = decoder(latents_s=0.0), trials()
    assert np.allclose(stream_trials(model, both), model.predict(both), atol=1e-4)
    assert isinstance(model, Decoder)


def test_the_scale_of_a_units_counts_does_not_matter():
    def said(data):
        torch.manual_seed(0)
        return with_moments(CFG, data).predict(data)

    once = trials()
    twice = Trials(once.counts * np.array([1, 3, 1, 1, 7]), once.behaviour, once.lengths, 0.05)
    assert np.allclose(said(once), said(twice), atol=1e-4)


def test_trials_come_back_in_their_order():
    model, mixed = decoder(), trials((9, 30, 4, 21, 30))
    alone = [model.predict(mixed.select([i])) for i in range(5)]
    assert np.allclose(model.predict(mixed, rows=2), np.concatenate(alone), atol=1e-4)


def test_units_can_be_hidden_in_training():
    model = decoder().train()
    data = trials().padded()
    batch = {
        "counts": torch.from_numpy(data.counts).float(),
        "behaviour": torch.from_numpy(data.behaviour).float(),
        "mask": torch.from_numpy(data.mask),
    }
    model.loss(batch).backward()
    assert model.model.channels["spike"].weight.grad.abs().sum() > 0


def test_what_does_not_fit_is_named():
    model = decoder()
    other = Trials(np.ones((4, 6)), np.zeros((4, 2)), [4], 0.05)
    with pytest.raises(ValueError, match="6 units"):
        model.predict(other)
    with pytest.raises(ValueError, match=r"0\.02"):
        model.predict(Trials(np.ones((4, 5)), np.zeros((4, 2)), [4], 0.02))
    stream = ModelStream(model.model, {"spike": torch.arange(5)})
    with pytest.raises(ValueError, match=r"a step of 0.05 s has \(1, 5\)"):
        stream.step({"spike": torch.zeros(2, 5)})
    with pytest.raises(ValueError, match="NaN"):
        stream.step({"spike": torch.full((1, 5), float("nan"))})
    with pytest.raises(ValueError, match="no modality 'eeg'"):
        stream.step({"eeg": torch.zeros(1, 5)})


def test_a_model_that_looks_ahead_cannot_stream():
    from neurolib.models.multimodal.network import MultimodalConfig

    with pytest.raises(ValueError, match="causal"):
        ModelStream(
            MultimodalConfig.preset("tiny", modalities=("spike",)).build(), {"spike": torch.arange(2)}
        )
