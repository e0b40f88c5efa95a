"""Files of the DANDI archive: a dandiset's number in, its assets and downloaded, checked files out.

Talks to the archive's REST interface, so its client is not needed.
"""

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from neurolib.data.catalog import DataFile, check_inside
from neurolib.data.fetch import DANDI_API, TIMEOUT_S, Resume


@dataclass(frozen=True)
class Asset:
    """One file of a dandiset: number, version, path, size in bytes and the archive's name for it."""

    dandiset: str
    version: str
    path: str
    bytes: int
    id: str

    def __post_init__(self):
        check_inside(self.path)


def assets(dandiset: str, pattern: str = "*.nwb", api: str = DANDI_API) -> list[Asset]:
    """Assets of the newest published version, in order of their paths.

    Parameters
    ----------
    dandiset : str
        Six digits.
    pattern : str
        Of the path, with ``*`` for anything.
    api : str

    Raises
    ------
    ConnectionError
        If the archive cannot be reached or answers something else.
    FileNotFoundError
        If nothing matches.
    """
    about = _ask(f"{api}/dandisets/{dandiset}/", dandiset)
    published = about.get("most_recent_published_version") or {}
    version = published.get("version") or "draft"
    address: str | None = f"{api}/dandisets/{dandiset}/versions/{version}/assets/?page_size=1000"
    found = []
    while address:
        page = _ask(address, dandiset)
        try:
            found += [
                Asset(dandiset, version, a["path"], int(a["size"]), a["asset_id"]) for a in page["results"]
            ]
        except (KeyError, TypeError) as error:
            raise ConnectionError(
                f"DANDI {dandiset}: {address} answered no list of assets ({error})"
            ) from None
        address = page.get("next")
        if address and not address.startswith(api):
            raise ConnectionError(f"DANDI {dandiset}: the archive points to {address}, away from {api}")
    found = sorted((a for a in found if fnmatch.fnmatch(a.path, pattern)), key=lambda a: a.path)
    if not found:
        raise FileNotFoundError(f"DANDI {dandiset}, version {version}, has no file {pattern}")
    return found


def download(asset: Asset, folder: str | Path, api: str = DANDI_API) -> Path:
    """Fetch one file, or leave it if it is there; a download that broke off goes on.

    Raises
    ------
    ConnectionError
        If the archive cannot be reached, or sent something else than its own hash says.
    """
    import pooch
    import requests

    digest = _ask(f"{api}/assets/{asset.id}/", asset.dandiset).get("digest", {}).get("dandi:sha2-256", "")
    if not digest:
        raise ConnectionError(f"DANDI {asset.dandiset}: no sha256 is published for {asset.path}; try later")
    target = Path(folder) / asset.dandiset / asset.path
    file = DataFile(asset.path, asset.bytes, digest, f"{api}/assets/{asset.id}/download/")
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            file.url,
            f"sha256:{digest}",
            fname=target.name,
            path=target.parent,
            downloader=Resume(file, target.with_name(target.name + ".part"), api),
        )
    except requests.RequestException as error:
        raise ConnectionError(
            f"DANDI {asset.dandiset}: {asset.path} not complete ({error}); run it again to go on"
        ) from None
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise ConnectionError(
            f"DANDI {asset.dandiset}: what came for {asset.path} is not that file; run it again"
        ) from None
    return target


def _ask(address: str, dandiset: str) -> dict:
    import requests

    try:
        answer = requests.get(address, timeout=TIMEOUT_S)
        answer.raise_for_status()
        found = answer.json()
    except requests.RequestException as error:
        raise ConnectionError(
            f"DANDI {dandiset}: {address} cannot be read ({type(error).__name__}); is there a network?"
        ) from None
    if not isinstance(found, dict):
        raise ConnectionError(f"DANDI {dandiset}: {address} is not the archive")
    return found
