"""Windows go out as files of plain arrays and come back; what could run code or lead elsewhere is refused."""

import json
import zipfile

import numpy as np
import pytest

from neurolib.data.exchange import batch_of, export_npz, import_npz
from neurolib.data.recording import Recording, Signal
from neurolib.data.windows import Cut, Windows
from neurolib.models.multimodal.inputs import unpack

SETTINGS = Windows(
    1.0, modalities={"spike": Cut(), "eeg": Cut("sampled", "eeg", shared=True)}, bin_size_s=0.1, behaviour="hand",
    label="label",
)  # fmt: skip


def make(n_units, channels, seed, name):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((80, len(channels)))
    values[25:28] = np.nan
    signals = {
        "eeg": Signal(np.arange(80) / 20, values, channels=channels),
        "hand": Signal(np.arange(40) / 10, rng.standard_normal((40, 2))),
    }
    trials = {"start_s": np.array([0.0, 2]), "stop_s": np.array([1.0, 3]), "label": np.array(["a", "b"])}
    spikes = [np.sort(rng.uniform(0, 4, 30)) for _ in range(n_units)]
    return Recording(spikes, [[0, 4]], signals, trials, name=name)


def test_windows_come_back(tmp_path):
    pair = [make(2, ("C3", "C4"), 0, "x"), make(4, ("C4",), 1, "y")]
    data = SETTINGS.build(pair, SETTINGS.vocabulary(pair))
    paths = export_npz(data, tmp_path, "valid")
    assert len(paths) == len(data) == 8 and {p.parent.name for p in paths} == {"valid"}
    windows = import_npz(tmp_path, "valid")
    assert windows[0]["spike"].shape == (10, 2) and windows[1]["eeg"].shape == (17, 2)  # gaps are left out
    assert windows[4]["metadata"]["recording"] == "y" and windows[2]["stimulus"] == 1
    batch, whole = batch_of(windows), data.tensors()
    for key in ("session", "subject", "label", "start_s"):
        assert batch[key].tolist() == whole[key].tolist()
    ours, theirs = unpack(whole), unpack(batch)
    for name in ours:
        mine, its = ours[name].checked(name), theirs[name].checked(name)
        for row in range(8):
            seen = mine.mask[row], its.mask[row]
            there = mine.channel_mask[row], its.channel_mask[row]
            assert mine.channel[row][there[0]].tolist() == its.channel[row][there[1]].tolist()
            assert mine.time[row][seen[0]].tolist() == pytest.approx(its.time[row][seen[1]].tolist())
            values = [x.values[row][s][:, c] for x, s, c in zip((mine, its), seen, there, strict=True)]
            np.testing.assert_array_equal(*values)
    np.testing.assert_array_equal(batch["behaviour/values"], whole["behaviour/values"])


def test_a_file_of_another_program_without_clock_or_names(tmp_path):
    (tmp_path / "train").mkdir()
    notes = json.dumps({"session": 2})
    np.savez(
        tmp_path / "train" / "w.npz", lfp=np.ones((50, 3)), behavior=np.zeros(50), stimulus=4, metadata=notes
    )
    batch = batch_of(import_npz(tmp_path), window_s=0.5)
    lfp = unpack(batch)["lfp"].checked()
    assert lfp.rate_hz == pytest.approx(100) and lfp.channel.tolist() == [[0, 1, 2]]
    assert (
        batch["behaviour/values"].shape == (1, 50, 1)
        and int(batch["label"]) == 4
        and int(batch["session"]) == 2
    )


class Bomb:
    def __reduce__(self):
        return print, ("unpickled",)


def save_object(path):
    np.savez(path, eeg=np.array([Bomb()], dtype=object))


def save_outside(path):
    with zipfile.ZipFile(path, "w") as file, file.open("../eeg.npy", "w") as stream:
        np.save(stream, np.ones(3))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (save_object, "holds Python objects"),
        (save_outside, "leads out of its folder"),
        (lambda path: path.write_bytes(b"PK\x03\x04 not a zip"), "not a window of plain arrays"),
        (lambda path: path.write_bytes(b""), "not a window of plain arrays"),
        (lambda path: np.savez(path, metadata="{"), "metadata is not JSON"),
        (lambda path: np.savez(path, metadata="[1]"), "metadata is not JSON"),
        (lambda path: np.savez(path, eeg=np.array(["a"])), "only metadata may be text"),
    ],
)
def test_what_is_not_plain_arrays_is_refused(tmp_path, capsys, write, message):
    (tmp_path / "train").mkdir()
    write(tmp_path / "train" / "bad.npz")
    with pytest.raises(ValueError, match=rf"bad\.npz.*{message}"):
        import_npz(tmp_path)
    assert "unpickled" not in capsys.readouterr().out


def test_paths_stay_in_the_folder(tmp_path):
    inside = tmp_path / "windows"
    (inside / "train").mkdir(parents=True)
    np.savez(tmp_path / "secret.npz", eeg=np.ones((2, 2)))
    (inside / "train" / "link.npz").symlink_to(tmp_path / "secret.npz")
    with pytest.raises(ValueError, match="leads out of"):
        import_npz(inside)
    data = SETTINGS.build([make(1, ("C3",), 0, "x")], {"spike": {"x/0": 0}, "eeg": {"C3": 0}})
    for act in (lambda: import_npz(inside, "../.."), lambda: export_npz(data, inside, "../up")):
        with pytest.raises(ValueError, match="leads out of its folder"):
            act()
    with pytest.raises(FileNotFoundError, match=r"no \.npz files"):
        import_npz(tmp_path, "test")
    events = Windows(1.0, modalities={"spike": Cut("events")})
    with pytest.raises(ValueError, match="cut it as counts"):
        export_npz(events.build([make(1, ("C3",), 0, "x")], {"spike": {"x/0": 0}}), inside)
