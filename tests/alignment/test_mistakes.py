"""Fourteen ways to find alignment that is not there, one test each: the recipe is wrong where ours is right.

Numbered as on the page :doc:`alignment/06_pitfalls`; each is simulated, so that the truth is known.
"""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.stats import spearmanr
from torch.nn.functional import cross_entropy

from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.fisher import FisherConfig, diagonal_fisher
from neurolib.alignment.predictivity import PredictivityConfig
from neurolib.alignment.ranking import brain_rank
from neurolib.alignment.resampled_score import ResampledScore
from neurolib.alignment.response_panel import PanelConfig
from neurolib.metrics.attention_patterns import repeat_scores
from neurolib.metrics.dimensionality import effective_rank, participation_ratio
from neurolib.metrics.encoding import held_out_ridge
from neurolib.metrics.encoding_scores import r2_against_train_mean
from neurolib.metrics.fibre_test import FibreTestConfig, fibre_test
from neurolib.metrics.graph_curvature import ollivier_ricci
from neurolib.metrics.kernel_alignment import cka, cka_matrix
from neurolib.metrics.rdm_comparison import compare_rdms
from neurolib.metrics.rdm_inference import permutation_null
from neurolib.metrics.sparsity import sparsity
from neurolib.metrics.superposition import superposition


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_01_scoring_what_was_fitted(rng):
    x, y = rng.normal(size=(120, 60)), rng.normal(size=(120, 5))  # nothing to predict
    fitted = x @ np.linalg.solve(x.T @ x + np.eye(60), x.T @ y)
    held, _ = held_out_ridge(x, y, np.arange(120) % 5)
    in_sample, ours = (r2_against_train_mean(y, one, y.mean(0)).mean() for one in (fitted, held))
    assert in_sample > 0.3 and abs(ours) < 0.1


def test_02_flattening_whole_rdms(rng):
    rows, columns = np.triu_indices(12, 1)
    flat, ours, naive, permuted = [], [], [], []
    for _ in range(60):  # RDMs of unrelated points
        points = rng.normal(size=(2, 12, 2))
        squares = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
        pairs = squares[:, rows, columns]
        flat.append(spearmanr(*squares.reshape(2, -1)).statistic)
        ours.append(compare_rdms(pairs[0], pairs[1])[0, 0])
        naive.append(spearmanr(*squares.reshape(2, -1)).pvalue)
        permuted.append(permutation_null(pairs[0], pairs[1], n_permutations=99).p_values[0])
    assert np.mean(flat) > 0.15 and abs(np.mean(ours)) < 0.08
    assert np.mean(np.array(naive) < 0.05) > 0.5  # unrelated, and significant more often than not
    assert np.mean(np.array(permuted) <= 0.05) < 0.15


def test_03_a_table_of_layers_is_no_rdm(rng):
    def gradual():
        layers = [rng.normal(size=(40, 20))]
        for _ in range(7):
            layers.append(0.8 * layers[-1] + 0.6 * rng.normal(size=(40, 20)))
        return layers

    one, other = gradual(), gradual()  # share nothing but that layers change gradually
    upper, pairs = np.triu_indices(8, 1), np.triu_indices(40, 1)
    tables = [1 - cka_matrix(layers)[upper] for layers in (one, other)]
    rdms = [1 - np.corrcoef(layers[4])[pairs] for layers in (one, other)]
    assert compare_rdms(*tables)[0, 0] > 0.8
    assert abs(compare_rdms(*rdms)[0, 0]) < 0.15


def test_04_choosing_the_layer_where_it_is_scored(rng):
    names = tuple(f"s{i}" for i in range(60))
    best, ours = [], []
    for _ in range(5):  # layers of noise
        layers = {f"layer {k}": rng.normal(size=(60, 5)) for k in range(8)}
        model = Capture("noise", layers, names, np.arange(60))
        neural = NeuralData("brain", rng.normal(size=(60, 8)), names)
        cfg = PredictivityConfig(panel=PanelConfig(n_draws=2))
        scores = cfg.build().score(model, [neural]).scores
        best.append(max(scores[name].estimate for name in layers))
        ours.append(scores["chosen"].estimate)
    assert np.mean(best) > 0.1 and abs(np.mean(ours)) < np.mean(best) / 2


def test_05_biased_cka(rng):
    pairs = rng.normal(size=(10, 2, 60, 400))  # independent layers
    assert np.mean([cka(*pair, debiased=False) for pair in pairs]) > 0.8
    assert abs(np.mean([cka(*pair) for pair in pairs])) < 0.03


def test_06_cka_of_rows_that_are_no_pairs(rng):
    x = rng.normal(size=(200, 10))
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    y = x @ turn + 0.5 * rng.normal(size=x.shape)  # CKA of 1 / (1 + 0.25)
    assert cka(x[:100], y[100:], debiased=False) < 0.2
    assert abs(cka(x, y) - 0.8) < 0.05
    with pytest.raises(ValueError, match="same stimuli"):
        cka(x[:90], y[90:])


def test_07_a_participation_ratio_of_singular_values(rng):
    variance = 1 / np.arange(1, 101)
    truth = variance.sum() ** 2 / (variance**2).sum()
    entropy = np.exp(-(p := np.sqrt(variance) / np.sqrt(variance).sum()) @ np.log(p))
    x = rng.normal(size=(2000, 100)) * np.sqrt(variance)
    s = np.linalg.svd(x - x.mean(0), compute_uv=False)
    theirs = s.sum() ** 2 / (s**2).sum()
    assert theirs > 2 * truth and theirs < 0.9 * entropy  # neither the one nor the other
    assert abs(participation_ratio(x) - truth) < 0.1 * truth
    assert abs(effective_rank(x) - entropy) < 0.05 * entropy


def layer_of(weights):
    layer = torch.nn.Linear(*weights.T.shape, bias=False).double()
    layer.weight.data[:] = torch.from_numpy(weights)
    return layer


def information(layer, x, answers, labels=None, n_draws=1):
    cfg = FisherConfig(answers=answers, n_draws=n_draws)
    return float(diagonal_fisher(layer, x, cfg, labels)["weight"].sum())


def test_08_the_square_of_a_mean_gradient(rng):
    layer, x = layer_of(rng.normal(size=(3, 5))), torch.from_numpy(rng.normal(size=(64, 5)))
    torch.manual_seed(0)
    labels = torch.distributions.Categorical(logits=layer(x)).sample()
    squares = []
    for part in torch.arange(64).split(4):
        loss = cross_entropy(layer(x[part]), labels[part])
        squares.append(float(torch.autograd.grad(loss, layer.weight)[0].square().sum()))
    exact = information(layer, x, "exact")
    assert np.mean(squares) < exact / 2
    assert abs(information(layer, x, "sampled", n_draws=4) / exact - 1) < 0.25


def test_09_a_matcher_that_notes_the_token_before_it_looks(rng):
    tokens = np.tile(rng.permutation(20), 2)
    weights = np.tril(np.ones((40, 40))) / np.arange(1, 41)[:, None]
    weights[20:] = 0
    weights[np.arange(20, 40), np.arange(1, 21)] = 1  # a perfect induction head
    matched = {False: [], True: []}
    for noted_first, found in matched.items():
        seen = {}
        for place in range(1, 40):
            if noted_first:
                seen[tokens[place - 1]] = place - 1
            before = seen.get(tokens[place - 1])
            # one place back is the token itself
            found += [place] if before is not None and place - before > 1 else []
            seen[tokens[place - 1]] = place - 1
    assert len(matched[True]) == 0 and len(matched[False]) == 19
    assert repeat_scores(weights, 20).induction == 1


def test_10_a_count_of_violations_without_a_null(rng):
    angles = rng.uniform(0, 2 * np.pi, (1500, 2))  # a flat torus has none
    points = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    raw, ours = (
        fibre_test(points, FibreTestConfig(method, n_null=2000), range(300))
        for method in ("robinson", "spacings")
    )
    assert (raw.raw_p_value < 0.01 / 3).mean() > 0.1
    assert ours.share_below(0.01) < 0.04 and ours.rejected.mean() < 0.02


def test_11_curvature_of_points_far_apart(rng):
    last, ends, n = [0], [], 1
    for level in range(5):  # a tree: every inner point has three neighbours
        new = []
        for node in last:
            children = list(range(n, n + (2 if level else 3)))
            ends, new, n = ends + [(node, child) for child in children], new + children, n + len(children)
        last = new
    graph = csr_array((np.ones(n - 1), np.array(ends).T), shape=(n, n))
    graph = csr_array(graph + graph.T)
    inner = np.array([pair for pair in ends if pair[1] < last[0]])
    length, far = dijkstra(graph, directed=False), []
    while len(far) < 10:
        ends = rng.integers(last[0], size=2)
        if length[*ends] > 2:  # half the mass stays, the rest is shared: six equal parts
            parts = [np.append(graph[[node]].indices, [node] * 3) for node in ends]
            cost = length[np.ix_(*parts)]
            far.append(1 - cost[linear_sum_assignment(cost)].mean() / length[*ends])
    assert np.allclose(ollivier_ricci(graph, inner[:10]), -1 / 3)
    assert np.mean(far) > -1 / 6
    with pytest.raises(ValueError, match="no edge"):
        ollivier_ricci(graph, [[1, int(last[-1])]])


def test_12_thresholds_and_ratios_without_a_scale(rng):
    r = rng.normal(size=(200, 40)).clip(0) * np.array([1000] + [1] * 39)  # half of all are active
    assert (r > 0.01 * r.max()).mean() < 0.1
    assert abs(sparsity(r, "l0").mean() - 0.5) < 0.05
    for n_features in (5, 40):  # channels over effective rank is the same for both
        angles = rng.normal(size=(n_features, 5))
        directions = np.linalg.qr(angles)[0] if n_features == 5 else angles
        assert abs(5 / effective_rank(directions) - 1) < 0.3
        found = superposition(directions).dimensionality.mean()
        assert abs(found - min(1, 5 / n_features)) < 0.03


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_13_a_mean_of_unlike_scores(unit):
    scores = {
        "alignment": {"a": 0.5, "b": 0.1},
        "predictivity": {"a": 0.4, "b": 0.0},
        "geometry": {"a": 8.0 / unit, "b": 30.0 / unit},  # dimensions, or thousands of them
    }
    overall = {name: sum(row[name] for row in scores.values()) / 3 for name in "ab"}
    draws = {
        key: {name: ResampledScore(v, np.full(20, v), 4, key) for name, v in row.items()}
        for key, row in scores.items()
    }
    rank = brain_rank(draws).rank
    assert (overall["a"] > overall["b"]) == (unit > 1)  # which model wins depends on the unit
    assert rank["a"].estimate < rank["b"].estimate


def test_14_labels_of_the_data(rng):
    x, labels = rng.normal(size=(16, 20)), np.arange(16) % 3
    layer = layer_of((np.linalg.pinv(x) @ (4 * np.eye(3)[labels])).T)  # gives each input its label
    x, labels = torch.from_numpy(x), torch.from_numpy(labels)
    exact = information(layer, x, "exact")
    assert information(layer, x, "data", labels) < 0.1 * exact
    assert abs(information(layer, x, "sampled", n_draws=40) / exact - 1) < 0.5
