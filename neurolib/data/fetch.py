"""Download a dataset of the catalog: an id in, checked files in the data folder out.

Every file is checked against its SHA-256 before it gets its name. A download that breaks off
leaves ``NAME.part`` beside the target, and the next call goes on from there.
"""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurolib.data.catalog import DataFile, dataset, folder

DANDI_API = "https://api.dandiarchive.org/api"
TIMEOUT_S = (10, 60)  # to connect, and between two packets
CHUNK_BYTES = 1 << 16  # what a broken connection can cost


def fetch(id: str, root: Path | None = None, dandi_api: str = DANDI_API) -> list[Path]:
    """Download what is missing of a dataset; files already there and unchanged are left alone.

    Parameters
    ----------
    id : str
        Id in the catalog.
    root : Path, optional
        Data folder, default :func:`neurolib.data.catalog.data_root`.
    dandi_api : str
        Address of the DANDI REST interface.

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If the id is unknown, or what was downloaded is not the published file (it is removed).
    FileNotFoundError
        If the server does not have the file.
    ConnectionError
        If there is no network, or the connection broke off; calling again goes on.
    OSError
        If the disk is full.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the progress bar says it already
    here, paths = folder(id, root), []
    for file in dataset(id).files:
        target = here / file.path
        with _plain_errors(id, file, target):
            pooch.retrieve(
                file.url,
                f"sha256:{file.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=Resume(file, target.with_name(target.name + ".part"), dandi_api),
            )
        paths.append(target)
    return paths


class Resume:
    """A downloader for :func:`pooch.retrieve` that goes on where an earlier one broke off.

    Parameters
    ----------
    file : DataFile
    part : Path
        Where the bytes are kept until all are there.
    dandi_api : str

    References
    ----------
    .. [1] RFC 9110, section 14, "Range Requests".
    """

    def __init__(self, file: DataFile, part: Path, dandi_api: str = DANDI_API):
        self.file, self.part, self.dandi_api = file, part, dandi_api

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Write ``url`` to ``output_file``; pooch then checks the hash and gives it its name."""
        done = self.part.stat().st_size if self.part.exists() else 0
        if done > self.file.bytes:
            self.part.unlink()
            done = 0
        if done < self.file.bytes:
            self._download(dandi_address(url, self.dandi_api), done)
        # If these bytes are wrong, pooch deletes its output file, and no part is left to spoil the next try.
        self.part.replace(output_file)

    def _download(self, address: str, done: int) -> None:
        import requests
        from tqdm import tqdm

        # Compressed transfer would make the offsets of Range count other bytes than those of the file.
        headers = {"Accept-Encoding": "identity"}
        if address.startswith("https://api.github.com/"):
            headers["Accept"] = "application/vnd.github.raw+json"  # the file itself, not JSON around it
        if done:
            headers["Range"] = f"bytes={done}-"
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
                f"bytes {done}-"
            )
            done = done if resumed else 0
            free = shutil.disk_usage(self.part.parent).free
            if free < self.file.bytes - done:
                raise OSError(errno.ENOSPC, f"{self.file.bytes - done} bytes to go and {free} free")
            bar = tqdm(
                desc=self.part.stem,
                total=self.file.bytes,
                initial=done,
                unit="B",
                unit_scale=True,
                disable=None,  # silent where there is no terminal
            )
            with bar, open(self.part, "ab" if resumed else "wb") as stream:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    stream.write(chunk)
                    done += len(chunk)
                    bar.update(len(chunk))
                    if done > self.file.bytes:
                        break
        if done < self.file.bytes:
            raise requests.ConnectionError(f"the server sent {done} of {self.file.bytes} bytes")


def dandi_address(url: str, api: str = DANDI_API) -> str:
    """Download address of an asset of the DANDI archive; other addresses pass unchanged.

    Parameters
    ----------
    url : str
        ``dandi://dandi/ID@VERSION/PATH``, the notation of the archive's own client.
    api : str
        Address of the REST interface.

    Raises
    ------
    FileNotFoundError
        If that version of the dandiset has no such asset.

    Examples
    --------
    >>> dandi_address("https://example.org/a.nwb")
    'https://example.org/a.nwb'
    """
    import requests

    if not url.startswith("dandi:"):
        return url
    parts = re.fullmatch(r"dandi://dandi/(\d{6})@([^/]+)/(.+)", url)
    if not parts:
        raise ValueError(f"{url} should read dandi://dandi/ID@VERSION/PATH")
    dandiset, version, path = parts.groups()
    answer = requests.get(
        f"{api}/dandisets/{dandiset}/versions/{version}/assets/", params={"path": path}, timeout=TIMEOUT_S
    )
    answer.raise_for_status()
    # The archive takes `path` for the beginning of a path, so a longer one may match as well.
    for asset in answer.json().get("results", []):
        if asset["path"] == path:
            return f"{api}/assets/{asset['asset_id']}/download/"
    raise FileNotFoundError(f"dandiset {dandiset}, version {version}, has no asset {path}")


@contextmanager
def _plain_errors(id: str, file: DataFile, target: Path) -> Iterator[None]:
    """Turn what pooch, requests and the system raise into one sentence that says what to do."""
    import requests

    again = f"run `neurolib data fetch {id}` again to go on"
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code
        message = f"{id}: {error.response.url} answered {status} {error.response.reason}"
        if status in (404, 410):
            raise FileNotFoundError(f"{message}; was {file.path} moved or withdrawn?") from None
        raise ConnectionError(f"{message}; {again}") from None
    except requests.JSONDecodeError:
        raise ConnectionError(
            f"{id}: what answered for {file.url} is not the DANDI archive; {again}"
        ) from None
    except requests.RequestException as error:
        raise ConnectionError(
            f"{id}: {file.path} not complete, {_cause(error)}; is there a network? {again}"
        ) from None
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{id}: {error}") from None
    except PermissionError:
        raise PermissionError(
            f"{id}: {target} cannot be written; point NEUROLIB_DATA to a folder of yours"
        ) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC, f"{id}: no space left for {file.path} ({file.bytes} bytes); {again}"
        ) from None
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise ValueError(
            f"{id}: what {file.url} sent is not the published {file.path} (its sha256 is not {file.sha256}); "
            "the download was removed. A proxy page, or a new version at the same address?"
        ) from None


def _cause(error: Exception) -> str:
    """What went wrong, without the layers that network libraries wrap around it."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    return str(inner or error).splitlines()[0] or type(error).__name__
