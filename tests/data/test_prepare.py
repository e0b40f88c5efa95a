"""Preparing a set: what is finished is kept, what may not or cannot be done is one clear error before it starts."""

import hashlib
import importlib
import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from neurolib.cli import main
from neurolib.data import dandi, recipes
from neurolib.data.prepare import Recipe, Request, Session, finished, prepare
from neurolib.data.recipes import RECIPES
from neurolib.data.recording import Recording, Signal
from neurolib.data.store import Store


class Source:
    """A local stand-in for an archive: five sessions, of which it can be told to fail some."""

    def __init__(self):
        self.asked, self.fail, self.n = [], {}, 5

    def read(self, number):
        self.asked.append(number)
        if self.fail.get(number):
            raise self.fail[number].pop(0)
        rng = np.random.default_rng(number)
        return Recording([np.sort(rng.uniform(0, 60, 50))], [[0, 60]], name=f"s{number}")

    def sessions(self, request):
        return [
            Session(f"day {n}", lambda n=n: self.read(n), 100_000_000, {"subject": f"m{n}"})
            for n in range(self.n)
        ]


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def recipe(source):
    return Recipe("toy", "spike", "CC-BY-4.0", True, ("https://example.org",), source.sessions, window_s=2.0)


def go(recipe, tmp_path, **options):
    said = []
    return prepare(recipe, tmp_path, say=said.append, wait_s=0.0, **options), said


def test_every_session_becomes_a_store_with_splits_and_a_line(recipe, source, tmp_path):
    paths, said = go(recipe, tmp_path, sessions=3)
    assert len(paths) == 3 and said[-1].startswith("[3/3] day 2")
    lines = [json.loads(line) for line in (paths[0].parent / "manifest.jsonl").read_text().splitlines()]
    for path, line in zip(paths, lines, strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == line["sha256"]
        with Store(path) as store:
            assert (
                store.split_hash == line["split_hash"] and store.attrs["subject"] == line["attrs"]["subject"]
            )
            assert store.splits["valid"][0, 0] - store.splits["train"][-1, 1] >= 2.0 - 1e-9
            assert store.attrs["licence"] == "CC-BY-4.0"


def test_a_killed_run_goes_on(recipe, source, tmp_path):
    source.fail[2] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        go(recipe, tmp_path)
    here = tmp_path / "prepared" / "toy"
    with open(here / "manifest.jsonl", "ab") as stream:
        stream.write(b'{"session": "day 2", "fi')  # cut off while writing
    source.asked.clear()
    paths, _ = go(recipe, tmp_path)
    assert source.asked == [2, 3, 4] and len(paths) == 5 and len(finished(here)) == 5
    source.asked.clear()
    paths[1].write_bytes(paths[1].read_bytes()[:-5])  # damaged since
    paths[3].unlink()
    assert len(go(recipe, tmp_path)[0]) == 5 and source.asked == [1, 3]
    source.asked.clear()
    manifest = here / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"store": 1', '"store": 0'))  # of another version
    assert len(go(recipe, tmp_path, sessions=2)[0]) == 2 and source.asked == [0, 1]
    assert not [path for path in here.iterdir() if path.suffix not in (".h5", ".jsonl")]


def test_a_connection_is_tried_three_times_and_what_was_made_is_kept(recipe, source, tmp_path):
    source.fail[1] = [ConnectionError("down"), ConnectionError("down")]
    source.fail[3] = [ConnectionError("gone")] * 3
    with pytest.raises(ConnectionError, match="gone"):
        go(recipe, tmp_path)
    assert source.asked == [0, 1, 1, 1, 2, 3, 3, 3]
    assert set(finished(tmp_path / "prepared" / "toy")) == {"day 0", "day 1", "day 2"}


def test_a_session_that_cannot_be_read_does_not_stop_the_others(recipe, source, tmp_path):
    source.fail[1] = [ValueError("s1.nwb: the clock runs backwards")]
    with pytest.raises(ValueError, match=r"1 of 5 sessions failed; the first is day 1: s1\.nwb"):
        go(recipe, tmp_path)
    assert len(finished(tmp_path / "prepared" / "toy")) == 4


def test_a_session_left_out_is_remembered(recipe, source, tmp_path):
    some = replace(recipe, lister=lambda request: [Session("a", lambda: None), *source.sessions(request)[:1]])
    assert len(go(some, tmp_path)[0]) == 1 and "[1/2] a: left out" in go(some, tmp_path / "b")[1]
    assert len(finished(tmp_path / "prepared" / "toy")) == 2


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"max_gb": 0.3}, r"0\.50 GB to fetch, more than 0\.3 GB"),
        ({"commercial_ok": False, "licence": "CC-BY-NC-4.0"}, {}, "'CC-BY-NC-4.0' does not allow commercial"),
        ({"needs": ("no_such_package",)}, {}, "needs no_such_package, not installed here: pip install"),
    ],
)
def test_what_may_not_be_done_is_said_before_anything_is_read(
    recipe, source, tmp_path, change, options, message
):
    with pytest.raises(ValueError, match=message):
        go(replace(recipe, **change), tmp_path, **options)
    assert not source.asked and not (tmp_path / "prepared").exists()


def test_a_dry_run_and_permission(recipe, source, tmp_path):
    paths, said = go(recipe, tmp_path, dry_run=True, sessions=2, max_gb=0.2)
    assert (paths, source.asked, list(tmp_path.iterdir())) == ([], [], []) and said[1:] == [
        "  would make day 0",
        "  would make day 1",
    ]
    assert len(go(replace(recipe, commercial_ok=False), tmp_path, allow_nc=True, sessions=1)[0]) == 1


CONTENT = b"not really NWB" * 100
FILES = {f"sub-{n}/sub-{n}_ses-1_behavior+ecephys.nwb": f"id{n}" for n in (2, 1)} | {
    "sub-1/readme.txt": "id9"
}


class Archive(BaseHTTPRequestHandler):
    def do_GET(self):
        root = f"http://127.0.0.1:{self.server.server_port}/api"
        digest = hashlib.sha256(CONTENT).hexdigest()
        rows = [{"path": path, "size": len(CONTENT), "asset_id": id} for path, id in FILES.items()]
        listing = "/api/dandisets/000941/versions/0.1/assets/"
        body = {
            "/api/dandisets/000941/": {"most_recent_published_version": {"version": "0.1"}},
            listing + "?page_size=1000": {"results": rows[:2], "next": root + listing[4:] + "?page=2"},
            listing + "?page=2": {"results": rows[2:], "next": None},
            "/api/assets/id1/": {"digest": {"dandi:sha2-256": digest}},
            "/api/assets/id2/": {"digest": {"dandi:sha2-256": "0" * 64}},
        }.get(self.path)
        data = CONTENT if self.path.endswith("/download/") else json.dumps(body).encode()
        self.send_response(200 if data != b"null" else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def archive():
    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_files_of_dandi_are_listed_and_fetched(archive, tmp_path):
    files = dandi.assets("000941", api=archive)
    assert [file.id for file in files] == ["id1", "id2"] and files[0].version == "0.1"
    assert recipes.attrs_of(files[1])["subject"] == "2"
    path = dandi.download(files[0], tmp_path, archive)
    assert path.read_bytes() == CONTENT and path.is_relative_to(tmp_path)
    with pytest.raises(ConnectionError, match="is not that file"):
        dandi.download(files[1], tmp_path, archive)
    with pytest.raises(FileNotFoundError, match=r"no file \*_ophys\.nwb"):
        dandi.assets("000941", "*_ophys.nwb", archive)
    with pytest.raises(ConnectionError, match=r"000128.*is there a network"):
        dandi.assets("000128", api=archive)
    with pytest.raises(ValueError, match="leads out"):
        dandi.Asset("000941", "0.1", "../../x.nwb", 1, "id")


def test_without_a_network_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    import requests

    def refuse(*args, **options):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr("neurolib.data.prepare.time.sleep", lambda seconds: None)
    assert main(["data", "prepare", "falcon_m1", "--cache", str(tmp_path), "--sessions", "1"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "DANDI 000941" in error and "is there a network?" in error


def test_the_command_lists_sets_and_refuses_plainly(tmp_path, monkeypatch, capsys):
    assert main(["data", "prepare"]) == 0 and "development_fmri" in capsys.readouterr().out
    assert main(["data", "prepare", "falcn_m1"]) == 1 and "did you mean falcon_m1?" in capsys.readouterr().err
    assert main(["data", "prepare", "gw_fmri"]) == 1 and "--allow-nc" in capsys.readouterr().err
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    assert main(["data", "prepare", "myo_emg", "--cache", str(tmp_path)]) == 1
    assert "myo_emg" in capsys.readouterr().err


def test_a_local_set_is_prepared_from_files(tmp_path, monkeypatch, capsys):
    made = Recording([], [[0, 100]], {"emg": Signal(np.arange(1000) / 10, np.zeros(1000))}, name="p-1")
    (tmp_path / "myo_emg" / "12-1").mkdir(parents=True)
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    monkeypatch.setattr(recipes.catalog, "datasets", dict)  # whether or not the catalog lists it
    monkeypatch.setattr("neurolib.data.myo.load_session", lambda folder: made)
    assert main(["data", "prepare", "myo_emg", "--cache", str(tmp_path / "c")]) == 0
    assert "1 recordings in" in capsys.readouterr().out
    with Store(tmp_path / "c/prepared/myo_emg/12-1.h5") as store:
        assert store.attrs["subject"] == "12" and store.channels == {"emg": ("0",)}


def test_probes_of_dandi_go_with_their_sessions(monkeypatch, tmp_path):
    names = ["sub-1_ses-2", "sub-1_ses-2_probe-7_ecephys", "sub-1_ses-3_probe-8_ecephys", "sub-1_ses-2_image"]
    files = [dandi.Asset("000021", "0.1", f"sub-1/{name}.nwb", 10**n, name) for n, name in enumerate(names)]
    monkeypatch.setattr(dandi, "assets", lambda dandiset: files)
    monkeypatch.setattr(dandi, "download", lambda file, folder: file.id)
    read = []
    monkeypatch.setattr(
        "neurolib.data.field_potentials.read_allen_lfp",
        lambda path, session, **cut: read.append((path, session, cut)),
    )
    sessions = recipes.allen_lfp(Request(tmp_path, between_s=(10.0, 70.0)))
    assert [session.bytes for session in sessions] == [11, 100]
    for session in sessions:
        session.read()
    cut = {"start_s": 10.0, "stop_s": 70.0}
    assert read == [(names[1], names[0], cut), (names[2], None, cut)] and "10-70s" in sessions[0].name


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_whole(name):
    recipe = RECIPES[name]
    assert all(source.startswith("https://") for source in recipe.sources) and recipe.licence
    assert recipe.commercial_ok or name in (
        "centuri_grasp zivlab_place_calcium lfp_samples gw_fmri py_neuromod_ecog development_fmri".split()
    )
    if isinstance(recipe.lister, str):
        module, _, function = recipe.lister.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
