import pytest
import torch
from torch import nn

from neurolib.interpret.attribution.baselines import (
    matched_trial,
    other_rows,
    phase_scrambled,
    session_mean,
)
from neurolib.interpret.attribution.integrated_gradients import (
    PathConfig,
    integrated_gradients,
    layer_integrated_gradients,
)
from neurolib.interpret.attribution.maps import Attribution, rank_correlation, spread
from neurolib.interpret.attribution.tree import leaves, rebuilt, rows
from neurolib.interpret.known_answers_attribution import known_answers
from neurolib.models.multimodal.identity import GrowingEmbedding
from neurolib.models.multimodal.inputs import ModalityInput, pack, unpack
from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.perceiver import Perceiver, PerceiverConfig
from neurolib.models.multimodal.tokenizers.spikes import SpikeEventTokenizerConfig


@pytest.fixture(scope="module")
def answers():
    return known_answers()


def test_known_answers_are_found(answers):
    assert [one.name for one in answers if not one.ok] == []
    assert len(answers) > 20


def small_net(inputs=6, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 1)
    ).double()


def test_agrees_with_captum_in_integral_and_grad_cam():
    captum = pytest.importorskip("captum.attr")
    from neurolib.interpret.attribution.grad_cam import grad_cam

    net = small_net()
    x, low = torch.randn(2, 5, 6, dtype=torch.float64)
    theirs = captum.IntegratedGradients(lambda z: net(z)[:, 0]).attribute(
        x, low, n_steps=32, method="gausslegendre"
    )
    ours = integrated_gradients(lambda z: net(z)[:, 0], x, low, PathConfig(32, 32))
    torch.testing.assert_close(ours.values["input"], theirs, atol=1e-8, rtol=0)  # its nodes are float32
    conv = nn.Sequential(nn.Conv1d(6, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 8, 1)).double()
    wave = torch.randn(3, 6, 10, dtype=torch.float64)
    theirs = captum.LayerGradCam(lambda z: conv(z)[:, 0], conv[1]).attribute(wave)
    ours = grad_cam(conv, wave, "1", lambda z: conv(z)[:, 0], signed=True, feature=1)
    torch.testing.assert_close(ours.values["1"], theirs[:, 0].detach(), atol=1e-12, rtol=0)


def test_rows_are_doubled_one_by_one_until_they_are_complete_and_chunks_change_nothing():
    def score(x):  # the second row crosses a cliff
        return torch.sigmoid(x[:, 1] * (x[:, 0] - 0.3) * 100)

    x = torch.tensor([[1.0, 0.01], [1.0, 1.0]], dtype=torch.float64)
    low = x * torch.tensor([0.0, 1.0])
    made = integrated_gradients(score, x, low)
    assert made.steps[0] == 32 and made.steps[1] > 32 and made.complete.all()
    one_by_one = integrated_gradients(score, x, low, PathConfig(rows=7))
    torch.testing.assert_close(one_by_one.flat, made.flat)
    short = integrated_gradients(score, x, low, PathConfig(4, 4))
    assert short.complete.tolist() == [True, False]
    assert short.error[1] > 1e-3 * short.difference[1].abs()


def test_dropout_other_shapes_and_unknown_tensors_are_refused():
    net = nn.Sequential(nn.Linear(3, 50), nn.Dropout(0.5), nn.Linear(50, 1))
    x = torch.randn(4, 3)
    with pytest.raises(ValueError, match="training mode"):
        integrated_gradients(lambda z: net(z)[:, 0], x)
    net.eval()
    with pytest.raises(ValueError, match="one number per row"):
        integrated_gradients(net, x)
    with pytest.raises(ValueError, match="they must agree"):
        integrated_gradients(lambda z: net(z)[:, 0], x, torch.zeros(4, 2))
    with pytest.raises(ValueError, match="no floating tensor at 'ids'"):
        integrated_gradients(lambda z: z["x"].sum(1), {"x": x, "ids": torch.arange(4)}, names=["ids"])
    with pytest.raises(ValueError, match="nothing to attribute to"):
        integrated_gradients(lambda z: z.float(), torch.arange(4))


def test_parameters_get_no_gradient_and_modes_stay():
    net = small_net()
    integrated_gradients(lambda z: net(z)[:, 0], torch.randn(3, 6).double())
    layer_integrated_gradients(net.train(), torch.randn(3, 6).double(), "1", lambda z: net(z)[:, 0])
    assert all(p.grad is None for p in net.parameters()) and net.training


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return MultimodalConfig.preset("tiny", modalities=("spike", "emg")).build().eval()


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    return {
        "spike": ModalityInput.sampled(torch.rand(3, 50, 5).mul(3).round(), 50.0),
        "emg": ModalityInput.sampled(torch.randn(3, 1000, 2), 1000.0),
    }


def decoded(model):
    model.inputs(
        {"spike": torch.zeros(1, 50, 5), "emg": torch.zeros(1, 1000, 2)}
    )  # makes vectors of channels

    def score(given):
        return model(given, task="decode")["decoder"][:, 0, 0]

    return score


def test_two_modalities_are_integrated_jointly_and_the_flat_batch_gives_the_same(model, inputs):
    score, cfg = decoded(model), PathConfig(8, 128, rows=128)
    low = phase_scrambled(inputs) | {"spike": session_mean(inputs, inputs)["spike"]}
    made = integrated_gradients(score, inputs, low, cfg)
    assert set(made.values) == {"spike/values", "emg/values"}
    assert made.axes["emg/values"] == ("batch", "time", "channel")
    assert made.complete.all()
    with torch.no_grad():
        assert torch.allclose(made.difference, (score(inputs) - score(low)).double(), atol=1e-6)
    flat = integrated_gradients(lambda batch: score(unpack(batch)), pack(inputs), pack(low), cfg)
    for name, value in made.values.items():
        torch.testing.assert_close(flat.values[name], value)
    assert torch.allclose(sum(made.shares().values()), torch.ones(3).double())


class EventReader(nn.Module):
    """Spikes as events, read by latents."""

    def __init__(self):
        super().__init__()
        self.tokenizer = SpikeEventTokenizerConfig(boundaries=False).build(
            16, GrowingEmbedding(16, ["a", "b"])
        )
        self.tokens = nn.Identity()
        self.perceiver = Perceiver(PerceiverConfig(steps=2, slots=1, layers=1, heads=2), 16, 2.0)
        self.head = nn.Linear(16, 1)

    def forward(self, inputs):
        made = self.tokenizer(inputs["spike"])
        tokens = self.tokens(made.tokens)
        return self.head(self.perceiver.encode(tokens, made.time, made.mask, 1.0)).sum((1, 2, 3))


def test_events_are_attributed_where_they_have_become_tokens():
    torch.manual_seed(0)
    spikes = ModalityInput.events(
        torch.tensor([0.1, 0.4, 0.2]),
        torch.tensor([0, 1, 0]),
        torch.tensor([0, 2, 3]),
        torch.arange(2).expand(2, 2),
        window_s=1.0,
    )
    model, given = EventReader().eval(), {"spike": spikes}
    with pytest.raises(ValueError, match="nothing to attribute to"):
        integrated_gradients(model, given)
    made = layer_integrated_gradients(model, given, "tokens", model)
    assert made.complete.all() and len(made) == 2
    per_event = made.summed("tokens", ["axis1"], size=True)
    assert (per_event[0] > 0).all() and per_event[1, 1] == 0  # the second window has one spike, and padding


def test_a_site_with_several_parts_per_row_keeps_them_apart():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 3)

        def forward(self, x):  # (B, 4, 2) as 4 B rows
            return self.inner(x.flatten(0, 1)).square().unflatten(0, (-1, 4)).sum((1, 2))

    net, x = Parts().double(), torch.randn(5, 4, 2, dtype=torch.float64)
    made = layer_integrated_gradients(net, x, "inner", net)
    assert made.axes["inner"][:2] == ("batch", "part")
    torch.testing.assert_close(made.values["inner"], net.inner(x).square().detach())
    from_input = layer_integrated_gradients(net, x, "inner", net, baseline_inputs=x + 1)
    assert torch.allclose(from_input.difference, (net(x) - net(x + 1)).detach())
    with pytest.raises(ValueError, match="does not fit site"):
        layer_integrated_gradients(net, x, "inner", net, baseline=torch.zeros(7))


def test_baselines_change_signals_alone_and_respect_masks():
    torch.manual_seed(0)
    mask = torch.arange(20) < torch.tensor([[20], [13], [8]])
    signal = ModalityInput.sampled(torch.randn(3, 20, 2) + 5, 10.0, mask=mask)
    inputs = {"eeg": signal, "behaviour/time": torch.rand(3, 2)}
    scrambled = phase_scrambled(inputs, seed=1)["eeg"]
    assert torch.equal(scrambled.values[1, 13:], signal.values[1, 13:])
    torch.testing.assert_close(scrambled.values[1, :13].mean(0), signal.values[1, :13].mean(0))
    together = [torch.corrcoef(s.values[0].T) for s in (signal, scrambled)]
    torch.testing.assert_close(*together)
    mean = session_mean(inputs, inputs)["eeg"].values
    torch.testing.assert_close(mean[0, 0], signal.values[mask].mean(0))
    assert phase_scrambled(inputs, least=5.0)["eeg"].values.min() >= 5
    swapped = matched_trial(inputs, inputs, torch.tensor([1, 2, 0]))
    assert torch.equal(swapped["eeg"].values[0, :13], signal.values[1, :13])
    assert (swapped["eeg"].values[0, 13:] == 0).all()
    assert torch.equal(swapped["behaviour/time"], inputs["behaviour/time"])
    assert torch.equal(swapped["eeg"].mask, mask)


@pytest.mark.parametrize("n", [2, 5, 30])
def test_other_rows_are_never_the_same_and_stay_within_their_label(n):
    labels = torch.arange(n) % 2 if n > 4 else None
    chosen = other_rows(n, seed=n, labels=labels)
    assert (chosen != torch.arange(n)).all() and len(set(chosen.tolist())) == n
    assert labels is None or torch.equal(labels[chosen], labels)
    with pytest.raises(ValueError, match="one row"):
        other_rows(3, labels=torch.tensor([0, 0, 1]))


def test_nested_inputs_come_back_as_they_were(inputs):
    nested = {"a": (torch.zeros(3, 2), [torch.ones(3), None]), "b": inputs["emg"], 5: "text"}
    back = rebuilt(nested, {"a/1/0": torch.full((3,), 2.0)})
    assert back["a"][1][0].tolist() == [2.0] * 3 and back[5] == "text" and back["a"][1][1] is None
    assert torch.equal(back["b"].time, inputs["emg"].time)
    picked = leaves(rows(nested, torch.tensor([2, 2, 0, 1]), 3))
    assert {len(tensor) for tensor in picked.values()} == {4}


def test_agreement_of_maps_by_ranks():
    a, b = torch.randn(2, 4, 30)
    from scipy.stats import spearmanr

    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert rank_correlation(a, b) == pytest.approx(expected)
    c, d = (x.round() for x in (a, b))  # ties
    expected_of_ties = [spearmanr(x, y).statistic for x, y in zip(c, d, strict=True)]
    assert rank_correlation(c, d) == pytest.approx(expected_of_ties)
    maps = {name: Attribution({"x": x}, {"x": ("batch", "channel")}) for name, x in (("a", a), ("b", b))}
    made = spread(maps)
    assert made.correlation[0, 1] == pytest.approx(sum(expected) / 4)
    torch.testing.assert_close(made.sd["x"], ((a - b).abs() / 2**0.5).double())
    with pytest.raises(ValueError, match="two baselines"):
        spread({"a": maps["a"]})
    with pytest.raises(ValueError, match="has shape"):
        Attribution({"x": a}, {"x": ("batch",)})
    with pytest.raises(ValueError, match="promises no sum"):
        _ = maps["a"].error
