"""The command ``neurolib data``: arguments in, plain text out, and an error where something failed.

``add_parser`` mounts it; each action sets ``handler``, a function of the parsed arguments.
"""

import argparse
from collections.abc import Callable, Iterable

from neurolib.data import catalog


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add ``data`` with its actions ``list``, ``show``, ``fetch``, ``verify``, ``where`` and ``prepare``."""
    parser = subparsers.add_parser("data", help="recorded data: what there is, get it, check it")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(
        name: str, handler: Callable[[argparse.Namespace], None], text: str, nargs: str | None = None
    ) -> argparse.ArgumentParser:
        command = actions.add_parser(name, help=text, description=text)
        command.set_defaults(handler=handler)
        if nargs:
            command.add_argument(
                "ids", nargs=nargs, metavar="ID", help="id of a dataset, see `neurolib data list`"
            )
        return command

    action("list", list_datasets, "all datasets, and which are here")
    action("show", show, "licence, origin, citation and files", nargs="+")
    action("fetch", fetch, "download and check", nargs="+")
    action(
        "verify", verify, "check the hash of every file; without ID, of all datasets that are here", nargs="*"
    )
    action("where", where, "the folder that holds the data")
    preparing = action(
        "prepare", prepare, "make recordings of a set, one HDF5 file each; without SET, list them"
    )
    preparing.add_argument("set", nargs="?", default="", metavar="SET")
    preparing.add_argument("--sessions", type=int, default=0, metavar="N", help="at most so many; 0 is all")
    preparing.add_argument("--cache", default=None, metavar="DIR", help="folder for downloads and recordings")
    preparing.add_argument("--dry-run", action="store_true", help="say what would be done")
    preparing.add_argument("--max-gb", type=float, default=50.0, metavar="GB", help="refuse to fetch more")
    preparing.add_argument("--allow-nc", action="store_true", help="take sets that forbid commercial use")
    preparing.add_argument(
        "--between", type=float, nargs=2, default=(0.0, 3600.0), metavar=("START_S", "STOP_S"),
        help="stretch of recordings that last a day",
    )  # fmt: skip
    return parser


def list_datasets(args: argparse.Namespace) -> None:
    """Print one line per dataset."""
    rows = [("id", "modality", "size", "licence", "present")]
    for entry in catalog.datasets().values():
        rows.append((entry.id, entry.modality, size(entry.bytes), entry.licence, _present(entry.id)))
    _table(rows)


def show(args: argparse.Namespace) -> None:
    """Print everything the catalog says about some datasets."""
    for entry in [catalog.dataset(id) for id in args.ids]:
        licence = f"{entry.licence} ({entry.licence_note})" if entry.licence_note else entry.licence
        print(f"{entry.id}: {entry.title}")
        for key, value in (
            ("recorded", f"{entry.modality}; {entry.species}; {entry.area}"),
            ("licence", licence),
            ("cite", ", ".join(entry.cite)),
            ("source", f"{entry.source}, version {entry.version}"),
            ("how", entry.how),
            ("folder", catalog.folder(entry.id)),
            ("present", _present(entry.id)),
        ):
            print(f"  {key:9} {value}")
        for file in entry.files:
            print(f"  {'file':9} {file.path}, {size(file.bytes)}, sha256 {file.sha256}")


def fetch(args: argparse.Namespace) -> None:
    """Download datasets; all are tried before a failure is raised."""
    from neurolib.data.fetch import fetch as download

    def act(id: str) -> str:
        download(id)
        return f"complete in {catalog.folder(id)}"

    _each(args.ids, act)


def verify(args: argparse.Namespace) -> None:
    """Check datasets; all are checked before a failure is raised."""

    def act(id: str) -> str:
        catalog.verify(id)
        return "every file as published"

    ids = args.ids or [id for id in catalog.datasets() if catalog.is_present(id)]
    if not ids:
        raise FileNotFoundError(f"no dataset of the catalog is in {catalog.data_root()}")
    _each(ids, act)


def where(args: argparse.Namespace) -> None:
    """Print the data folder."""
    print(catalog.data_root())


def prepare(args: argparse.Namespace) -> None:
    """Make the recordings of a set, or list the sets that can be made."""
    from difflib import get_close_matches

    from neurolib.data.prepare import prepare as make
    from neurolib.data.recipes import RECIPES

    if not args.set:
        _table([("set", "modality", "licence", "commercial use")]
               + [(r.name, r.modality, r.licence, "yes" if r.commercial_ok else "no") for r in RECIPES.values()])  # fmt: skip
        return
    if args.set not in RECIPES:
        near = get_close_matches(args.set, RECIPES, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}"
        raise ValueError(f"no recipe for {args.set!r}; {hint}")
    if args.sessions < 0:
        raise ValueError(f"--sessions {args.sessions}; 0 makes all")
    paths = make(
        RECIPES[args.set],
        args.cache,
        args.sessions,
        args.dry_run,
        args.max_gb,
        args.allow_nc,
        tuple(args.between),
    )
    if paths:
        print(f"{len(paths)} recordings in {paths[0].parent}")


def size(n_bytes: int) -> str:
    """Bytes in words.

    Examples
    --------
    >>> size(1_822_876_234), size(492_576)
    ('1.82 GB', '493 kB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _present(id: str) -> str:
    try:
        catalog.require(id)
    except FileNotFoundError:
        return "no"
    except ValueError:
        return "damaged"
    return "yes"


def _each(ids: Iterable[str], act: Callable[[str], str]) -> None:
    """Do something with every dataset, then fail if any failed; unknown ids fail before anything is done."""
    entries = [catalog.dataset(id) for id in ids]
    failed = []
    for entry in entries:
        try:
            print(f"{entry.id}: {act(entry.id)}")
        except (OSError, ValueError) as error:
            failed.append(str(error))
    if failed:
        raise ValueError("; ".join(failed))
