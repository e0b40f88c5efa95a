"""Downloads from a server of our own, which serves ranges, redirects, and breaks off on demand."""

import builtins
import errno
import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from neurolib.data import catalog, commands
from neurolib.data import fetch as fetch_module
from neurolib.data.catalog import DataFile, Dataset
from neurolib.data.fetch import dandi_address, fetch

pytest.importorskip("pooch")

CONTENT = np.random.default_rng(0).bytes(400_000)
ASSETS = [  # as the archive would answer to a prefix: the longer path first
    {"path": "sub-A/a+b.nwb.bak", "asset_id": "wrong"},
    {"path": "sub-A/a+b.nwb", "asset_id": "right"},
]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests = []  # (path, Range or None)
        self.cut_after = None  # bytes after which the next answer breaks off
        self.ranges = True
        self.sent = 0  # bytes
        self.content = CONTENT


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        address = urlsplit(self.path)
        server.requests.append((self.path, wanted))
        if address.path == "/file":
            return self.send_file(wanted)
        if address.path == "/assets/right/download/":
            self.send_response(302)
            self.send_header("Location", f"{server.url}/file")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if address.path == "/dandisets/000000/versions/0.1/assets/":
            prefix = parse_qs(address.query)["path"][0]
            found = [asset for asset in ASSETS if asset["path"].startswith(prefix)]
            return self.send_whole(json.dumps({"results": found}).encode())
        self.send_error(404)

    def send_file(self, wanted):
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        content = self.server.content
        packed = "gzip" in self.headers.get("Accept-Encoding", "")  # as web servers do with text
        if packed:
            content = gzip.compress(content)
        body = content[start:]
        self.send_response(206 if start else 200)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        if start:
            total = len(content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut, self.server.cut_after = self.server.cut_after, None
        body = body[:cut]
        for at in range(0, len(body), 1 << 16):
            try:
                self.wfile.write(body[at : at + (1 << 16)])
            except ConnectionError:  # the client has heard enough
                break
            self.server.sent += 1 << 16
        self.close_connection = True

    def send_whole(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Put one file at an address into the catalog; returns where it should come to lie."""

    def put(url, content=CONTENT, path="sub/file.bin"):
        file = DataFile(path, len(content), hashlib.sha256(content).hexdigest(), url)
        words = dict.fromkeys(
            ("title", "modality", "species", "area", "licence", "source", "version", "how"), "x"
        )
        entry = Dataset(id="toy", cite=(), folder="toys", files=(file,), **words)
        monkeypatch.setattr(catalog, "datasets", lambda: {"toy": entry})
        return tmp_path / "toys" / path

    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    return put


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_complete_and_leaves_nothing_else(server, publish):
    target = publish(f"{server.url}/file")
    assert fetch("toy") == [target]
    assert target.read_bytes() == CONTENT
    assert left_in(target.parent) == ["file.bin"]


def test_a_second_fetch_asks_the_server_nothing(server, publish):
    target = publish(f"{server.url}/file")
    fetch("toy")
    server.requests.clear()
    assert fetch("toy") == [target]
    assert server.requests == []


def test_a_damaged_file_is_fetched_again(server, publish):
    target = publish(f"{server.url}/file")
    target.parent.mkdir(parents=True)
    target.write_bytes(b"half")
    fetch("toy")
    assert target.read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_broke_off(server, publish):
    target = publish(f"{server.url}/file")
    server.cut_after = 250_000
    with pytest.raises(
        ConnectionError, match=r"toy: sub/file.bin not complete.*`neurolib data fetch toy` again"
    ):
        fetch("toy")
    assert left_in(target.parent) == ["file.bin.part"]
    done = (target.parent / "file.bin.part").stat().st_size
    assert 150_000 < done <= 250_000  # no more than a chunk is lost
    fetch("toy")
    assert [wanted for _, wanted in server.requests] == [None, f"bytes={done}-"]
    assert target.read_bytes() == CONTENT
    assert left_in(target.parent) == ["file.bin"]


def test_a_server_without_ranges_makes_the_download_start_over(server, publish):
    target = publish(f"{server.url}/file")
    server.cut_after, server.ranges = 250_000, False
    with pytest.raises(ConnectionError):
        fetch("toy")
    fetch("toy")
    assert server.requests[1][1] is not None
    assert target.read_bytes() == CONTENT


def test_a_part_that_was_whole_needs_no_server(publish):
    target = publish("http://127.0.0.1:9/file")
    target.parent.mkdir(parents=True)
    (target.parent / "file.bin.part").write_bytes(CONTENT)
    fetch("toy")
    assert target.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, publish):
    target = publish(f"{server.url}/file")
    target.parent.mkdir(parents=True)
    (target.parent / "file.bin.part").write_bytes(CONTENT + b"more")
    fetch("toy")
    assert server.requests == [("/file", None)]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[::-1], CONTENT + b"more"])
def test_wrong_content_leaves_nothing_behind(server, publish, sent):
    server.content = sent
    target = publish(f"{server.url}/file")
    with pytest.raises(ValueError, match=r"^toy: what http.*/file sent is not the published sub/file.bin"):
        fetch("toy")
    assert left_in(target.parent) == []


def test_an_answer_without_end_is_not_followed_to_the_end(server, publish):
    server.content = bytes(80_000_000)
    publish(f"{server.url}/file")
    with pytest.raises(ValueError, match="not the published"):
        fetch("toy")
    assert server.sent < 40_000_000  # what the system buffers comes on top of the 400 kB that were wanted


def test_wrong_content_leaves_the_file_that_was_there(server, publish):
    target = publish(f"{server.url}/file")
    target.parent.mkdir(parents=True)
    target.write_bytes(b"an older version")
    server.content = CONTENT[::-1]
    with pytest.raises(ValueError, match="not the published"):
        fetch("toy")
    assert target.read_bytes() == b"an older version"


def test_a_missing_page_is_one_plain_error(server, publish):
    target = publish(f"{server.url}/nothing")
    with pytest.raises(FileNotFoundError, match=r"toy: http.*/nothing answered 404 .*moved or withdrawn"):
        fetch("toy")
    assert left_in(target.parent) == []


def test_no_network_is_one_plain_error(publish):
    target = publish("http://127.0.0.1:9/file")  # the discard port: nobody listens
    with pytest.raises(ConnectionError, match="is there a network") as caught:
        fetch("toy")
    assert "\n" not in str(caught.value)
    assert left_in(target.parent) == []


def test_a_disk_that_fills_up_keeps_only_the_part(server, publish, monkeypatch):
    target = publish(f"{server.url}/file")

    class FullDisk:
        def __init__(self, path, mode):
            self.stream = builtins.open(path, mode)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.stream.close()

        def write(self, chunk):
            if self.stream.tell() > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.stream.write(chunk)

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, "open", FullDisk, raising=False)
        with pytest.raises(OSError, match=r"no space left for sub/file.bin") as caught:
            fetch("toy")
    assert caught.value.errno == errno.ENOSPC
    assert left_in(target.parent) == ["file.bin.part"]
    fetch("toy")
    assert server.requests[1][1] is not None
    assert target.read_bytes() == CONTENT


def test_a_disk_too_small_is_seen_before_the_download(server, publish, monkeypatch):
    target = publish(f"{server.url}/file")
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="no space left"):
        fetch("toy")
    assert left_in(target.parent) == []


def test_a_dandi_asset_is_found_by_its_exact_path_and_followed(server, publish):
    target = publish("dandi://dandi/000000@0.1/sub-A/a+b.nwb")
    server.cut_after = 250_000
    with pytest.raises(ConnectionError):
        fetch("toy", dandi_api=server.url)
    fetch("toy", dandi_api=server.url)
    assert target.read_bytes() == CONTENT
    assert server.requests[0][0] == "/dandisets/000000/versions/0.1/assets/?path=sub-A%2Fa%2Bb.nwb"
    assert server.requests[-1][0] == "/file"
    assert server.requests[-1][1] is not None  # the range survives the redirect


def test_an_asset_that_dandi_does_not_have_is_named(server, publish):
    publish("dandi://dandi/000000@0.1/sub-A/a")
    with pytest.raises(FileNotFoundError, match=r"toy: dandiset 000000, version 0.1, has no asset sub-A/a$"):
        fetch("toy", dandi_api=server.url)


def test_a_git_blob_is_asked_for_as_a_file_and_not_as_json(publish, monkeypatch):
    import requests

    asked = {}

    def get(address, headers, stream, timeout):
        asked[address] = headers["Accept"]
        raise requests.ConnectionError("enough")

    monkeypatch.setattr(requests, "get", get)
    url = catalog.dataset("centuri_grasp").files[0].url
    publish(url)
    with pytest.raises(ConnectionError, match="enough"):
        fetch("toy")
    assert asked == {url: "application/vnd.github.raw+json"}


def test_every_dandi_address_of_the_catalog_can_be_resolved(monkeypatch):
    import requests

    asked = []

    def get(address, params, timeout):
        asked.append(address)
        results = [{"path": params["path"], "asset_id": "7"}]
        return SimpleNamespace(raise_for_status=lambda: None, json=lambda: {"results": results})

    monkeypatch.setattr(requests, "get", get)
    files = [file for entry in catalog.datasets().values() for file in entry.files]
    dandi = [file.url for file in files if file.url.startswith("dandi:")]
    assert {dandi_address(url, "api") for url in dandi} == {"api/assets/7/download/"}
    assert len(asked) == len(dandi) == 14
    assert asked[0] == "api/dandisets/000127/versions/0.220113.0359/assets/"


def test_the_fetch_command_goes_on_after_a_failure_and_then_fails(server, publish, capsys, monkeypatch):
    publish(f"{server.url}/file")
    good = catalog.dataset("toy")
    publish(f"{server.url}/nothing")
    bad = catalog.dataset("toy")
    both = {"bad": type(bad)(**{**vars(bad), "id": "bad", "folder": "bad"}), "toy": good}
    monkeypatch.setattr(catalog, "datasets", lambda: both)
    with pytest.raises(ValueError, match=r"^bad: .*404"):
        commands.fetch(SimpleNamespace(ids=["bad", "toy"]))
    assert capsys.readouterr().out.startswith("toy: complete in ")
    with pytest.raises(ValueError, match="no dataset 'toi'"):
        commands.fetch(SimpleNamespace(ids=["toi"]))
