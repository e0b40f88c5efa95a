"""Studies are split by what they share, and hidden foci are exactly those that are not seen."""

import numpy as np
import pytest

from neurolib.data.coordinate_splits import (
    development_subset,
    hide_all,
    hide_half,
    hide_table,
    split_by_year,
    split_studies,
)
from neurolib.data.coordinates import tiny


def corpus(n: int = 200, copies: int = 30):
    """Studies of 1 to 9 foci in up to three tables; the last ones copy the foci of the first ones."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 10, n)
    counts[n - copies :] = counts[:copies]
    xyz = [rng.integers(-60, 60, (k, 3)).astype(float) for k in counts]
    xyz[n - copies :] = xyz[:copies]
    study = np.repeat(np.arange(n), counts)
    table = 10 * study + np.concatenate([np.sort(rng.integers(0, 3, k)) for k in counts])
    return tiny(np.concatenate(xyz), study, table=table, year=rng.integers(2000, 2018, n).astype(float))


def test_every_study_is_in_one_part_and_copies_stay_together():
    studies = corpus()
    split = split_studies(studies, seed=3)
    parts = [set(p.tolist()) for p in (split.train, split.valid, split.test)]
    assert sorted(i for p in parts for i in p) == list(range(200))
    groups = [set(studies.duplicate_groups[list(p)].tolist()) for p in parts]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert abs(len(split.train) - 140) < 12
    assert split.sha256 == split_studies(studies, seed=3).sha256 != split_studies(studies, seed=4).sha256


def test_a_split_by_year_trains_on_the_past():
    studies = corpus()
    split = split_by_year(studies, valid=2010, test=2014)
    assert studies.year[split.train].max() < 2010 <= studies.year[split.valid].min()
    assert studies.year[split.valid].max() < 2014 <= studies.year[split.test].min()
    with pytest.raises(ValueError, match="1 studies have no year"):
        split_by_year(tiny([[0.0, 0, 0]], [0]))


@pytest.mark.parametrize("hide", [hide_half, hide_table, hide_all])
def test_seen_and_hidden_foci_are_all_foci_of_a_study_once(hide):
    studies = corpus()
    hold_out = hide(studies, np.arange(50, 150))
    assert len(hold_out.studies) > 20
    for i, study in enumerate(hold_out.studies):
        seen, hidden = hold_out.seen[hold_out.seen_of == i], hold_out.hidden[hold_out.hidden_of == i]
        assert sorted([*seen, *hidden]) == list(range(studies.first[study], studies.first[study + 1]))
        assert len(hidden)


def test_a_half_is_half_and_a_table_is_a_table():
    studies = corpus()
    half = hide_half(studies, np.arange(200))
    assert studies.counts[half.studies].min() >= 4
    np.testing.assert_array_equal(np.bincount(half.seen_of), studies.counts[half.studies] // 2)
    table = hide_table(studies, np.arange(200))
    for i in range(len(table.studies)):
        hidden = studies.table[table.hidden[table.hidden_of == i]]
        assert len(set(hidden)) == 1
        assert hidden[0] not in studies.table[table.seen[table.seen_of == i]]
        assert len(hidden) >= 2
    again = hide_table(studies, np.arange(200))
    np.testing.assert_array_equal(table.hidden, again.hidden)


def test_a_development_subset_is_spread_over_the_years():
    studies = corpus()
    chosen = development_subset(studies, np.arange(200), n=60)
    assert len(set(chosen.tolist())) == 60
    assert abs(np.median(studies.year[chosen]) - np.median(studies.year)) <= 1
    with pytest.raises(ValueError, match="n=300 of 200 studies"):
        development_subset(studies, np.arange(200), n=300)


def test_shares_must_leave_something_to_test_on():
    with pytest.raises(ValueError, match="must be above 0 and leave some for test"):
        split_studies(corpus(), shares=(0.8, 0.2))
