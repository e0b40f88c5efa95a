"""Layers of models and responses of brains, row by row."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from neurolib.alignment.captures import (
    Capture,
    CaptureConfig,
    NeuralData,
    capture,
    shared_stimuli,
    weights_hash,
)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(100, 5)
    )


def test_layers_are_what_passed_in_one_pass_per_batch_and_in_place_changes_do_not_reach_them(net):
    calls, images = [], torch.randn(10, 3, 5, 5)
    net.register_forward_hook(lambda *_: calls.append(1))
    found = capture(net, images, cfg=CaptureConfig(batch_size=4))
    assert len(calls) == 3 and list(found.layers) == ["0", "1", "2", "3"]
    conv = net[0](images).detach().flatten(1).numpy()
    assert_allclose(found.layers["0"], conv, atol=1e-6)
    assert_allclose(found.layers["1"], np.maximum(conv, 0), atol=1e-6)
    assert found.provenance["weights"] == weights_hash(net)
    with torch.no_grad():
        net[3].bias += 1
    assert found.provenance["weights"] != weights_hash(net)


def test_maps_are_pooled_as_asked(net):
    images = torch.randn(6, 3, 5, 5)
    mean = capture(net, images, layers=["0"], cfg=CaptureConfig("mean"))
    assert_allclose(mean.layers["0"], net[0](images).detach().mean((2, 3)).numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="gives maps"):
        capture(net, images, layers=["0"], cfg=CaptureConfig("none"))


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 6)

    def forward(self, batch):
        return self.embed(batch["ids"])


@pytest.mark.parametrize("token", ["mean", "last", "first"])
def test_tokens_become_rows_and_those_that_are_not_there_do_not_count(token):
    model, ids = Reader(), torch.randint(20, (5, 7))
    lengths = torch.tensor([7, 3, 1, 5, 2])
    mask = torch.arange(7) < lengths[:, None]
    found = capture(model, {"ids": ids}, layers=["embed"], cfg=CaptureConfig(token=token), mask=mask)
    for row, n in enumerate(lengths):
        part = model.embed(ids[row, :n]).detach().numpy()
        wanted = {"mean": part.mean(0), "last": part[-1], "first": part[0]}[token]
        assert_allclose(found.layers["embed"][row], wanted, atol=1e-6)


def test_tokens_as_rows_of_their_own_stay_together():
    found = capture(
        Reader(), {"ids": torch.randint(20, (3, 4))}, ["a", "b", "c"], cfg=CaptureConfig(token="all")
    )
    assert found.groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and found.stimuli[5] == "b.1"
    assert found.layers["embed"].shape == (12, 6)
    with pytest.raises(ValueError, match="one length"):
        capture(
            Reader(), {"ids": torch.zeros(1, 2).long()}, cfg=CaptureConfig(token="all"), mask=[[True, False]]
        )


def test_wide_layers_are_projected_and_keep_distances():
    wide, x = nn.Linear(5, 4000), torch.randn(12, 5)
    full = wide(x).detach()
    narrow = capture(nn.Sequential(wide), x, cfg=CaptureConfig(max_features=800)).layers["0"]
    assert narrow.shape == (12, 800)
    distance = torch.pdist(full).numpy()
    assert_allclose(torch.pdist(torch.from_numpy(narrow)).numpy(), distance, rtol=0.2)


def test_bad_stimuli_and_layers_are_named(net):
    images = torch.randn(4, 3, 5, 5)
    with pytest.raises(ValueError, match="3 different names for 4"):
        capture(net, images, ["a", "b", "c", "a"])
    broken = images.clone()
    broken[2, 0, 0, 0] = torch.nan
    with pytest.raises(
        ValueError, match=r"Sequential: layer 0 holds NaN or infinity for 1 of 4 stimuli, first for 2"
    ):
        capture(net, broken)
    with pytest.raises(ValueError, match="token='second'"):
        CaptureConfig(token="second")
    with pytest.raises(ValueError, match="same number"):
        capture(Reader(), {"ids": torch.zeros(3, 2).long(), "mask": torch.zeros(2)})


def test_rows_are_found_by_name():
    one = Capture("net", {"fc": np.arange(8.0).reshape(4, 2)}, ("a", "b", "c", "d"), np.arange(4))
    brain = NeuralData("monkey", np.arange(15.0).reshape(5, 3), ("d", "x", "c", "b", "a"))
    assert shared_stimuli(one, brain) == ("a", "b", "c", "d")
    assert brain.select(("c", "a")).responses[:, 0].tolist() == [6, 12]
    assert one.select(("d", "a")).layers["fc"].tolist() == [[6, 7], [0, 1]]
    with pytest.raises(ValueError, match="monkey lacks 1 of 2 stimuli, first z"):
        brain.select(("a", "z"))
    with pytest.raises(ValueError, match=r"1 stimuli are shared.*net has 4, b has 1"):
        shared_stimuli(one, NeuralData("b", np.zeros((1, 2)), ("a",)))
    assert Capture("net", {"fc": np.ones((4, 2))}, tuple("abcd"), np.arange(4)).constant() == ("fc",)


@pytest.mark.parametrize(
    ("responses", "names", "message"),
    [
        (np.zeros((3, 2)), "ab", "responses to 3 stimuli, names of 2"),
        (np.zeros((3, 2)), "aba", "stimulus a comes twice"),
        (np.array([[0.0, np.nan]] * 3), "abc", "first in unit 1"),
        (np.zeros(3), "abc", r"responses \(3,\)"),
    ],
)
def test_bad_responses_are_named(responses, names, message):
    with pytest.raises(ValueError, match=message):
        NeuralData("monkey", responses, tuple(names))


def test_repeats_are_averaged():
    data = NeuralData("m", np.stack([np.zeros((4, 2)), np.ones((4, 2))]), tuple("abcd"))
    assert data.n_repeats == 2 and data.mean.tolist() == [[0.5, 0.5]] * 4
    assert data.select(tuple("ba")).responses.shape == (2, 2, 2)
