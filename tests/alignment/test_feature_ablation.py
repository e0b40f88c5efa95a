"""Ablation of features that are known to matter, and of ones that only vary."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from neurolib.alignment.feature_ablation import FeatureAblationConfig, matched
from neurolib.alignment.response_panel import PanelConfig

N, PANEL = 150, PanelConfig(n_draws=150)
NAMES = tuple(f"s{i}" for i in range(N))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_what_matters_costs_more_than_what_varies_alike(rng, net, subject):
    x = rng.normal(size=(N, 40)) * np.linspace(1, 2, 40)
    model, brain = net(rng, fc=x), subject(rng, x[:, 10:20], noise=0.3)
    build = FeatureAblationConfig(8, n_random=3, panel=PANEL).build()
    useful = build.score(model, "fc", [brain], np.isin(np.arange(40), np.arange(10, 18)))
    assert useful.cost().low > 0.2 and not useful.cost("lowest").low > 0
    assert abs(np.log(useful.variance["highest"] / useful.variance["random_as_highest"])) < 0.3
    idle = build.score(model, "fc", [brain], x.var(0))  # the most varying features explain nothing
    assert not idle.cost().low > 0
    panel, keep = PANEL.build([brain], model), np.setdiff1d(np.arange(40), useful.removed["highest"])
    held = np.empty_like(panel.responses)
    for fold in range(5):
        inside = panel.folds == fold
        centred = x[~inside][:, keep] - x[~inside][:, keep].mean(0)
        grid = np.logspace(-4, 4, 17) * np.linalg.eigvalsh(centred.T @ centred).mean()
        peer = RidgeCV(grid, alpha_per_target=True).fit(x[~inside][:, keep], panel.responses[~inside])
        held[inside] = peer.predict(x[inside][:, keep])
    assert abs(panel.score(held).estimate - useful.scores["highest"].estimate) < 0.01
    with pytest.raises(ValueError, match="no layer 'conv'"):
        build.score(model, "conv", [brain], np.ones(40))


def test_matching_takes_each_feature_once(rng):
    variance = rng.uniform(1, 9, 50)
    for _ in range(20):
        found = matched(variance, np.arange(10), 5, rng)
        assert len(set(found.tolist())) == 10 and found.min() >= 10
