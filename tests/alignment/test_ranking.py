"""Ranks of scores drawn together, and species whose shared part is known."""

from dataclasses import replace

import numpy as np
import pytest

from neurolib.alignment.predictivity import PredictivityConfig
from neurolib.alignment.ranking import brain_rank, cross_species
from neurolib.alignment.resampled_score import ResampledScore
from neurolib.alignment.response_panel import PanelConfig

N, PANEL = 150, PanelConfig(n_draws=150)
NAMES = tuple(f"s{i}" for i in range(N))
CFG = PredictivityConfig(matched_components=8, panel=PANEL)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_ranks_tie_where_paired_intervals_cross_zero(rng):
    n = 4000

    def scores(name, means, spread):
        shared = rng.normal(0, 0.2, n)
        return {
            m: ResampledScore(mean, mean + shared + rng.normal(0, spread, n), 5, name)
            for m, mean in means.items()
        }

    first = scores("V4", {"a": 0.6, "b": 0.5, "c": 0.3}, 0.01)
    second = scores("IT", {"a": 60.0, "b": 60.01, "c": 10.0}, 0.5)  # another unit, which must not matter
    found = brain_rank({"V4": first, "IT": second})
    assert {m: found.rank[m].estimate for m in "abc"} == {"a": 1.5, "b": 1.5, "c": 3.0}
    assert found.ties == {"V4": (), "IT": (("a", "b"),)} and found.tied == (("a", "b"),)
    assert found.rank["c"].low == found.rank["c"].high == 3 and found.rank["a"].low < found.rank["a"].high
    assert [row["model"] for row in found.table()] == ["a", "b", "c"] and found.table()[0]["tied_with"] == [
        "b"
    ]
    again = brain_rank(
        {
            "V4": first,
            "IT": {m: replace(s, estimate=s.estimate * 100, draws=s.draws * 100) for m, s in second.items()},
        }
    )
    assert again.rank == found.rank
    with pytest.raises(ValueError, match="not scored on the same stimuli"):
        brain_rank({"V4": first | {"a": replace(first["a"], pairing="other")}})
    with pytest.raises(ValueError, match="benchmark IT has models"):
        brain_rank({"V4": first, "IT": {m: second[m] for m in "ab"}})


def test_species_stand_between_their_ceiling_and_each_other(rng, net, subject):
    common, own = rng.normal(size=(N, 6)), rng.normal(size=(N, 6))
    both = np.concatenate([common, own], axis=1)
    species = {
        "human": [subject(rng, both, f"h{i}", units=25, noise=0.5) for i in range(2)],
        "monkey": [subject(rng, common, f"m{i}", units=25, noise=0.5) for i in range(3)],
    }
    model = net(rng, fc=common)
    found = cross_species(model, species, CFG)
    assert found.model["monkey"].estimate.estimate > found.model["human"].estimate.high
    assert found.within["human"].low > 0.85 and found.within["monkey"].low > 0.85
    assert found.between["human", "monkey"].estimate > found.between["monkey", "human"].high
    assert found.gap["human"].high < 0 and not found.gap["monkey"].high < -0.02
    with pytest.raises(ValueError, match="human: 1 subjects"):
        cross_species(model, species | {"human": species["human"][:1]}, CFG)
    shifted = {"human": [replace(s, stimuli=[f"x{n}" for n in NAMES]) for s in species["human"]]}
    with pytest.raises(ValueError, match="0 stimuli are shared"):
        cross_species(model, species | shifted, CFG)
