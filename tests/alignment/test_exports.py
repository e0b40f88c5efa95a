"""Files that others read, and that come back the same."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from neurolib.alignment import exports
from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.results import Result, Results


@pytest.fixture
def results():
    layers = {"layer": ("blocks.0.x", "blocks.1.x")}
    return Results(
        [
            Result(
                "net", "cka", np.array([0.2, np.nan]), ("layer",), layers, "monkey", np.array([0.1, np.nan]),
                np.array([0.3, np.inf]), 0.0, 92, {"debiased": True, "k": np.int64(3)}, "",
                ("blocks.1.x is constant",), {"weights": "abc"},
            ),
            Result("net", "rank", 4.0),
            Result("net", "big", np.arange(200_000.0).reshape(2, -1), ("layer", "unit"),
                   layers | {"unit": range(100_000)}, chance=np.zeros((2, 100_000))),
        ]
    )  # fmt: skip


def assert_same(a, b):
    assert len(a) == len(b)
    for one, two in zip(a, b, strict=True):
        for name in ("model", "metric", "against", "dims", "n", "warnings"):
            assert getattr(one, name) == getattr(two, name)
        assert {axis: tuple(names) for axis, names in one.coords.items()} == dict(two.coords)
        for name in ("values", "low", "chance"):
            wanted = getattr(one, name)
            assert (wanted is None) == (getattr(two, name) is None)
            if wanted is not None:
                assert_array_equal(wanted, getattr(two, name))
        assert dict(one.params) == dict(two.params) and dict(one.provenance) == dict(two.provenance)


@pytest.mark.parametrize("suffix", [".json", ".npz", ".h5"])
def test_results_come_back(results, tmp_path, suffix):
    path = exports.save_results(results, tmp_path / f"found{suffix}")
    again = exports.load_results(path)
    assert_same(results, again)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_json_is_strict_and_large_arrays_stand_beside_it(results, tmp_path):
    path = exports.save_results(results, tmp_path / "found.json")

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    found = json.loads(path.read_text(), parse_constant=refuse)
    assert found["results"][0]["values"] == [0.2, None] and len(path.read_text()) < 2_000_000
    assert found["results"][2]["values"] == {"array": "2.values"}
    path.with_suffix(".npz").unlink()
    with pytest.raises(ValueError, match=r"was the \.npz left behind"):
        exports.load_results(path)


def test_matlab_reads_structures_with_its_own_kind_of_names(results, tmp_path):
    from scipy.io import loadmat

    path = exports.save_results(results, tmp_path / "found.mat")
    table = loadmat(path, squeeze_me=True)["results"]
    assert table["metric"].tolist() == ["cka", "rank", "big"]
    assert table["values"][0][0] == 0.2 and np.isnan(table["values"][0][1]) and table["values"][1] == 4
    assert table["coords"][0].tolist() == ["blocks.0.x", "blocks.1.x"]
    assert table["low"][1].size == 0 and json.loads(table["params"][0]) == {"debiased": True, "k": 3}


def test_a_write_that_fails_leaves_what_was_there(results, tmp_path, monkeypatch):
    path = exports.save_results(results, tmp_path / "found.npz")
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez_compressed", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        exports.save_results(Results([]), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_what_is_no_result_is_refused(tmp_path):
    for name, text, message in (
        ("a.json", "{}", "no results as JSON"),
        ("b.json", '{"schema_version": 9, "results": []}', "schema version 9"),
        ("c.h5", "text", "no HDF5"),
        ("d.csv", "", r"read from \.json"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            exports.load_results(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such file"):
        exports.load_results(tmp_path / "none.json")
    with pytest.raises(ValueError, match=r"not \.txt"):
        exports.save_results(Results([]), tmp_path / "a.txt")


def test_an_assembly_has_presentations_and_neuroids(tmp_path):
    import xarray

    brain = NeuralData(
        "m1", np.arange(12.0).reshape(2, 3, 2), ("a", "b", "c"), species="macaque", region="IT"
    )
    path = exports.save_assembly(brain, tmp_path / "it.nc")
    with xarray.open_dataarray(path, engine="scipy") as table:
        assert table.dims == ("presentation", "neuroid") and table.shape == (6, 2)
        assert table["stimulus_id"].values.astype(str).tolist() == ["a", "b", "c"] * 2
        assert table["repetition"].values.tolist() == [0, 0, 0, 1, 1, 1]
        assert table["region"].values.astype(str).tolist() == ["IT", "IT"]
        assert_array_equal(table.values, np.arange(12.0).reshape(6, 2))
    net = Capture("net", {"fc": np.ones((3, 2))}, ("a", "b", "c"), np.arange(3))
    exports.save_assembly(net, tmp_path / "net.nc", "fc")
    with pytest.raises(ValueError, match="net has no layer 'conv'; it has fc"):
        exports.save_assembly(net, tmp_path / "net.nc", "conv")


def test_the_rsa_toolbox_takes_them():
    rsatoolbox = pytest.importorskip("rsatoolbox")
    rdms = exports.to_rsatoolbox({"conv": np.arange(3.0), "fc": np.ones(3)}, "abc", "euclidean", "net")
    assert isinstance(rdms, rsatoolbox.rdm.RDMs) and rdms.rdm_descriptors["layer"] == ["conv", "fc"]
    assert_array_equal(rdms.get_matrices()[0][0], [0, 0, 1])
