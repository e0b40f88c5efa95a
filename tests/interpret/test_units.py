"""Units: known answers, and the analyzer against the metrics it is made of, whatever holds the activations."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from neurolib.interpret.known_answers_units import known_answers, slow_signal
from neurolib.interpret.unit_results import UnitConfig
from neurolib.interpret.unit_samples import UnitSamples, collect
from neurolib.interpret.units import NeuronActivationAnalyzer
from neurolib.metrics.dimensionality import effective_rank, participation_ratio
from neurolib.metrics.dissimilarity import dissimilarity, stratified_folds
from neurolib.metrics.selectivity import eta_squared
from neurolib.metrics.statistics import benjamini_hochberg

QUICK = UnitConfig(n_permutations=40, n_shifts=30, max_samples=200, block=4)


@pytest.fixture(scope="module")
def samples() -> UnitSamples:
    """Nine units of 40 trials of 20 samples; unit 0 codes the target, 1 velocity, 2 speed."""
    rng = np.random.default_rng(0)
    trial = np.repeat(np.arange(40), 20)
    target = (np.arange(40) % 4)[trial]
    velocity = np.column_stack([slow_signal(800, 1, 8), slow_signal(800, 2, 8)])
    speed = slow_signal(800, 3, 8)
    values = rng.normal(size=(800, 9))
    values[:, 0] += 2 * target
    values[:, 1] += 2 * velocity[:, 1]
    values[:, 2] += 2 * speed**2
    variables = {"target": target, "velocity": velocity, "speed": speed}
    return UnitSamples(values.astype(np.float32), variables, trial)


@pytest.mark.parametrize("answer", known_answers(), ids=lambda answer: answer.name)
def test_known_answers(answer):
    assert answer.ok, answer


def test_selectivity_of_labels_and_of_numbers(samples):
    analyzer = NeuronActivationAnalyzer(config=QUICK)
    found, tuning = analyzer.compute_neuron_selectivity(samples, "target")[:2]
    np.testing.assert_allclose(
        found.eta_squared, eta_squared(samples.activations, samples.variable("target")), rtol=1e-4
    )
    assert (found.p_value[1:] > 0.05).all() and found.p_value[0] < 0.05 and found.preferred[0] == 3
    np.testing.assert_allclose(tuning.mean, found.means, rtol=1e-4, atol=1e-4)
    assert ((tuning.low <= tuning.mean) & (tuning.mean <= tuning.high)).all()
    one = analyzer.compute_neuron_selectivity(samples, "speed", neuron_id=2)
    assert one.selectivity.eta_squared.shape == (1,) and one.selectivity.p_value[0] < 0.05
    assert one.tuning.mean[[0, -1], 0].min() > one.tuning.mean[4:6, 0].max() + 1  # both ends of a square
    with pytest.raises(ValueError, match="vector"):
        analyzer.compute_neuron_selectivity(samples, "velocity")


def test_angles_have_bins_around_the_circle(samples):
    angle = np.arctan2(*samples.variable("velocity").T)
    analyzer = NeuronActivationAnalyzer(config=replace(QUICK, circular=("angle",)))
    with_angle = analyzer.samples(samples, {"angle": angle})
    found = analyzer.compute_neuron_selectivity(with_angle, "angle")
    np.testing.assert_allclose(found.tuning.edges, np.linspace(0, 2 * np.pi, 11))
    np.testing.assert_allclose(found.tuning.mean, found.selectivity.means, rtol=1e-4, atol=1e-4)


def test_monosemantic_and_predictive_units(samples):
    analyzer = NeuronActivationAnalyzer(config=replace(QUICK, screened=0.5))
    meaning = analyzer.find_monosemantic_neurons(samples, ["target", "velocity", "speed"])
    assert meaning.units.tolist() == [0, 1, 2] and meaning.semantics.variable[:3].tolist() == [0, 1, 2]
    strict = analyzer.find_monosemantic_neurons(samples, ["target", "velocity", "speed"], threshold=0.99)
    assert not len(strict.units)
    top, information = analyzer.find_behavior_predictive_neurons(samples, "velocity", top_k=2)
    assert top[0] == 1 and information.names == ("0", "1", "joint") and len(information.units) == 4
    bits = information.bits[information.units.tolist().index(1)]
    assert bits[1] > 0.8 and bits[2] > 0.8 and bits[0] < 0.2  # column 1, not only the first
    assert information.p_value[0] == pytest.approx(1 / 31) and information.p_value[1] > 0.05
    np.testing.assert_allclose(information.p_adjusted, benjamini_hochberg(information.p_value, 9))


def test_one_reading_finds_the_same_whoever_holds_the_units(samples, tmp_path):
    names = ["target", "velocity", "speed"]

    def results(activations, config):
        data = replace(samples, activations=activations)
        selective, meaning, top = NeuronActivationAnalyzer(config=config).survey(
            data, "target", names, "velocity", top_k=2
        )
        return [
            *selective,
            meaning.variance.unique,
            meaning.variance.p_value,
            top.units,
            top.information.bits,
        ]

    expected = results(samples.activations, QUICK)
    apart = NeuronActivationAnalyzer(config=QUICK)
    np.testing.assert_allclose(
        expected[0], apart.compute_neuron_selectivity(samples, "target").selectivity.eta_squared
    )
    np.testing.assert_allclose(expected[6], apart.find_monosemantic_neurons(samples, names).variance.unique)
    np.save(tmp_path / "units.npy", samples.activations)
    with h5py.File(tmp_path / "units.h5", "w") as file:
        file["units"] = samples.activations
        cases = {
            "whole": (samples.activations, replace(QUICK, block=100)),
            "threads": (samples.activations, replace(QUICK, workers=2)),
            "mapped": (np.load(tmp_path / "units.npy", mmap_mode="r"), QUICK),
            "hdf5": (file["units"], QUICK),
            "tensor": (torch.tensor(samples.activations), QUICK),
        }
        for case in cases.values():
            for a, b in zip(results(*case), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_geometry_of_few_and_of_many_units(samples):
    rng = np.random.default_rng(1)
    analyzer = NeuronActivationAnalyzer(config=QUICK)
    found = analyzer.analyze_population_geometry(samples, "target")
    values = np.asarray(samples.activations, float)
    assert found.participation_ratio == pytest.approx(participation_ratio(values, groups=samples.groups))
    assert (found.n_samples, found.n_units) == (800, 9)
    means = values.reshape(40, 20, 9).mean(axis=1)
    target = samples.variable("target")[::20]
    expected = dissimilarity(means, target, stratified_folds(target, 5, 0))
    np.testing.assert_allclose(found.distances.values, expected.values)
    assert found.distances.matrix()[0, 3] > 4 * found.distances.matrix()[0, 1] > 0
    assert found.silhouette_score.keys() == {"euclidean", "cosine"}
    turn = np.linalg.qr(rng.normal(size=(1000, 9)))[0]
    many = analyzer.analyze_population_geometry(
        replace(samples, activations=values @ turn.T), "target"
    )  # more units than samples, and nothing new
    np.testing.assert_allclose(many.participation_ratio, found.participation_ratio, rtol=1e-6)
    np.testing.assert_allclose(many.effective_rank, effective_rank(values), rtol=1e-6)
    np.testing.assert_allclose(many.intrinsic.two_nn, found.intrinsic.two_nn, rtol=1e-6)
    assert many.silhouette_score["euclidean"] == pytest.approx(found.silhouette_score["euclidean"], abs=1e-6)
    assert many.n90 == found.n90 and many.distances.n_units == 1000


class Net(nn.Module):
    """A recurrent model on dict inputs that counts its runs."""

    def __init__(self):
        super().__init__()
        self.gru, self.head, self.runs = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2), 0

    def forward(self, batch):
        self.runs += 1
        return self.head(self.gru(batch["x"])[0])


def test_batches_are_run_once_and_short_trials_are_cut():
    torch.manual_seed(0)
    model = Net()
    batches = []
    for start in (0, 4, 8, 12, 16, 20):
        x = torch.randn(4, 10, 3)
        mask = torch.arange(10) < torch.tensor([[10], [7], [10], [5]])
        trial = torch.arange(start, start + 4)
        batches.append(
            {"x": x, "mask": mask, "speed": x[..., 0], "target": trial % 2, "trial": trial, "note": "a"}
        )
    analyzer = NeuronActivationAnalyzer(model, device="cpu", site="gru", config=QUICK)
    samples = analyzer.samples(batches)
    assert model.runs == 6 and samples.activations.shape == (6 * 32, 4)
    assert set(samples.variables) == {"x", "speed", "target"}
    assert np.bincount(samples.groups).tolist() == [10, 7, 10, 5] * 6
    first = model.gru(batches[0]["x"])[0].detach()
    np.testing.assert_allclose(samples.activations[10:17], first[1, :7], rtol=1e-6)
    np.testing.assert_allclose(samples.variable("speed")[10:17], batches[0]["x"][1, :7, 0])
    analyzer.compute_neuron_selectivity(batches, "target")
    analyzer.find_monosemantic_neurons(batches, ["speed", "target"])
    assert model.runs == 6


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: NeuronActivationAnalyzer().samples([{"x": 1}]), "need a model"),
        (lambda: NeuronActivationAnalyzer(Net()).samples([{"x": torch.ones(1, 2, 3)}]), "which site"),
        (lambda: UnitSamples(np.ones((3, 2, 2))), "all axes but the last"),
        (lambda: UnitSamples(np.ones((3, 2)), {"speed": np.ones(4)}), "speed"),
        (lambda: UnitSamples(np.full((3, 2), np.nan)).read(slice(0, 2)), "unit 0"),
        (lambda: collect(Net(), [], "gru"), "no batch"),
        (lambda: collect(Net(), [torch.ones(2)], "gru"), "mapping"),
        (lambda: UnitConfig(level=2.0), "level"),
    ],
)
def test_errors_guess_the_mistake(call, match):
    with pytest.raises(ValueError, match=match):
        call()
    with pytest.raises(KeyError, match="there are"):
        UnitSamples(np.ones((3, 2)), {"speed": np.ones(3)}).variable("place")
