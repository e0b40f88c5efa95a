"""One analysis from models to results, on a world whose answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from neurolib.alignment.analyzer import UnifiedModelAnalyzer
from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.fisher import FisherConfig
from neurolib.alignment.measures import METRICS
from neurolib.alignment.study import AnalyzerConfig, NeuralRDMs
from neurolib.metrics.dissimilarity import dissimilarity

N = 60
NAMES = [f"image {i}" for i in range(N)]


@pytest.fixture(scope="module")
def world():
    """A network, and brains that are its second layer seen through noise."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 3))
    x = torch.randn(N, 8)
    truth = net[:4](x).detach().numpy()
    rng = np.random.default_rng(0)
    brains = [
        NeuralData(
            f"monkey {k}",
            (truth @ rng.normal(size=(12, 30)))[None] + 0.5 * rng.normal(size=(4, N, 30)),
            NAMES[::-1] if k else NAMES,
            species="macaque",
        )
        for k in range(2)
    ]
    brains[1] = NeuralData("monkey 1", brains[1].responses[:, ::-1], tuple(NAMES[::-1]))
    return net, x, brains


@pytest.fixture(scope="module")
def results(world):
    net, x, brains = world
    cfg = AnalyzerConfig(fisher=FisherConfig(), n_resamples=60, n_permutations=60)
    torch.manual_seed(1)
    fresh = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 3))
    baselines = {
        "pixels": Capture("pixels", {"x": x.numpy()}, tuple(NAMES), np.arange(N)),
        "random_weights": fresh,
    }
    return UnifiedModelAnalyzer(cfg).analyze_models({"net": net}, x, brains, names=NAMES, baselines=baselines)


def test_all_metrics_are_measured_on_the_same_stimuli(results):
    many = {"spectral_exponent", "robinson_fiber_test", "block_cka_gap"}  # which need more than there is
    assert set(results.metrics) == set(METRICS) - many and results.models == ("net",)
    for result in results:
        assert result.n == N and result.provenance["weights"]


def test_the_layer_that_the_brain_is_made_of_is_the_most_like_it(results):
    for brain in ("monkey 0", "monkey 1"):  # whose stimuli come in another order
        assert results["net", "rsa", brain].best()[0] in ("2", "3")
        assert results["net", "cka", brain].best()[0] in ("2", "3")
        assert results["net", "cka", brain]["3"] > 0.7
        assert results["net", "rsa", brain].params["p_value"]["3"] < 0.05
    found = results.get("neural_predictivity")
    assert found["chosen"] > 0.9 > abs(found["permuted"]) + 0.5 and found["chosen"] > found["pixels"]


def test_a_model_is_itself(results):
    own = results["net", "cka", ""]
    assert np.allclose(np.diag(own.values), 1) and np.allclose(own.values, own.values.T)
    assert np.allclose(np.diag(results["net", "procrustes", ""].values), 0, atol=1e-3)


def test_numbers_carry_their_warnings(results):
    assert np.isnan(results.get("sparsity")["0"]) and np.isfinite(results.get("sparsity")["1"])
    assert any("negative responses" in text for text in results.warnings)
    assert any("one subject, so there is no ceiling" in text for text in results.warnings)


def test_units_that_the_answer_does_not_use_have_no_information(world):
    net, x, _ = world
    with torch.no_grad():
        kept = net[4].weight[:, 3].clone()
        net[4].weight[:, 3] = 0
    cfg = AnalyzerConfig(metrics=("unit_fisher",), fisher=FisherConfig())
    found = UnifiedModelAnalyzer(cfg).analyze_models({"net": net}, x, layers=["3"]).get("unit_fisher")
    with torch.no_grad():
        net[4].weight[:, 3] = kept
    assert found[3] == 0 and found.values.max() > 0


def test_dissimilarities_of_several_subjects_have_ceilings(world):
    net, x, _ = world
    hidden = net[:4](x).detach().numpy()
    rng = np.random.default_rng(1)
    rdms = [
        dissimilarity(
            hidden + 0.3 * rng.normal(size=hidden.shape), np.arange(N), measure="sqeuclidean"
        ).values
        for _ in range(4)
    ]
    people = NeuralRDMs("people", np.stack(rdms), tuple(NAMES))
    cfg = AnalyzerConfig(metrics=("rsa",), n_resamples=60, n_permutations=60)
    found = UnifiedModelAnalyzer(cfg).analyze_models({"net": net}, x, people, names=NAMES).get("rsa")
    assert found["3"] > found.params["ceiling_lower"] - 0.1 and found.params["ceiling_upper"] < 1
    low, high = (edge[list(found.coords["layer"]).index("3")] for edge in (found.low, found.high))
    assert low < found["3"] < high
    shuffled = people.select(tuple(reversed(NAMES))).select(tuple(NAMES))
    assert np.allclose(shuffled.values, people.values)


def test_a_constant_layer_is_nan_with_a_reason(world):
    _, x, _ = world
    net = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4))
    with torch.no_grad():
        net[1].weight.zero_()
    metrics = ("cka", "participation_ratio", "procrustes")
    found = UnifiedModelAnalyzer(AnalyzerConfig(metrics=metrics)).analyze_models([net], x)
    for name in metrics:
        values = found.get(name).values
        assert np.isnan(values[1]).all() and np.isfinite(values.flat[0])
        assert any("layer 1 is the same for every stimulus" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda net, x: UnifiedModelAnalyzer().analyze_models([], x), "no model"),
        (lambda net, x: UnifiedModelAnalyzer().analyze_models([net]), "there are no stimuli"),
        (lambda net, x: UnifiedModelAnalyzer(AnalyzerConfig(("rsa",))).analyze_models([net], x), "no brains"),
        (
            lambda net, x: UnifiedModelAnalyzer(AnalyzerConfig(("unit_fisher",))).analyze_models([net], x),
            "FisherConfig",
        ),
        (
            lambda net, x: UnifiedModelAnalyzer(AnalyzerConfig(("overall",))),
            "no metric 'overall'; there are cka, rsa",
        ),
        (lambda net, x: UnifiedModelAnalyzer().analyze_models([net], x[:3]), "3 stimuli are shared"),
        (
            lambda net, x: NeuralRDMs("m", np.zeros((1, 5)), tuple("abcd")),
            "5 dissimilarities for the pairs of 4",
        ),
    ],
)
def test_what_cannot_be_done_says_why(world, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(world[0], world[1])


def test_models_of_one_class_get_names_of_their_own(world):
    found = UnifiedModelAnalyzer(AnalyzerConfig(("participation_ratio",))).analyze_models(
        [world[0]] * 2, world[1]
    )
    assert found.models == ("Sequential", "Sequential 2")


def test_a_training_is_a_way_with_a_length_and_the_weights_come_back(world):
    net, x, brains = world
    before = {key: value.clone() for key, value in net.state_dict().items()}
    torch.manual_seed(2)
    steps = {
        10**k: {key: (1 - k / 3) * torch.randn_like(v) + k / 3 * v for key, v in before.items()}
        for k in range(4)
    }
    cfg = AnalyzerConfig(metrics=("cka",))
    found = UnifiedModelAnalyzer(cfg).analyze_checkpoints(net, steps, x, brains[0], name="net", names=NAMES)
    to_final = found.get("trajectory_to_final")
    assert to_final.values.shape == (4, 5) and np.allclose(to_final.values[-1], 1)
    assert to_final[1, "3"] < to_final[100, "3"] < 1
    assert 0 < found.get("trajectory_straightness")["3"] <= 1
    assert found["net@1000", "cka", "monkey 0"]["3"] > found["net@1", "cka", "monkey 0"]["3"]
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    with pytest.raises(ValueError, match="want two or more"):
        UnifiedModelAnalyzer(cfg).analyze_checkpoints(net, {0: before}, x)


def test_measures_that_need_much_are_measured_where_there_is_much():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(60, 60), nn.Tanh(), nn.Linear(60, 60))
    x = torch.randn(1000, 60)
    deep = nn.Sequential(*(nn.Linear(60, 60) for _ in range(7)))
    gap = UnifiedModelAnalyzer(AnalyzerConfig(("block_cka_gap",))).analyze_models({"deep": deep}, x[:200])
    assert len(gap.get("block_cka_gap").params["blocks"]) == 7
    cfg = AnalyzerConfig(metrics=("spectral_exponent", "robinson_fiber_test"))
    found = UnifiedModelAnalyzer(cfg).analyze_models({"net": net}, x, layers=["0"])
    assert 0 < found.get("spectral_exponent")["0"] < 2 and found.get("robinson_fiber_test")["0"] < 0.05
    with pytest.raises(ValueError, match="60 stimuli are too few; 1000"):
        UnifiedModelAnalyzer(AnalyzerConfig(("robinson_fiber_test",))).analyze_models({"net": net}, x[:60])
