"""A folder gives the model back, and says what is wrong with it."""

import json

import pytest
import torch

from neurolib.models.multimodal.network import MultimodalConfig
from neurolib.models.multimodal.pretrained import from_pretrained, save_pretrained


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = MultimodalConfig.preset("tiny", modalities=("spike", "eeg"), window_s=None).build().eval()
    made.add_channels("spike", ["a/0", "a/1", "b/7"])
    made.add_channels("eeg", ["Cz", "Pz"])
    return made


def test_a_model_is_restored_with_its_names(model, tmp_path):
    x = {"spike": torch.rand(2, 50, 3).round(), "eeg": torch.randn(2, 160, 2)}
    save_pretrained(model, tmp_path / "m")
    back = from_pretrained(tmp_path / "m")
    assert back.cfg == model.cfg and back.channels["spike"].names == ["a/0", "a/1", "b/7"]
    one, two = model(x), back(x)
    assert torch.equal(one["latents"], two["latents"]) and torch.equal(
        one["encoder"]["eeg"], two["encoder"]["eeg"]
    )
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]


def test_a_folder_is_not_overwritten_unless_asked(model, tmp_path):
    save_pretrained(model, tmp_path / "m")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_pretrained(model, tmp_path / "m")
    save_pretrained(model, tmp_path / "m", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_damage_is_named(model, tmp_path):
    folder = save_pretrained(model, tmp_path / "m")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="cut short"):
        from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(whole)
    about = json.loads((folder / "config.json").read_text())
    about["config"]["d"] = 128
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="of another model"):
        from_pretrained(folder)
    about["config"]["class"] = "Popen"
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="no settings called 'Popen'"):
        from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no config.json"):
        from_pretrained(folder)
