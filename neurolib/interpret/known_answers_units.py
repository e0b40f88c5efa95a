"""Known answers about units: units made by hand in, what the analysis finds beside what was put in, out."""

import numpy as np
import torch
from torch import nn

from neurolib.interpret.selfcheck import Answer, answer
from neurolib.interpret.unit_results import UnitConfig
from neurolib.interpret.units import NeuronActivationAnalyzer
from neurolib.metrics.dimensionality import components_for, intrinsic_dimension, participation_ratio
from neurolib.metrics.dissimilarity import dissimilarity, stratified_folds
from neurolib.metrics.information import (
    information_null,
    ksg_information,
    label_information,
    plug_in_information,
)
from neurolib.metrics.selectivity import SelectivityTest, depth_index, eta_squared
from neurolib.metrics.tuning import TuningConfig, tuning_curve


def known_answers() -> list[Answer]:
    """What single units code, information in bits, dimensions and distances of known size."""
    return [*_selectivity(), *_information(), *_dimensions(), *_distances(), *_meaning(), *_model()]


def slow_signal(n: int, seed: int, width: int = 40) -> np.ndarray:
    """Noise smoothed over ``width`` samples, which correlates with any other slow signal by chance."""
    kernel = np.hanning(width)
    signal = np.convolve(np.random.default_rng(seed).normal(size=n + 2 * width), kernel, "same")
    return signal[width:-width] / np.linalg.norm(kernel)


def _selectivity() -> list[Answer]:
    rng = np.random.default_rng(0)
    label = np.arange(4000) % 4
    noise = rng.normal(size=(4000, 200))
    signal = np.array([0.0, 1.0, 2.0, 3.0])[label]  # variance 1.25 between, 1 within
    share = eta_squared((signal[:, None] + noise), label).mean()
    trial = np.repeat(np.arange(80), 50)
    drift = rng.normal(size=(80, 200))[trial] + 0.1 * noise  # trials differ, conditions do not
    test = SelectivityTest(np.repeat(np.arange(80) % 4, 50), trial)
    found = test.measure(drift)
    try:
        depth_index(noise[:4])
        refused = 0.0
    except ValueError:
        refused = 1.0
    angle = rng.uniform(0, 2 * np.pi, 4000)
    curve = tuning_curve((2 + np.cos(angle))[:, None], angle, config=TuningConfig(12, circular=True))
    rounding = np.sinc(1 / 12)  # mean of a cosine over a bin
    wrong = np.abs(curve.mean[:, 0] - 2 - rounding * np.cos(curve.centres)).max()
    return [
        answer("eta squared of known variances", share, 1.25 / 2.25, 0.01),
        answer(
            "share of units selective for nothing, by permuted trials",
            (found.p_value < 0.05).mean(),
            0.05,
            0.05,
        ),
        answer("preference of noise, measured on the other half", found.d_prime.mean(), 0, 0.1),
        answer("index of depth refuses negative responses", refused, 1),
        answer("tuning curve of a cosine", wrong, 0, 0.08),
    ]


def _information() -> list[Answer]:
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, 4000))
    correlation = 0.8
    y = correlation * x + np.sqrt(1 - correlation**2) * noise
    label = (np.arange(4000) % 4).astype(int)
    slow = [
        information_null(slow_signal(4000, s), slow_signal(4000, s + 50), n_shifts=40, max_samples=400)
        for s in range(8)
    ]
    coarse = rng.integers(0, 6, (2, 300))
    return [
        answer("bits of Gaussians with r = 0.8", ksg_information(x, y), -0.5 * np.log2(1 - 0.64), 0.06),
        answer("bits of four labels far apart", label_information(x + 100 * label, label), 2, 0.01),
        answer("bits of independent labels, bias taken off", plug_in_information(*coarse), 0, 0.06),
        answer(
            "share of unrelated slow signals beyond their shifts",
            np.mean([s.p_value <= 0.05 for s in slow]),
            0,
            0.26,
        ),
    ]


def _dimensions() -> list[Answer]:
    rng = np.random.default_rng(2)
    mixing = np.linalg.qr(rng.normal(size=(200, 10)))[0]
    many = rng.normal(size=(2000, 10)) @ mixing.T
    few = [rng.normal(size=(30, 10)) @ mixing.T for _ in range(40)]
    plane = rng.uniform(size=(1500, 2)) @ rng.normal(size=(2, 20))
    return [
        answer("participation ratio of rank 10", participation_ratio(many), 10, 0.5),
        answer("the same from 30 samples, debiased", np.mean([participation_ratio(x) for x in few]), 10, 1.0),
        answer("components with 90 % of ten equal variances", components_for(many), 9),
        answer("neighbours on a plane in 20 dimensions", intrinsic_dimension(plane).two_nn, 2, 0.15),
    ]


def _distances() -> list[Answer]:
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(10, 10)) / 3 + np.eye(10)
    noise = mixing @ mixing.T
    label = np.tile([0, 1, 2], 12)
    mean = np.zeros((3, 10))
    mean[2] = mixing[:, 0] * 3  # whitened, 3 along one axis: squared distance 9, of 10 units
    found = []
    for seed in range(150):
        trials = mean[label] + rng.normal(size=(len(label), 10)) @ mixing.T
        found.append(dissimilarity(trials, label, stratified_folds(label, 4, seed), noise=noise).values)
    equal, apart = np.mean(found, axis=0)[:2]
    return [
        answer("crossnobis distance of equal conditions", equal, 0, 0.03),
        answer("crossnobis distance of known size", apart, 0.9, 0.06),
        answer("share of distances below 0 that are kept", np.mean(np.array(found)[:, 0] < 0), 0.5, 0.15),
    ]


def _meaning() -> list[Answer]:
    rng = np.random.default_rng(4)
    n, trial = 3000, np.repeat(np.arange(60), 50)
    place, speed, other = (slow_signal(n, seed, 15) for seed in (1, 2, 3))
    shared = np.column_stack([place, 0.8 * place + 0.6 * speed])  # variables that go together
    noise = rng.normal(size=(n, 40))
    units = np.column_stack(
        [shared[:, :1] + noise[:, :10], shared.sum(axis=1, keepdims=True) + noise[:, 10:20], noise[:, 20:]]
    )
    analyzer = NeuronActivationAnalyzer(config=UnitConfig(n_permutations=100))
    variables = {"place": shared[:, 0], "mix": shared[:, 1], "other": other}
    kind = analyzer.find_monosemantic_neurons(units, variables, groups=trial).semantics.kind
    return [
        answer("units of one of two correlated variables", (kind[:10] == "mono").mean(), 1),
        answer("units of both", (kind[10:20] == "poly").mean(), 1),
        answer("units of none", (kind[20:] == "none").mean(), 1),
    ]


def _model() -> list[Answer]:
    """A hand-made layer on dict inputs: unit 0 of speed, unit 1 of place, run once per batch."""
    rng = np.random.default_rng(5)
    layer = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(3))
    model, runs = nn.ModuleDict({"hidden": layer}), []
    batches = []
    for _ in range(20):
        x = torch.tensor(rng.normal(size=(4, 25, 3)), dtype=torch.float32)
        batches.append({"x": x, "speed": x[..., 0], "place": x[..., 1]})

    def run(net: nn.Module, batch: dict) -> torch.Tensor:
        runs.append(1)
        return net["hidden"](batch["x"])

    analyzer = NeuronActivationAnalyzer(model, site="hidden", run=run, config=UnitConfig(n_permutations=50))
    meaning = analyzer.find_monosemantic_neurons(batches, ["speed", "place"])
    screening = analyzer.find_behavior_predictive_neurons(batches, "place", top_k=0).information.screening
    return [
        answer("variables of a model's units", float(meaning.semantics.variable.tolist() == [0, 1, -1]), 1),
        answer("unit of a model that tells the place", screening.argmax(), 1),
        answer("runs of 20 batches for two questions", len(runs), 20),
    ]
