"""Dictionaries on disk: the same function there and back, in the layout of SAELens, and refusals."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neurolib.interpret.dictionaries.files import SETTINGS, WEIGHTS, load_dictionary, save_dictionary
from neurolib.interpret.dictionaries.penalised import GatedConfig, JumpReLUConfig, ReLUConfig
from neurolib.interpret.dictionaries.topk import BatchTopKConfig, TopKConfig
from neurolib.interpret.dictionaries.training import DictionaryTraining, train_dictionary

KINDS = {
    "standard": ReLUConfig(9, penalty=0.2),
    "topk": TopKConfig(9, k=2),
    "batch": BatchTopKConfig(9, k=2),
    "jumprelu": JumpReLUConfig(9, penalty=0.2),
    "gated": GatedConfig(9, penalty=0.2),
}
X = torch.randn(300, 5, generator=torch.Generator().manual_seed(0)) * 7 + 3


@pytest.fixture(scope="module")
def trained():
    return {name: train_dictionary(cfg, X, DictionaryTraining(steps=40))[0] for name, cfg in KINDS.items()}


def as_saelens_does(settings: dict, w: dict, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and reconstructions by the formulas in SAELens's source, from the file alone."""
    x = x - w["b_dec"] * settings["apply_b_dec_to_input"]
    kind = settings["architecture"]
    if kind == "gated":
        gate = (x @ w["W_enc"] + w["b_gate"] > 0).float()
        f = gate * torch.relu(x @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"])
    else:
        z = x @ w["W_enc"] + w["b_enc"]
        f = torch.relu(z)
        if kind == "topk":
            values, at = z.topk(settings["k"], dim=-1)
            f = torch.zeros_like(z).scatter(-1, at, values.relu())
        elif kind == "jumprelu":
            f = f * (z > w["threshold"])
    return f, f @ w["W_dec"] + w["b_dec"]


@pytest.mark.parametrize("name", KINDS)
def test_a_dictionary_comes_back_as_it_was_and_its_file_means_the_same_there(tmp_path, trained, name):
    model = trained[name]
    folder = save_dictionary(model, tmp_path / "sae")
    back = load_dictionary(folder)
    np.testing.assert_allclose(back.encode(X), model.encode(X), atol=2e-4)
    np.testing.assert_allclose(back(X), model(X), atol=2e-3)
    np.testing.assert_allclose(back.W_dec.norm(dim=1), 1, atol=1e-5)
    np.testing.assert_allclose(back.mean, model.mean)
    settings = json.loads((folder / SETTINGS).read_text())
    features, rebuilt = as_saelens_does(settings, load_file(folder / WEIGHTS), X)
    np.testing.assert_allclose(features, model.encode(X), atol=2e-4)
    np.testing.assert_allclose(rebuilt, model(X), atol=2e-3)
    assert (settings["d_in"], settings["d_sae"]) == (5, 9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sae"]


def foreign(folder, settings=None, **weights):
    """A file that SAELens would have written."""
    torch.manual_seed(0)
    w = {
        "W_enc": torch.randn(4, 6),
        "W_dec": torch.randn(6, 4),
        "b_dec": torch.randn(4),
        "b_enc": torch.zeros(6),
    }
    w = {key: value for key, value in (w | weights).items() if value is not None}
    folder.mkdir()
    (folder / SETTINGS).write_text(
        json.dumps({"architecture": "standard", "d_in": 4, "d_sae": 6} | (settings or {}))
    )
    save_file({key: value.contiguous() for key, value in w.items()}, folder / WEIGHTS)
    return folder, w


def test_a_file_of_others_is_read_with_atoms_of_any_norm(tmp_path):
    folder, w = foreign(tmp_path / "a")
    x = torch.randn(8, 4)
    settings = {"architecture": "standard", "apply_b_dec_to_input": True}
    features, rebuilt = as_saelens_does(settings, w, x)
    model = load_dictionary(folder)
    np.testing.assert_allclose(model.encode(x), features, atol=1e-5)
    np.testing.assert_allclose(model(x), rebuilt, atol=1e-5)


def test_topk_chosen_by_the_norm_of_atoms_is_read_as_such(tmp_path):
    folder, w = foreign(
        tmp_path / "a", {"architecture": "topk", "k": 2, "rescale_acts_by_decoder_norm": True}
    )
    x, norm = torch.randn(8, 4), w["W_dec"].norm(dim=1)
    z = ((x - w["b_dec"]) @ w["W_enc"]) * norm
    values, at = z.topk(2, dim=-1)
    f = torch.zeros_like(z).scatter(-1, at, values.relu())
    np.testing.assert_allclose(load_dictionary(folder)(x), (f / norm) @ w["W_dec"] + w["b_dec"], atol=1e-4)


def test_older_files_with_logarithms_of_thresholds_are_read(tmp_path):
    folder, _ = foreign(tmp_path / "a", {"architecture": "jumprelu"}, log_threshold=torch.full((6,), -1.0))
    np.testing.assert_allclose(load_dictionary(folder).threshold, np.exp(-1), rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "weights", "words"),
    [
        ({"architecture": "transcoder"}, {}, "architecture 'transcoder' is not known"),
        ({"architecture": ["standard"]}, {}, "is not known"),
        ({"normalize_activations": "layer_norm"}, {}, "normalize_activations"),
        ({"reshape_activations": "hook_z"}, {}, "reshape_activations"),
        ({"apply_b_dec_to_input": False}, {}, "apply_b_dec_to_input"),
        ({"d_sae": "6"}, {}, "d_sae"),
        ({"d_in": 10**12}, {}, "d_in"),
        ({"architecture": "topk"}, {}, "k=None"),
        ({"architecture": "topk", "k": 7}, {}, "k=7"),
        ({"architecture": "gated"}, {}, "b_enc|b_mag"),
        ({}, {"b_enc": torch.zeros(5)}, "b_enc"),
        ({}, {"b_dec": None}, "b_dec is nothing"),
        ({}, {"extra": torch.zeros(1)}, "extra"),
        ({"metadata": {"neurolib": {"scale": -1.0, "mean": [0.0] * 4}}}, {}, "scale -1.0"),
        ({"metadata": {"neurolib": {"mean": [0.0] * 4}}}, {}, "was it edited"),
    ],
)
def test_what_is_not_built_here_is_refused(tmp_path, settings, weights, words):
    folder, _ = foreign(tmp_path / "a", settings, **weights)
    with pytest.raises(ValueError, match=words):
        load_dictionary(folder)


def test_damaged_and_missing_files_are_named(tmp_path):
    folder, _ = foreign(tmp_path / "a")
    whole = (folder / WEIGHTS).read_bytes()
    for damaged in (whole[:40], struct.pack("<Q", 1 << 60) + whole[8:]):
        (folder / WEIGHTS).write_bytes(damaged)
        with pytest.raises(ValueError, match="cut short"):
            load_dictionary(folder)
    (folder / WEIGHTS).write_bytes(whole)
    for text in ("{", "[]"):
        (folder / SETTINGS).write_text(text)
        with pytest.raises(ValueError, match=r"cfg\.json"):
            load_dictionary(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        load_dictionary(folder)


def test_nothing_is_replaced_unasked_and_nothing_else_ever(tmp_path, trained):
    model, folder = trained["topk"], tmp_path / "sae"
    save_dictionary(model, folder)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_dictionary(model, folder)
    save_dictionary(trained["gated"], folder, overwrite=True)
    assert type(load_dictionary(folder)).__name__ == "GatedDictionary"
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        save_dictionary(model, folder, overwrite=True)
    assert (folder / "thesis.tex").read_text() == "mine"


def test_an_interrupted_write_leaves_what_was_there(tmp_path, trained, monkeypatch):
    folder = save_dictionary(trained["topk"], tmp_path / "sae")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("neurolib.interpret.dictionaries.files.save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        save_dictionary(trained["gated"], folder, overwrite=True)
    assert type(load_dictionary(folder)).__name__ == "TopK"
    assert [path.name for path in tmp_path.iterdir()] == ["sae"]
