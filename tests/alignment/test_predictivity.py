"""Predictivity on simulated brains whose best layer, true correlation and leaks are known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.predictivity import PredictivityConfig
from neurolib.alignment.response_panel import PanelConfig
from neurolib.metrics.encoding import RidgePathConfig

N, PANEL = 150, PanelConfig(n_draws=150)
NAMES = tuple(f"s{i}" for i in range(N))
CFG = PredictivityConfig(matched_components=8, panel=PANEL)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_finds_the_layer_and_puts_baselines_beside_it(rng, net, subject):
    early, code = rng.normal(size=(2, N, 10))
    late = np.concatenate([code[:, :4], rng.normal(size=(N, 6))], axis=1)
    model = net(rng, early=early, middle=code, late=late)
    brains = [subject(rng, code, name) for name in "abc"]
    baselines = {
        "pixels": net(rng, image=code[:, :2]),
        "random_weights": net(rng, one=early[:, :3], two=late),
    }
    found = CFG.build().score(model, brains, baselines)
    assert (found.picked == 1).all()
    assert found.estimate.low > 0.85 and found.chance.low < 0 < found.chance.high
    assert found.difference("middle", "late").low > 0 and found.difference("late", "early").low > 0
    assert (
        found.difference("chosen", "pixels").low > 0 and found.difference("chosen", "random_weights").low > 0
    )
    assert (
        0.5 < found.scores["pca_matched"].estimate <= found.scores["chosen"].estimate and found.matched == 8
    )
    assert found.scores["chosen"].estimate == found.scores["middle"].estimate
    assert {name: len(found.coords[name]) for name in found.dims["r"]} == {"layer": 3, "fold": 5, "unit": 36}
    assert found.values["r"].shape == (3, 5, 36) and found.values["r2"].shape == (3, 36)
    assert found.values["r2"][1].mean() > 0.5 > 0 > found.values["r2"][0].mean() - 0.05
    assert not found.warnings


def test_correction_recovers_the_true_correlation(rng):
    """Features explain 0.7 ** 2 of what stimuli do."""
    features = rng.normal(size=(600, 5))
    names = [f"s{i}" for i in range(600)]
    shared = features @ rng.normal(size=(5, 80))
    truth = 0.7 * shared / shared.std(0) + np.sqrt(0.51) * rng.normal(size=shared.shape)
    brain = NeuralData("cat", truth + 1.5 * rng.normal(size=(4, *truth.shape)), names)
    found = CFG.build().score(Capture("net", {"fc": features}, names, np.arange(600)), [brain])
    assert abs(found.estimate.estimate - 0.7) < 0.02
    assert np.median(found.values["r"]) < 0.6


def test_choosing_the_best_of_many_useless_layers_gains_nothing(rng, net, subject):
    """The best score on the stimuli it was chosen on is above chance; the nested one is not."""
    model = net(rng, **{f"l{i}": rng.normal(size=(N, 4)) for i in range(15)})
    brain = subject(rng, rng.normal(size=(N, 30)), units=3, noise=0.1)
    found = CFG.build().score(model, [brain])
    best = max(found.scores[name].estimate for name in model.layers)
    assert found.estimate.low < 0.02 and best > found.estimate.estimate + 0.05
    assert len(set(found.picked.ravel().tolist())) > 1


def test_every_choice_is_inside_the_training_folds(rng, net, subject):
    """Responses of a fold may change without any of its predictions changing."""
    model = net(rng, one=rng.normal(size=(N, 30)), two=rng.normal(size=(N, 200)))
    brain = subject(rng, model.layers["one"], repeats=1)
    predictor = CFG.build()
    panel = PANEL.build([brain], model)
    other = replace(
        brain, responses=brain.responses[0] + (panel.folds == 2)[:, None] * rng.normal(size=(N, 12))
    )
    runs = []
    for data in (brain, other):
        panel = PANEL.build([data], model)
        parts = [
            predictor._held_out(x, panel.responses, panel.subject, panel, (None, 8), True)
            for x in model.layers.values()
        ]
        runs.append([[held[panel.folds == 2] for held in outer.values()] for outer, _ in parts])
        inner = [part[1][None][2] for part in parts]
        runs[-1].append(inner)
    for before, after in zip(runs[0], runs[1], strict=True):
        for one, two in zip(before, after, strict=True):
            assert_allclose(one, two, atol=1e-10)


def test_inner_scores_are_those_of_refitting_without_both_folds(rng, net, subject):
    from sklearn.linear_model import Ridge

    cfg = replace(CFG, ridge=RidgePathConfig((2.0,), relative=False))
    model, brain = net(rng, one=rng.normal(size=(N, 20))), subject(rng, rng.normal(size=(N, 5)), repeats=1)
    panel = PANEL.build([brain], model)
    x, y, folds = model.layers["one"], panel.responses, panel.folds
    inner = cfg.build()._held_out(x, y, panel.subject, panel, (None,), True)[1][None]
    scores = []
    for valid in (0, 1, 2, 4):
        train, rows = ~np.isin(folds, (3, valid)), folds == valid
        predictions = Ridge(2.0).fit(x[train], y[train]).predict(x[rows])
        scores.append([np.corrcoef(y[rows, u], predictions[:, u])[0, 1] for u in range(y.shape[1])])
    assert_allclose(inner[3], np.tanh(np.arctanh(scores).mean(0)), atol=1e-9)


def test_groups_never_straddle_folds_and_twins_are_caught(rng, net):
    code = np.repeat(rng.normal(size=(N // 3, 8)), 3, axis=0)  # three copies of each stimulus
    model, objects = net(rng, fc=code), np.arange(N) // 3
    # each object has a response of its own that features say nothing about, but copies give away
    own = np.repeat(rng.normal(size=(N // 3, 6)), 3, axis=0)
    brain = NeuralData("cat", own, NAMES)
    with pytest.raises(ValueError, match="the same in all features but in different folds"):
        CFG.build().score(model, [brain])
    panel = PANEL.build([replace(brain, groups=objects)], model)
    assert all(len(set(panel.folds[objects == i])) == 1 for i in range(N // 3))
    assert (np.ptp(panel.weights.reshape(150, -1, 3), axis=2) == 0).all()  # and are drawn together
    wide = net(rng, fc=np.repeat(rng.normal(size=(N // 3, 60)), 3, axis=0) + 1e-3 * rng.normal(size=(N, 60)))
    leak = CFG.build().score(wide, [brain]).estimate
    sound = CFG.build().score(wide, [replace(brain, groups=objects)]).estimate
    assert leak.low > 0.4 and sound.low < 0 < leak.low - sound.estimate


def test_constant_layers_have_no_score_and_silent_units_are_left_out(rng, net, subject):
    model = net(rng, fc=rng.normal(size=(N, 5)), dead=np.ones((N, 4)))
    brain = subject(rng, model.layers["fc"])
    responses = brain.responses.copy()
    responses[:, :, 3] = 0
    found = CFG.build().score(model, [replace(brain, responses=responses)])
    assert np.isnan(found.scores["dead"].estimate) and found.scores["dead"].note == "predictions are constant"
    assert (found.picked == 0).all() and 3 not in found.coords["unit"] and len(found.coords["unit"]) == 11
    said = " ".join(found.warnings)
    assert "11 of 12 units" in said and "dead is the same" in said and "'pixels'" in said
    with pytest.raises(ValueError, match="none of 12 units is reliable"):
        CFG.build().score(model, [replace(brain, responses=rng.normal(size=(4, N, 12)))])
    few = [subject.select(NAMES[:20]) for subject in (model, brain)]
    with pytest.raises(ValueError, match="5 are needed in each"):
        CFG.build().score(few[0], [few[1]])


@pytest.mark.parametrize("resample", ["stimuli", "units"])
def test_intervals_are_those_of_drawing_one_by_one(rng, resample, subject):
    panel = replace(PANEL, resample=resample, n_draws=600)
    brains = [subject(rng, rng.normal(size=(N, 5)), name, units=7 + i) for i, name in enumerate("ab")]
    panel = panel.build(brains)
    predictions = panel.responses + 2 * rng.normal(size=panel.responses.shape)
    score = panel.score(predictions)
    if resample == "stimuli":
        rows = [np.repeat(np.arange(N), panel.weights[4].astype(int))][0]
        medians = []
        for s in panel.picked[4]:
            units = []
            for u in np.flatnonzero(panel.subject == s):
                z = [
                    np.arctanh(np.corrcoef(panel.responses[r, u], predictions[r, u])[0, 1])
                    for r in (rows[panel.folds[rows] == fold] for fold in range(5))
                ]
                units.append(np.tanh(np.mean(z)) / np.sqrt(panel.reliability[u]))
            medians.append(np.median(units))
        assert_allclose(score.draws[4], np.mean(medians))
    else:
        units, draws = panel.corrected(panel.unit_scores(predictions)), []
        for _ in range(600):
            medians = []
            for s in rng.integers(0, 2, 2):
                own = units[panel.subject == s]
                medians.append(np.median(rng.choice(own, len(own))))
            draws.append(np.mean(medians))
        assert abs(np.std(draws) - score.draws.std()) < 0.2 * np.std(draws)


def test_least_squares_by_parts_fits_each_subject_alone(rng, net, subject):
    model = net(rng, fc=rng.normal(size=(N, 12)))
    brains = [subject(rng, model.layers["fc"], name) for name in "ab"]
    predictor = replace(CFG, method="pls", n_components=4).build()
    both, alone = predictor.score(model, brains), predictor.score(model, brains[:1])
    assert both.estimate.low > 0.7 and both.chance.low < 0.05 and "pca_matched" not in both.scores
    assert_allclose(both.values["r"][:, :, :12], alone.values["r"], atol=1e-9)
