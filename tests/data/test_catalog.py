import argparse
import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neurolib.data import catalog, commands
from neurolib.data.catalog import DataFile, Dataset

CONTENT = {"a.bin": b"spikes", "sub/b.bin": b"movement"}


def toy(**changes):
    files = tuple(
        DataFile(path, len(content), hashlib.sha256(content).hexdigest(), f"https://example.org/{path}")
        for path, content in CONTENT.items()
    )
    entry = Dataset(
        id="toy",
        title="Toy",
        modality="spikes",
        species="none",
        area="none",
        licence="not stated",
        cite=("nobody2000",),
        source="https://example.org",
        version="1",
        how="by hand",
        folder="toys",
        files=files,
    )
    return replace(entry, **changes)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data folder with one whole dataset, and a catalog that knows only that."""
    for path, content in CONTENT.items():
        target = tmp_path / "toys" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    monkeypatch.setattr(catalog, "datasets", lambda: {"toy": toy()})
    return tmp_path


def command(*words):
    parser = argparse.ArgumentParser()
    commands.add_parser(parser.add_subparsers())
    args = parser.parse_args(["data", *words])
    args.handler(args)


def test_the_catalog_holds_the_benchmark_and_the_small_recordings():
    entries = catalog.datasets()
    nlb = {"area2_bump", "mc_maze", "mc_maze_large", "mc_maze_medium", "mc_maze_small", "mc_rtt", "dmfc_rsg"}
    small = {"spykesml_s1", "spykesml_m1", "centuri_grasp", "mc_maze_trials"}
    coordinates = {"neurosynth", "neuroquery", "neurovault_testmaps"}
    signals = {
        "eegmmidb_s001",
        "gw_fmri",
        "lfp_samples",
        "py_neuromod_ecog",
        "myo_emg",
        "rsa_92images",
        "zivlab_place_calcium",
    }
    signals |= {"zebrafish_regions"}
    assert nlb | small | coordinates | signals == set(entries)
    for id in nlb:
        assert entries[id].licence == "CC-BY-4.0"
        assert entries[id].folder == id
        assert all(f"@{entries[id].version}/{file.path}" in file.url for file in entries[id].files)
    assert entries["mc_rtt"].bytes == 49_764_168 + 1_201_344


def test_no_two_files_of_the_catalog_share_a_place():
    places = [(entry.folder, file.path) for entry in catalog.datasets().values() for file in entry.files]
    assert len(set(places)) == len(places)


def test_the_catalog_needs_the_standard_library_alone():
    code = (
        "import sys; before = set(sys.modules); import neurolib.data.catalog as c; c.datasets();"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'neurolib'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "path", ["../outside", "a/../../b", "/etc/passwd", "C:\\x", "a\\..\\..\\b", "C:x", "", ".", "a\x00b"]
)
@pytest.mark.parametrize("field", ["folder", "path"])
def test_no_entry_can_reach_out_of_its_folder(path, field):
    good = toy()
    with pytest.raises(ValueError, match=r"leads out of its folder|names nothing"):
        replace(good, folder=path) if field == "folder" else replace(good.files[0], path=path)


def test_a_malicious_catalog_file_is_refused_by_name_of_entry(tmp_path):
    text = catalog.ENTRIES.read_text().replace('path = "s1_data.mat"', 'path = "../../.bashrc"')
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=r"bad.toml, entry \[spykesml_s1\].*leads out"):
        catalog.read(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('licence = "not stated"\n', "", "licence"),
        ('licence = "not stated"\n', 'licence = "not stated"\nlicense = "MIT"\n', "license"),
        ("bytes = 1_423_448", "bytes = 0", "bytes=0"),
        ('sha256 = "f6bbe', 'sha256 = "F6bbe', "sha256"),
        ("[spykesml_s1]", "[spykesml_s1", "not a TOML file"),
    ],
)
def test_a_faulty_catalog_file_is_refused_with_its_fault(tmp_path, old, new, message):
    text = catalog.ENTRIES.read_text()
    assert old in text
    (tmp_path / "bad.toml").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        catalog.read(tmp_path / "bad.toml")


def test_the_data_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path / "mine"))
    assert catalog.data_root() == tmp_path / "mine"
    monkeypatch.setenv("NEUROLIB_DATA", "~/data")
    assert catalog.data_root() == Path.home() / "data"
    monkeypatch.delenv("NEUROLIB_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert catalog.data_root() == tmp_path / "cache" / "neurolib"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert catalog.data_root() == Path.home() / ".cache" / "neurolib"


def test_a_whole_dataset_is_present_and_verified(root):
    assert catalog.is_present("toy")
    paths = [root / "toys" / path for path in CONTENT]
    assert catalog.require("toy") == catalog.verify("toy") == paths


def test_a_missing_file_is_named_with_its_place_and_the_remedy(root):
    (root / "toys" / "sub" / "b.bin").unlink()
    assert not catalog.is_present("toy")
    with pytest.raises(FileNotFoundError, match=r"sub/b.bin is not in .*toys; run `neurolib data fetch toy`"):
        catalog.require("toy")


def test_a_truncated_file_is_told_from_another_one(root):
    (root / "toys" / "a.bin").write_bytes(b"spik")
    with pytest.raises(ValueError, match="has 4 bytes, 6 expected; truncated"):
        catalog.require("toy")
    (root / "toys" / "a.bin").write_bytes(b"spikes and more")
    with pytest.raises(ValueError, match="another version"):
        catalog.verify("toy")


def test_verify_sees_one_flipped_bit(root):
    (root / "toys" / "a.bin").write_bytes(b"spiker")
    assert catalog.require("toy")  # the size is right
    found, expected = hashlib.sha256(b"spiker").hexdigest(), hashlib.sha256(b"spikes").hexdigest()
    with pytest.raises(ValueError, match=f"a.bin.*{expected} expected, {found} found"):
        catalog.verify("toy")


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean area2_bump"):
        catalog.dataset("area2bump")
    with pytest.raises(ValueError, match="it has area2_bump, centuri_grasp"):
        catalog.dataset("zzz")


def test_list_says_what_is_here_what_is_not_and_what_is_damaged(root, capsys, monkeypatch):
    absent = toy(id="absent", folder="elsewhere")
    monkeypatch.setattr(catalog, "datasets", lambda: {"toy": toy(), "absent": absent})
    command("list")
    head, here, gone = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "modality", "size", "licence", "present"]
    assert here.split() == ["toy", "spikes", "0.014", "kB", "not", "stated", "yes"]
    assert gone.endswith("no")
    assert head.index("licence") == here.index("not stated") == gone.index("not stated")
    (root / "toys" / "a.bin").write_bytes(b"")
    command("list")
    assert capsys.readouterr().out.splitlines()[1].endswith("damaged")


def test_show_prints_licence_citation_and_hashes(capsys):
    command("show", "spykesml_s1")
    shown = capsys.readouterr().out
    for expected in ("not stated (", "benjamin2018", "f6bbe27135636b94", "KordingLab/spykesML"):
        assert expected in shown


def test_where_prints_the_folder_alone(root, capsys):
    command("where")
    assert capsys.readouterr().out == f"{root}\n"


def test_the_verify_command_goes_on_after_a_failure_and_then_fails(root, capsys, monkeypatch):
    absent = toy(id="absent", folder="elsewhere")
    monkeypatch.setattr(catalog, "datasets", lambda: {"absent": absent, "toy": toy()})
    with pytest.raises(ValueError, match=r"^absent: a.bin is not in"):
        command("verify", "absent", "toy")
    assert capsys.readouterr().out == "toy: every file as published\n"
    command("verify")  # without ids: what is here
    assert capsys.readouterr().out == "toy: every file as published\n"


def test_the_verify_command_does_not_pass_on_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no dataset of the catalog is in"):
        command("verify")
