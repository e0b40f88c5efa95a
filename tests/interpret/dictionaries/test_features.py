"""Windows, tuning and edits of features, and the source's calls."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.interpret.activations import patch
from neurolib.interpret.dictionaries.adapter import SparseAutoencoder
from neurolib.interpret.dictionaries.features import feature_tuning, steered, top_windows, without
from neurolib.interpret.dictionaries.topk import BatchTopKConfig
from neurolib.interpret.dictionaries.training import DictionaryTraining, train_dictionary
from neurolib.metrics.selectivity import SelectivityConfig


@pytest.fixture(scope="module")
def dictionary():
    x = torch.randn(500, 5, generator=torch.Generator().manual_seed(0)) * 4 + 2
    return train_dictionary(BatchTopKConfig(15, k=3), x, DictionaryTraining(steps=60))[0], x


def test_windows_are_the_largest_of_different_trials():
    draw = np.random.default_rng(0)
    lengths = draw.integers(5, 30, 20)
    activity = draw.exponential(size=lengths.sum()) * (draw.random(lengths.sum()) < 0.3)
    found = top_windows(activity, lengths, n=6, reach=4)
    peaks = [trial.max() for trial in np.split(activity, np.cumsum(lengths)[:-1])]
    assert [w.peak for w in found] == sorted(peaks, reverse=True)[:6]
    assert len({w.trial for w in found}) == 6
    for w in found:
        assert w.activity[w.bin - w.start] == w.peak
        assert w.start >= 0 and w.start + len(w.activity) <= lengths[w.trial]


def test_a_silent_feature_has_no_window():
    assert top_windows(np.zeros(10), [4, 6]) == []
    with pytest.raises(ValueError, match="do not agree"):
        top_windows(np.zeros(10), [4, 5])


def test_a_feature_made_of_direction_is_found_and_noise_is_not():
    draw = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 20)
    angle = np.repeat(draw.uniform(0, 2 * np.pi, 60), 20) + 0.05 * np.arange(1200) % 20
    speed = draw.exponential(size=1200)
    features = np.column_stack(
        [np.maximum(np.cos(angle - 1), 0), draw.exponential(size=1200), np.zeros(1200)]
    )
    found = feature_tuning(
        features,
        {"direction": angle, "speed": speed},
        groups,
        circular=("direction",),
        n_information=2,
        config=SelectivityConfig(n_permutations=50),
    )
    eta, p = found["direction"].selectivity.eta_squared, found["direction"].p_adjusted
    assert eta[0] > 0.8 and eta[1] < 0.05 and p[0] < 0.07 < p[1] and p[2] == 1
    assert found["direction"].selectivity.preferred[0] == int(1 / (2 * np.pi) * 8)
    assert found["direction"].bits[0] > 0.5 and np.isnan(found["direction"].bits[2])
    assert (found["speed"].p_adjusted > 0.05).all()


def test_an_edit_changes_its_feature_and_what_is_not_explained_stays(dictionary):
    model, x = dictionary
    feature = int((model.encode(x) > 0).float().mean(0).argmax())
    now = model.encode(x)[:, feature]
    change = without(model, feature)(x) - x
    np.testing.assert_allclose(change, -now[:, None] * model.W_dec[feature] / model.scale, atol=1e-5)
    assert (change.abs().sum(1) > 0).tolist() == (now > 0).tolist()
    up = steered(model, feature, 3.0)(x) - steered(model, feature, 1.0)(x)
    np.testing.assert_allclose(up, (2 * model.W_dec[feature] / model.scale).expand_as(x), atol=1e-5)


def test_the_control_moves_values_as_far_but_elsewhere(dictionary):
    model, x = dictionary
    feature = int((model.encode(x) > 0).float().mean(0).argmax())
    along = torch.tensor([0.0, 3.0, 0.0, 0.0, 0.0])
    ours, other = without(model, feature)(x) - x, without(model, feature, along)(x) - x
    np.testing.assert_allclose(ours.norm(dim=1), other.norm(dim=1), atol=1e-4)
    assert not other[:, [0, 2, 3, 4]].any()


def test_edits_work_through_patch(dictionary):
    model, x = dictionary
    net = nn.Sequential(nn.Identity(), nn.Linear(5, 2)).requires_grad_(False)
    with patch(net, {"0": without(model, 3)}):
        found = net(x)
    np.testing.assert_allclose(found, net[1](without(model, 3)(x)), atol=1e-5)


@pytest.mark.parametrize("features", [15, -1, [], [2, 15]])
def test_features_that_are_not_there_are_refused(dictionary, features):
    with pytest.raises(ValueError, match="dictionary of 15"):
        without(dictionary[0], features)


def test_the_sources_calls_train_on_one_part_and_explain():
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(6, 8))
    which = draw.integers(0, 6, (40, 25))
    activations = directions[which] * draw.uniform(0.5, 1.5, (40, 25, 1))
    sae = SparseAutoencoder(8, 12, sparsity_coefficient=0.5, training=DictionaryTraining(steps=300))
    sae.train_on_activations(activations)
    assert sae.quality.explained > 0.6
    with torch.no_grad():
        mean = sae.dictionary.encode(torch.as_tensor(activations).float()).mean((0, 1))
    report = sae.interpret_feature(int(mean.argmax()), activations, labels=which, n=3)
    assert report.eta_squared > 0.3 and len(report.windows) == 3 and 0 < report.density < 1
    assert report.windows[0].peak >= report.windows[1].peak


def test_the_sources_calls_refuse_what_cannot_be():
    sae = SparseAutoencoder(8, 12)
    with pytest.raises(ValueError, match="train_on_activations first"):
        sae.interpret_feature(0, np.zeros((2, 3, 8)))
    with pytest.raises(ValueError, match="8"):
        sae.train_on_activations(np.zeros((5, 7)))
    with pytest.raises(ValueError, match="split in two"):
        sae.train_on_activations(np.zeros((1, 7, 8)))
