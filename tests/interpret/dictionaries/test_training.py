"""Dictionaries learnt: they equal the truth, beat PCA, and come back; and what vectors they are fed."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import MiniBatchDictionaryLearning

from neurolib.interpret.dictionaries.penalised import GatedConfig, JumpReLUConfig, ReLUConfig
from neurolib.interpret.dictionaries.quality import mean_max_cosine, quality
from neurolib.interpret.dictionaries.sampling import decorrelation_bins, strided
from neurolib.interpret.dictionaries.synthetic import SparseWorld
from neurolib.interpret.dictionaries.topk import BatchTopKConfig, TopKConfig
from neurolib.interpret.dictionaries.training import DictionaryTraining, train_dictionary
from neurolib.interpret.known_answers_dictionaries import known_answers

WORLD = SparseWorld(n_atoms=24, n_channels=16, k=2)
SHORT = DictionaryTraining(steps=300, batch_size=256)
VARIANTS = {
    "relu": ReLUConfig(24, penalty=1.5),
    "gated": GatedConfig(24, penalty=3.0),
    "jump": JumpReLUConfig(24, penalty=2.0),
    "topk": TopKConfig(24, k=2),
    "batch": BatchTopKConfig(24, k=2),
}


@pytest.fixture(scope="module")
def train():
    return WORLD.draw(6_000)


@pytest.fixture(scope="module")
def trained(train):
    return {name: train_dictionary(cfg, train, SHORT) for name, cfg in VARIANTS.items()}


def test_known_answers():
    missed = [answer for answer in known_answers() if not answer.ok]
    assert not missed


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_comes_near_the_truth_with_atoms_of_unit_norm(name, trained):
    model, history = trained[name]
    random = mean_max_cosine(WORLD.atoms, torch.randn(24, 16, generator=torch.Generator().manual_seed(5)))
    assert mean_max_cosine(WORLD.atoms, model.W_dec) > max(0.75, random + 0.15)
    np.testing.assert_allclose(model.W_dec.norm(dim=1), 1, atol=1e-5)
    assert history.loss[-1] < history.loss[0] and not model.W_dec.requires_grad


def test_a_penalty_on_size_shrinks_and_a_gate_does_not(trained):
    unseen = WORLD.draw(1_000, seed=3)
    shrinkage = {name: quality(model, unseen).shrinkage for name, (model, _) in trained.items()}
    assert shrinkage["relu"] > 1.05
    assert abs(shrinkage["gated"] - 1) < 0.05 and abs(shrinkage["topk"] - 1) < 0.05


def test_a_dictionary_is_as_near_the_truth_as_scikit_learns(train, trained):
    """Which infers codes by an inner search, and so is slower and closer in principle."""
    peer = MiniBatchDictionaryLearning(
        24, alpha=0.3, batch_size=256, max_iter=5, positive_code=True, fit_algorithm="cd", random_state=0
    ).fit(train[:3000].double().numpy())
    theirs = mean_max_cosine(WORLD.atoms, torch.from_numpy(peer.components_).float())
    ours = mean_max_cosine(WORLD.atoms, trained["topk"][0].W_dec)
    assert theirs > 0.8  # a peer that fails is no oracle
    assert ours > theirs - 0.03


def test_no_dictionary_begins_as_the_truth():
    """The same generator seeded alike would draw the very atoms; that made a first version of this perfect."""
    for seed in range(3):
        torch.manual_seed(seed)
        model = TopKConfig(24, k=2).build(16)
        assert mean_max_cosine(SparseWorld(24, 16, 2, seed=seed).atoms, model.W_dec) < 0.75


def test_the_seed_decides(train):
    short = DictionaryTraining(steps=20)
    first, again = (train_dictionary(TopKConfig(24, k=2), train, short)[0].W_dec for _ in range(2))
    other = train_dictionary(TopKConfig(24, k=2), train, DictionaryTraining(steps=20, seed=1))[0].W_dec
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_training_leaves_the_callers_random_numbers_and_vectors_alone(train):
    before, state = train.clone(), torch.get_rng_state()
    with torch.no_grad():
        train_dictionary(BatchTopKConfig(24, k=2), train, DictionaryTraining(steps=3))
    assert torch.equal(before, train) and torch.equal(state, torch.get_rng_state())


def test_dead_features_are_pointed_at_what_is_explained_badly(train):
    """Without new draws, features that begin out of reach stay dead."""

    class Late(ReLUConfig):
        def build(self, n_channels):
            model = super().build(n_channels)
            with torch.no_grad():
                model.b_enc[:12] = -100.0
            return model

    def dead(every):
        training = DictionaryTraining(steps=200, batch_size=256, dead_after=2_000, resample_every=every)
        return quality(train_dictionary(Late(24, penalty=0.8), train, training)[0], train[:1000]).dead

    assert dead(0) == 0.5 and dead(30) < 0.1


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (torch.ones(4), "table"),
        (torch.ones(0, 3), "some rows"),
        (torch.ones(9, 3), "the same"),
        (torch.full((9, 3), torch.inf), "infinity"),
    ],
)
def test_vectors_that_teach_nothing_are_refused(vectors, words):
    with pytest.raises(ValueError, match=words):
        train_dictionary(TopKConfig(4, k=1), vectors)


def test_a_loss_that_is_lost_is_reported(train):
    with pytest.raises(FloatingPointError, match="step"):
        train_dictionary(ReLUConfig(8), train, DictionaryTraining(steps=50, lr=1e30))


def test_decorrelation_time_of_a_known_process():
    """An autoregression with coefficient a has autocorrelation a^lag: below 1/e after -1 / ln a."""
    draw, a = np.random.default_rng(0), 0.9
    values, noise = np.zeros((40_000, 2)), draw.normal(size=(40_000, 2))
    for t in range(1, len(values)):
        values[t] = a * values[t - 1] + noise[t]
    assert abs(decorrelation_bins(values, [40_000]) - np.ceil(-1 / np.log(a))) <= 1
    assert decorrelation_bins(noise, [20_000, 20_000]) == 1


def test_strides_stay_within_trials():
    lengths = np.array([10, 3, 7])
    rows = strided(lengths, 4, seed=1)
    trial = np.repeat(np.arange(3), lengths)[rows]
    assert set(trial) == {0, 1, 2}
    assert (np.diff(rows)[np.diff(trial) == 0] == 4).all()
    with pytest.raises(ValueError, match="stride=0"):
        strided(lengths, 0)
