"""Scores of dictionaries: closed forms, other libraries, and dictionaries made by hand."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import orthogonal_mp
from torch import nn

from neurolib.interpret.dictionaries.penalised import ReLUConfig
from neurolib.interpret.dictionaries.quality import (
    density_histogram,
    explained_by,
    loss_recovered,
    mean_max_cosine,
    nearest_cosines,
    pca_explained,
    pursuit,
    quality,
    sweep_k,
)
from neurolib.interpret.dictionaries.stability import stability
from neurolib.interpret.dictionaries.synthetic import SparseWorld
from neurolib.interpret.dictionaries.topk import TopKConfig
from neurolib.interpret.dictionaries.training import DictionaryTraining
from neurolib.metrics.decoding import r2_per_output, r2_variance_weighted


def by_hand(gain: float = 1.0):
    """Reads each of three channels by a pair of features, one for each sign; a fourth channel not at all."""
    model = ReLUConfig(7).build(4).requires_grad_(False)
    eye = torch.eye(4)[:3]
    model.W_dec.copy_(torch.cat([eye, -eye, torch.eye(4)[3:]]))
    model.W_enc.copy_(gain * torch.cat([eye, -eye, torch.zeros(1, 4)]).T)
    return model


def vectors(n: int = 400) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(0))


def test_a_dictionary_made_by_hand_has_the_scores_that_it_must():
    x = vectors()
    found = quality(by_hand(), x)
    rebuilt = x * torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert found.l0 == 3 and found.dead == pytest.approx(1 / 7)
    assert found.explained == pytest.approx(r2_variance_weighted(x, rebuilt), abs=1e-5)
    np.testing.assert_allclose(found.explained_per_channel, r2_per_output(x, rebuilt), atol=1e-5)
    np.testing.assert_allclose(found.density[:3] + found.density[3:6], 1)
    np.testing.assert_allclose(found.nearest, 0, atol=1e-6)


@pytest.mark.parametrize("gain", [0.5, 0.8])
def test_features_that_are_too_small_are_seen_as_shrinkage(gain):
    x = vectors(20_000)
    assert quality(by_hand(gain), x).shrinkage == pytest.approx(1 / gain, rel=0.02)


def test_duplicates_are_found_and_density_is_counted():
    atoms = torch.randn(6, 9)
    atoms[4] = 3 * atoms[1]
    found = nearest_cosines(atoms)
    assert found[1] == pytest.approx(1) and found[4] == pytest.approx(1) and found[0] < 0.95
    counts, edges = density_histogram(np.r_[0.0, np.full(5, 1e-3), 1.0], 1000, n_bins=3)
    assert counts.tolist() == [5, 0, 1] and edges[0] == -3


def test_pursuit_is_scikit_learns_where_weights_are_positive():
    world = SparseWorld(n_atoms=40, n_channels=30, k=3)
    x, atoms = world.draw(50).double(), world.atoms.double()
    codes = orthogonal_mp(atoms.T.numpy(), x.T.numpy(), n_nonzero_coefs=3).T
    same = (codes >= 0).all(1)
    assert same.sum() > 30
    ours = pursuit(x, atoms, 3)
    np.testing.assert_allclose(ours[same], (codes @ atoms.numpy())[same], atol=1e-4)


def test_pca_is_scikit_learns():
    x = vectors() @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5])) + 5
    train, test = x[:300].double(), x[300:].double()
    peer = PCA(2).fit(train)
    rebuilt = torch.from_numpy(peer.inverse_transform(peer.transform(test)))
    assert pca_explained(train, test, [2])[2] == pytest.approx(explained_by(test, rebuilt), abs=1e-9)


def reader(weight):
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 1, bias=False)).requires_grad_(False)
    model[1].weight.copy_(torch.tensor([weight]))
    return model


def test_what_a_task_recovers_is_in_its_own_unit():
    """Reads channels 0 and 3 alike; the dictionary lacks channel 3, so that half of the variance is lost."""
    x, model = vectors(20_000), reader([1.0, 0.0, 0.0, 1.0])
    wanted = model(x)
    found = loss_recovered(model, x, "0", by_hand(), lambda out: r2_variance_weighted(wanted, out))
    assert found.original == 1 and found.ablated == pytest.approx(0, abs=0.01)
    assert found.rebuilt == pytest.approx(0.5, abs=0.02)
    assert found.recovered == pytest.approx(found.rebuilt, abs=0.02)
    loss = loss_recovered(model, x, "0", by_hand(), lambda out: (wanted - out).square().flatten())
    assert loss.recovered == pytest.approx(
        found.recovered, abs=0.01
    )  # a loss or a score, the share is the same


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_site_that_the_task_does_not_need_gives_no_share(noise):
    x, model = vectors(), reader([0.0, 0.0, 0.0, 0.0])
    other = noise * torch.randn(len(x), generator=torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match="does the task need"):
        loss_recovered(model, x, "0", by_hand(), lambda out: (out[:, 0] - other).square())


def test_loss_recovered_leaves_the_model_as_it_was():
    x, model = vectors(), reader([1.0, 0.0, 0.0, 1.0])
    before = model(x)
    loss_recovered(model, x, "0", by_hand(), lambda out: out.square().mean())
    assert torch.equal(model(x), before)


def test_seeds_that_share_half_of_their_atoms_are_half_stable():
    draw = torch.Generator().manual_seed(0)
    atoms = torch.eye(40)
    first, second = atoms[:20], torch.cat([atoms[10:20], atoms[20:30]])[torch.randperm(20, generator=draw)]
    found = stability([first, second])
    assert found.per_feature.tolist() == [0.0] * 10 + [1.0] * 10
    assert found.mean == 0.5 and found.shared == 0.5


def test_random_dictionaries_lie_in_the_null_and_scarce_partners_count_as_none():
    draw = torch.Generator().manual_seed(0)
    stretched = torch.randn(2, 60, 8, generator=draw) * torch.tensor([5.0, 3.0] + [0.3] * 6)
    found = stability(list(stretched), n_null=40)
    assert found.null.min() - 0.02 < found.mean < found.null.max() + 0.02
    assert 0.01 < (found.per_feature > found.level).mean() < 0.2
    flat = stability(list(torch.randn(2, 60, 8, generator=draw)))
    assert found.null.mean() > flat.null.mean() + 0.1  # fewer dimensions, nearer by chance
    assert stability([torch.eye(6), torch.eye(6)[:3]]).per_feature.sum() == 3
    with pytest.raises(ValueError, match="two seeds"):
        stability([torch.eye(2)])


def test_the_right_number_of_active_features_is_where_the_truth_is_found():
    """Explained variance rises with k for ever; the truth is met best near its own k."""
    world = SparseWorld(n_atoms=24, n_channels=16, k=3)
    rows = sweep_k(
        TopKConfig(24),
        world.draw(5_000),
        world.draw(500, seed=2),
        (1, 3, 10),
        DictionaryTraining(steps=300, batch_size=256),
        world.atoms,
    )
    low, right, high = rows
    assert low.explained < right.explained < high.explained
    assert right.mmcs > low.mmcs + 0.03 and right.mmcs > high.mmcs + 0.03
    assert all(row.explained > row.pca for row in (low, right))


def test_mean_max_cosine_rises_with_size_alone():
    truth = torch.randn(10, 8)
    assert mean_max_cosine(truth, torch.randn(2000, 8)) > mean_max_cosine(truth, torch.randn(20, 8)) + 0.15
