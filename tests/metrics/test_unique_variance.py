"""Unique variance against fits of every model, fold and null by itself."""

import numpy as np
import pytest

from neurolib.metrics.nulls import null_orders
from neurolib.metrics.unique_variance import (
    UniqueVariance,
    UniqueVarianceConfig,
    UniqueVarianceTest,
    design,
    semantics,
)


def data(n: int = 240, units: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n // 8), 8)
    place, condition = rng.normal(size=n), (np.arange(n // 8) % 3)[group]
    speed = 0.7 * place + rng.normal(size=n)
    values = np.column_stack([place, speed, place + condition, rng.normal(size=n)])[:, :units]
    values = values + 0.5 * rng.normal(size=values.shape)
    variables = {"place": design(place), "speed": design(speed), "condition": design(condition)}
    return values, variables, group


def test_shares_are_those_of_fits_by_hand():
    values, variables, group = data()
    config = UniqueVarianceConfig(n_permutations=0, ridge=0.0)
    test = UniqueVarianceTest(variables, group, config)
    found = test.measure(values)
    total = ((values - values.mean(axis=0)) ** 2).sum(axis=0)

    def r2(names):
        columns = np.column_stack([*(variables[name] for name in names), np.ones(len(values))])
        error = 0
        for fold in range(5):
            inside = test.fold == fold
            weights = np.linalg.lstsq(columns[~inside], values[~inside], rcond=None)[0]
            error = error + ((values[inside] - columns[inside] @ weights) ** 2).sum(axis=0)
        return 1 - error / total

    np.testing.assert_allclose(found.full, r2(variables), atol=1e-8)
    for number, name in enumerate(variables):
        expected = r2(variables) - r2([other for other in variables if other != name])
        np.testing.assert_allclose(found.unique[:, number], expected, atol=1e-8)
    assert all(len(np.unique(test.fold[group == g])) == 1 for g in np.unique(group))


def test_p_values_are_those_of_refitted_permutations():
    values, variables, group = data(seed=1)
    config = UniqueVarianceConfig(n_permutations=25, seed=3)
    found = UniqueVarianceTest(variables, group, config).measure(values)

    def error(columns):
        columns = np.column_stack([columns, np.ones(len(values))])
        weights = np.linalg.lstsq(columns, values, rcond=None)[0]
        return ((values - columns @ weights) ** 2).sum(axis=0)

    for number, (name, columns) in enumerate(variables.items()):
        rest = np.column_stack([v for other, v in variables.items() if other != name])
        orders = null_orders(columns, group, 25, 3 + 1 + number)
        assert (np.diff(orders[0]) == 0).any() == (name == "condition")  # dealt trial by trial, or shifted
        null = np.array([error(np.column_stack([rest, columns[order]])) for order in orders])
        actual = error(np.column_stack([rest, columns]))
        np.testing.assert_allclose(
            found.p_value[:, number], (1 + (null <= actual + 1e-9).sum(axis=0)) / 26, atol=1e-9
        )


def test_what_is_shared_belongs_to_no_variable():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(100), 10)
    hidden = rng.normal(size=1000)
    one, two = (hidden + 0.05 * rng.normal(size=1000) for _ in range(2))
    values = (hidden + 0.3 * rng.normal(size=1000))[:, None]
    found = UniqueVarianceTest({"one": design(one), "two": design(two)}, group).measure(values)
    assert found.full[0] > 0.85 and np.abs(found.unique).max() < 0.03
    assert semantics(found).kind[0] == "none"


def test_precision_and_dead_units():
    values, variables, group = data(seed=4)
    test = UniqueVarianceTest(variables, group)
    exact, single = test.measure(values), test.measure((values + 500).astype(np.float32))
    np.testing.assert_allclose(single.unique, exact.unique, atol=2e-3)
    dead = test.measure(np.full((len(values), 1), 3.0))
    assert dead.full[0] == 0 and (dead.unique == 0).all() and (dead.p_value == 1).all()


def test_designs():
    rng = np.random.default_rng(5)
    angle = rng.uniform(0, 2 * np.pi, 300)
    shapes = {"labels": 3, "circular": 4, "linear": 1, "spline": 5}
    for kind, width in shapes.items():
        v = np.arange(300) % 4 if kind == "labels" else angle
        columns = design(v, kind)
        assert columns.shape == (300, width)
        np.testing.assert_allclose(
            [columns.mean(axis=0), columns.std(axis=0)], [[0] * width, [1] * width], atol=1e-9
        )
    assert design(rng.normal(size=(300, 2))).shape == (300, 2)  # a vector is linear
    bump = np.exp(-((angle - 3) ** 2))
    left = np.linalg.lstsq(np.column_stack([design(angle, "spline"), np.ones(300)]), bump, rcond=None)[1]
    assert left[0] < 0.15 * ((bump - bump.mean()) ** 2).sum()  # a shape that no line has
    with pytest.raises(ValueError, match="constant"):
        design(np.ones(5))
    with pytest.raises(ValueError, match="finite"):
        design([1.0, np.nan])
    with pytest.raises(ValueError, match="one of"):
        design([1.0, 2.0], "cubic")


def test_kinds_of_units():
    unique = np.array([[0.3, 0.05, 0.0], [0.3, 0.15, 0.0], [0.3, 0.2, 0.0], [0.04, 0, 0], [0.1, 0.1, 0.1]])
    p = np.array([[0.001, 0.001, 1], [0.001, 0.9, 1], [0.001, 0.001, 1], [0.001, 1, 1], [0.001] * 3])
    found = semantics(UniqueVariance(("a", "b", "c"), unique.sum(axis=1), unique, p), least=0.06)
    assert found.kind.tolist() == ["mono", "mixed", "poly", "none", "poly"]
    assert found.variable.tolist() == [0, -1, -1, -1, -1]
    assert found.entropy[4] == pytest.approx(1) and found.entropy[3] == 0
    assert sum(found.shares().values()) == pytest.approx(1)
    with pytest.raises(ValueError, match="two or more"):
        semantics(UniqueVariance(("a",), unique[:, 0], unique[:, :1], p[:, :1]))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"groups": np.zeros(10)}, "groups"),
        ({"designs": {"a": np.ones((3, 1)), "b": np.ones((4, 1))}}, "same samples"),
    ],
)
def test_mismatches_are_refused(change, match):
    rng = np.random.default_rng(0)
    designs = {"a": rng.normal(size=(240, 1)), "b": rng.normal(size=(240, 2))}
    with pytest.raises(ValueError, match=match):
        UniqueVarianceTest(**{"designs": designs} | change)
    with pytest.raises(ValueError, match="samples"):
        UniqueVarianceTest(designs, config=UniqueVarianceConfig(n_permutations=2)).measure(np.ones((3, 1)))
