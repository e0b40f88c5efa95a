"""Named numbers and how to ask for them."""

import numpy as np
import pytest

from neurolib.alignment.results import Result, Results, merged


@pytest.fixture
def results():
    layers = {"layer": ("conv", "fc")}
    return Results(
        [
            Result("a", "cka", np.array([0.2, 0.7]), ("layer",), layers, against="monkey", chance=0.0),
            Result(
                "a",
                "cka",
                np.array([0.1, np.nan]),
                ("layer",),
                layers,
                against="human",
                warnings=("fc is constant",),
            ),
            Result("b", "effective_rank", 4.0),
        ]
    )


def test_one_is_found_by_what_is_said_of_it(results):
    assert results.get("effective_rank").model == "b"
    assert results["a", "cka", "monkey"]["fc"] == 0.7 and results["a", "cka", "monkey"].best() == ("fc",)
    assert results.models == ("a", "b") and results.metrics == ("cka", "effective_rank")
    assert results.warnings == ("a, cka: fc is constant",)
    assert "a  cka  against monkey: 0.2 to 0.7, chance 0" in results.summary()
    assert len(merged([results, results])) == 6


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.get("cka"), r"measured 2 times \(a against monkey, a against human\)"),
        (lambda r: r.get("rsa"), "no 'rsa'; there are cka, effective_rank of a, b"),
        (lambda r: r["a"], "want results"),
        (
            lambda r: r["a", "cka", "monkey"]["pool"],
            r"no layer 'pool' in cka of a; there are \['conv', 'fc'\]",
        ),
    ],
)
def test_what_cannot_be_answered_says_what_could(results, ask, message):
    with pytest.raises(KeyError, match=message):
        ask(results)


def test_shapes_and_names_must_fit():
    with pytest.raises(ValueError, match="axis 'layer' has 2 entries and 1 names"):
        Result("a", "cka", np.zeros(2), ("layer",), {"layer": ("conv",)})
    with pytest.raises(ValueError, match=r"low \(3,\) for values \(2,\)"):
        Result("a", "cka", np.zeros(2), ("layer",), {"layer": ("x", "y")}, low=np.zeros(3))
    with pytest.raises(ValueError, match="not defined anywhere: constant"):
        Result("a", "cka", [np.nan], ("layer",), {"layer": ("x",)}, warnings=("constant",)).best()
