"""The fibre test where the truth is known: flat tori, a change that was put in, scipy's Welch test."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2, ttest_ind

from neurolib.metrics.fibre_test import (
    FibreTestConfig,
    embedding_singularities,
    fibre_test,
    fibre_test_of_distances,
)


def torus(n, d, n_neighbours, n_rows, seed=0):
    x = np.random.default_rng(seed).random((n, d))
    found = []
    for row in x[:n_rows]:
        gap = np.abs(x - row)
        found.append(np.sort(np.linalg.norm(np.minimum(gap, 1 - gap), axis=1))[1 : n_neighbours + 1])
    return np.array(found)


def changing(dimensions, n_rows, last, seed=0):
    """Distances of points whose dimension changes half-way up the ranks from 10 on."""
    draw, middle = np.random.default_rng(seed), (last + 10) // 2
    rank = np.arange(1, last)
    d = np.where(rank < middle, *dimensions)
    steps = draw.exponential(size=(n_rows, last - 1)) / rank / d
    return np.exp(np.concatenate([np.zeros((n_rows, 1)), np.cumsum(steps, axis=1)], axis=1))


@pytest.mark.parametrize("d", [2, 10])
@pytest.mark.parametrize("method", ["spacings", "robinson"])
def test_a_flat_torus_is_rejected_as_often_as_promised(d, method):
    # points far from each other share few neighbours; the rest of the torus is there for them
    found = fibre_test_of_distances(torus(2000, d, 110, 1000), FibreTestConfig(method, n_null=5000))
    assert 0.03 <= found.share_below(0.05) <= 0.07
    assert found.share_below(0.01) < 0.02
    assert found.rejected.mean() < 0.01
    assert np.median(found.dimension) == pytest.approx(d, rel=0.1)
    if method == "robinson":  # what is published as 0.00033
        assert (found.raw_p_value < 1e-3 / 3).mean() > 0.015


@pytest.mark.parametrize(("before", "after"), [(4, 8), (8, 4)])
def test_a_change_of_dimension_is_found_with_its_direction(before, after):
    distances = changing((before, after), 500, 500)
    found = fibre_test_of_distances(distances, FibreTestConfig())
    assert found.share_below(0.01) >= 0.4
    sure = found.p_value < 1e-3
    assert (found.direction[sure] == np.sign(after - before)).mean() > 0.99
    rank = np.array([np.searchsorted(row, r) for row, r in zip(distances, found.radius, strict=True)])
    assert abs(np.median(rank[sure]) - 255) < 25
    welch = fibre_test_of_distances(distances[:200], FibreTestConfig("robinson", n_null=500))
    assert welch.share_below(0.01) < found.share_below(0.01) / 4


def test_welch_p_is_that_of_scipy_window_by_window():
    distances = torus(400, 3, 80, 5)
    found = fibre_test_of_distances(distances, FibreTestConfig("robinson", first=5, window=6, n_null=100))
    for row, raw, radius, direction in zip(
        distances[:, 4:], found.raw_p_value, found.radius, found.direction, strict=True
    ):
        slope = np.gradient(np.log(np.arange(5, 81))) / np.gradient(np.log(row))
        tests = {
            w: ttest_ind(slope[w + 6 : w + 12], slope[w - 12 : w - 6], equal_var=False)
            for w in range(12, len(slope) - 12)
        }
        best = min(tests, key=lambda w: tests[w].pvalue)
        assert_allclose(raw, tests[best].pvalue, rtol=1e-7)
        assert radius == row[best] and direction == np.sign(tests[best].statistic)


def test_dimension_and_its_interval_are_those_of_exponential_spacings():
    d = 6
    found = fibre_test_of_distances(changing((d, d), 1000, 130), FibreTestConfig())
    covered = (found.low < d) & (d < found.high)
    assert 0.93 < covered.mean() < 0.97
    z = np.arange(10, 130) * np.diff(np.log(changing((d, d), 1, 130, seed=3)[0]))[9:]
    one = fibre_test_of_distances(changing((d, d), 1, 130, seed=3), FibreTestConfig(level=0.1, n_null=100))
    assert_allclose(one.dimension, 1 / z.mean())
    assert_allclose([one.low[0], one.high[0]], chi2.ppf([0.05, 0.95], 240) / (2 * z.sum()))


def test_many_points_with_a_change_can_be_told_from_the_simulated_ones():
    distances = changing((2, 20), 3, 500)
    p = fibre_test_of_distances(distances, FibreTestConfig(n_null=100)).p_value
    assert (p < 1e-6).all()  # exact tails go on where 100 simulated points end


def test_false_discoveries_are_held_over_points():
    distances = np.concatenate([changing((2, 20), 10, 500), changing((5, 5), 190, 500, seed=1)])
    found = {c: fibre_test_of_distances(distances, FibreTestConfig(correction=c)) for c in ("bh", "by")}
    assert found["bh"].rejected[:10].all() and found["bh"].rejected[10:].mean() < 0.03
    harmonic = (1 / np.arange(1, 201)).sum()
    assert_allclose(found["by"].q_value, np.minimum(found["bh"].q_value * harmonic, 1))


def test_equal_points_share_one_result_and_blocks_do_not_matter(monkeypatch):
    x = np.random.default_rng(0).normal(size=(750, 4))
    config = FibreTestConfig(n_null=500)
    whole = fibre_test(x, config)
    doubled = fibre_test(np.concatenate([x, x[:30]]), config)
    assert_array_equal(doubled.p_value[:750], whole.p_value)
    assert_array_equal(doubled.p_value[750:], whole.p_value[:30])
    monkeypatch.setattr("neurolib.metrics.fibre_test.BLOCK", 64)
    some = fibre_test(x, config, rows=[7, 3, 7])
    assert_allclose(some.dimension, whole.dimension[[7, 3, 7]], rtol=1e-9)
    gap = np.sort(np.linalg.norm(x - x[3], axis=1))[1:76]
    assert_allclose(fibre_test_of_distances(gap[None], config).dimension, whole.dimension[3])


def test_rounded_points_are_warned_about():
    x = np.random.default_rng(0).random((1000, 2)) + 20  # a common offset leaves half precision few digits
    with pytest.warns(UserWarning, match="half precision"):
        found = fibre_test(x.astype(np.float16))
    assert found.ties > 0.01 and fibre_test(x).ties == 0


def test_the_summary_names_what_was_planted():
    draw = np.random.default_rng(0)
    line = np.zeros((300, 5))
    line[:, 0] = draw.random(300) - 0.5  # a line through a cloud of five dimensions
    points = np.concatenate([line, draw.random((700, 5)) - 0.5])
    ids = np.array([f"t{i}" for i in range(1000)])
    found = embedding_singularities(points, FibreTestConfig(last=500, window=50), ids)
    assert found.count == len(found.ids) and found.share == found.count / 1000
    on_line = np.array([int(i[1:]) < 300 for i in found.ids])
    assert on_line.sum() > 100 and (found.direction[on_line] == 1).mean() > 0.9
    assert (np.diff(found.p_value) >= 0).all() and found.share_below >= found.share > found.expected


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: fibre_test(np.eye(300)), "700 points do"),
        (lambda: fibre_test(np.full((800, 2), np.nan)), "finite"),
        (lambda: FibreTestConfig(last=900).build(800), "last=900 of 800"),
        (lambda: FibreTestConfig("robinson", last=40).build(800), "gap"),
        (lambda: FibreTestConfig(window=60, last=100).build(800), "two windows"),
        (lambda: FibreTestConfig("tda"), "robinson"),
        (
            lambda: fibre_test_of_distances(np.ones((2, 90))[:, ::-1].cumsum(1)[:, ::-1], FibreTestConfig()),
            "nearest",
        ),
        (lambda: fibre_test_of_distances(np.zeros((2, 90)), FibreTestConfig()), "no distance"),
        (lambda: embedding_singularities(np.random.default_rng(0).random((700, 2)), ids=["a"]), "1 ids"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
