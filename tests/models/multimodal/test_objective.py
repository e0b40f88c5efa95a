"""What is learned from a batch, and that it is learned."""

import pytest
import torch

from neurolib.models.multimodal.inputs import ModalityInput, pack
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.objective import ObjectiveConfig, binned
from neurolib.models.multimodal.tokenizers import EMGTokenizerConfig
from neurolib.training.loop import TrainConfig, fit

ALL = ("decode", "encode", "contrastive", "forecast", "domain")


def batch(rows=8, seed=0):
    """Two modalities that follow one sine, whose velocity is the behaviour."""
    generator = torch.Generator().manual_seed(seed)
    phase = 6.28 * torch.rand(rows, 1, generator=generator)

    def wave(rate):
        return torch.sin(6.28 * torch.arange(rate) / rate + phase)[..., None]

    gain = torch.linspace(-1, 1, 8)
    spikes = torch.poisson(torch.exp(wave(50) * gain), generator=generator)
    emg = wave(200) * gain[:4] + 0.1 * torch.randn(rows, 200, 4, generator=generator)
    signals = {"spike": ModalityInput.sampled(spikes, 50.0), "emg": ModalityInput.sampled(emg, 200.0)}
    time = (torch.arange(10) + 0.5) / 10
    return pack(signals) | {
        "behaviour/values": torch.cat([torch.sin(6.28 * time + phase)[..., None]] * 2, -1),
        "behaviour/time": time.expand(rows, 10).clone(),
        "session": torch.zeros(rows, dtype=torch.int64),
        "start_s": torch.arange(rows, dtype=torch.float64),
        "stimulus": torch.arange(rows) % 3,
        "species": torch.arange(rows) % 2,
    }


def objective(tasks=ALL, **changes):
    torch.manual_seed(0)
    slow = {"emg": EMGTokenizerConfig(rate_hz=200.0)}
    model = MultimodalConfig.preset("tiny", modalities=("spike", "emg"), tokenizers=slow, domains=2).build()
    model.add_channels("spike", [f"s{i}" for i in range(8)])
    model.add_channels("emg", [f"e{i}" for i in range(4)])
    return ObjectiveConfig(tasks, n_stimuli=3, **changes).build(model)


def test_every_task_has_a_loss_and_reaches_the_weights():
    whole = objective()
    whole.steps += 500  # the adversary grows from nothing
    losses = whole.losses(batch())
    assert losses.keys() == {
        "decode", "encode_spike", "encode_emg", "contrastive", "forecast_spike", "forecast_emg", "domain",
    }  # fmt: skip
    for name, loss in losses.items():
        whole.zero_grad()
        loss.backward(retain_graph=True)
        assert whole.model.perceiver.slot.grad.abs().sum() > 0, name


def test_evaluation_hides_the_same_at_every_call_and_training_does_not():
    whole = objective(("encode",))
    whole.eval()
    assert whole.loss(batch()) == whole.loss(batch())
    whole.train()
    assert whole.loss(batch()) != whole.loss(batch())


def test_a_batch_without_behaviour_serves_the_other_tasks():
    some = {k: v for k, v in batch().items() if not k.startswith("behaviour")}
    assert "decode" not in objective(("decode", "encode")).losses(some)
    with pytest.raises(ValueError, match="serves none of the tasks"):
        objective(("decode",)).loss(some)


def test_forecasts_do_not_see_what_they_forecast():
    whole = objective(("forecast",)).eval()
    one = batch()
    late = {k: v.clone() for k, v in one.items()}
    states = []
    for version in (one, late):
        late["spike/values"][:, 42:] += 5  # after 0.84 s; no forecast starts later than 0.8 s
        late["emg/values"][:, 190:] += 5
        seen = []
        ahead = whole.model.ahead
        whole.model.ahead = lambda *a, seen=seen, ahead=ahead: seen.append(ahead(*a)) or seen[-1]
        whole.losses(version)
        whole.model.ahead = ahead
        states.append(seen[0])
    assert torch.equal(*states)


def test_training_halves_the_loss():
    whole, data = objective(("decode",)), batch(64)
    history = fit(
        whole, data, batch(32, seed=1), TrainConfig(steps=40, batch_size=16, lr=3e-3, eval_every=20)
    )
    assert history.valid[-1] < 0.25  # variance of a sine is a half


def test_bins_are_known_where_all_their_samples_are():
    signal = ModalityInput.sampled(torch.ones(1, 6, 1), 6.0, mask=torch.tensor([[True] * 5 + [False]]))
    values, known = binned(signal, 2, total=True)
    assert values.flatten().tolist() == [2, 2, 1] and known.flatten().tolist() == [True, True, False]


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="'decoding'"):
        ObjectiveConfig(("decoding",))
