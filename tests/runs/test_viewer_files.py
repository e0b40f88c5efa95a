"""Viewer data on their way into the book: what pages name is copied, the rest goes."""

import base64
import hashlib
import io
import os
import re
import tarfile
from types import SimpleNamespace

import pytest

from neurolib.runs import viewer_files
from neurolib.runs.project import PageError


def test_the_build_takes_what_pages_name_and_drops_the_rest(checkout, tmp_path):
    root, target = checkout.project.root, tmp_path / "static"
    keys = [viewer_files.key_of(name, name.encode()) for name in ("maps", "template", "old")]
    for key in keys:
        viewer_files.write(root, key, key.encode())
    kept = root / "book" / "runs" / viewer_files.FOLDER
    os.utime(kept / f"{keys[2]}.js", (0, 0))
    checkout.write("book/runs/demo/good.ipynb", f'"{{\\"template\\": \\"{keys[1]}\\"}} {keys[0]}"')
    (target).mkdir()
    (target / f"{keys[2]}.js").write_text("left from before")
    assert viewer_files.publish(checkout.project, target) == 2
    assert sorted(path.stem for path in target.iterdir()) == sorted(keys[:2])
    assert sorted(path.stem for path in kept.iterdir()) == sorted(keys[:2])
    text = (target / f"{keys[0]}.js").read_text()
    packed = re.search(r'\["(.*)"\]="(.*)"', text)
    assert packed[1] == keys[0] and base64.urlsafe_b64decode(packed[2]) == keys[0].encode()
    (kept / f"{keys[0]}.js").unlink()
    with pytest.raises(PageError, match=r"viewer data of \['good'\].*--force"):
        viewer_files.publish(checkout.project, target)


def test_text_of_data_cannot_look_like_a_path():
    assert "/" not in viewer_files.encoded(bytes(range(256)) * 3)


def package(text: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo(f"package/dist/{viewer_files.NIIVUE}")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def test_niivue_is_checked_kept_and_done_without(tmp_path, monkeypatch, capsys):
    import requests

    content, asked = package("var niivue = {};"), []

    def get(url, **_):
        asked.append(url)
        return SimpleNamespace(content=content, raise_for_status=lambda: None)

    monkeypatch.setattr(requests, "get", get)
    out, cache = tmp_path / "out", tmp_path / "cache"
    assert not viewer_files.copy_niivue(out, cache=cache)  # not the published package
    assert "something else than NiiVue" in capsys.readouterr().err
    assert (out / viewer_files.NIIVUE).read_text() == "" and not list(cache.glob("*.js"))

    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    monkeypatch.setattr(viewer_files, "NIIVUE_SHA512", found)
    for _ in range(2):
        assert viewer_files.copy_niivue(out, cache=cache)
    assert len(asked) == 2  # once refused, once taken, then from the cache
    text = (out / viewer_files.NIIVUE).read_text()
    assert text.endswith("var niivue = {};") and "BSD-2-Clause" in text


def test_without_a_network_the_book_is_built_all_the_same(tmp_path, capsys):
    url = "http://127.0.0.1:9/niivue.tgz"
    assert not viewer_files.copy_niivue(tmp_path, url, tmp_path / "cache")
    assert "NiiVue is left out" in capsys.readouterr().err
    assert (tmp_path / viewer_files.NIIVUE).exists()  # an empty script: a missing one would be an error
