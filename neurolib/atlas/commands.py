"""The command ``neurolib atlas``: train the atlas into the cache, export it, say where it is."""

import argparse
from pathlib import Path

SIZES = ("quick", "book", "full")


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add ``atlas`` with its actions ``train``, ``export`` and ``where``."""
    parser = subparsers.add_parser("atlas", help="the atlas of brain function: train it, export it")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--source", default="auto", help="auto, recorded or simulated studies")
    common.add_argument(
        "--size", default="book", help=f"how much is trained: {', '.join(SIZES)} (about 10 min on two cores)"
    )
    common.add_argument("--device", default="auto", help="cpu, cuda, or what there is")

    text = "train into the cache, unless it is there"
    train = actions.add_parser("train", parents=[common], help=text, description=text)
    train.set_defaults(handler=_train)

    text = "write tables, images and networks for other programs; trains first if need be"
    export = actions.add_parser("export", parents=[common], help=text, description=text)
    export.add_argument("folder", type=Path, help="a new folder")
    export.set_defaults(handler=_export)

    text = "the folder of the trained atlas, and whether it is there"
    where = actions.add_parser("where", parents=[common], help=text, description=text)
    where.set_defaults(handler=_where)
    return parser


def _settings(args: argparse.Namespace):
    from neurolib.atlas.corpus import load_corpus
    from neurolib.atlas.trained import SIZES as KNOWN

    if args.size not in KNOWN:
        raise ValueError(f"size={args.size!r} must be one of {', '.join(KNOWN)}")
    return load_corpus(args.source), KNOWN[args.size]


def _train(args: argparse.Namespace) -> None:
    from neurolib.atlas.trained import trained

    atlas = trained(*_settings(args), args.device, say=print)
    print(atlas)
    for task in atlas.held_out.tasks:
        for name in atlas.held_out.models(task):
            print(f"{task:6} {name:22} {atlas.held_out.gain(task, name)}")


def _export(args: argparse.Namespace) -> None:
    import json

    from neurolib.atlas.export import export
    from neurolib.atlas.trained import trained

    if args.folder.exists() and any(args.folder.iterdir()):
        raise FileExistsError(f"{args.folder} is not empty; give a new folder, or delete it first")
    folder = export(trained(*_settings(args), args.device, say=print), args.folder)
    about = json.loads((folder / "manifest.json").read_text("utf-8"))
    print(f"{len(about['files'])} files in {folder}")
    for line in about["left_out"]:
        print(f"left out: {line}")


def _where(args: argparse.Namespace) -> None:
    from neurolib.atlas.trained import place

    folder = place(*_settings(args))
    print(f"{folder}{'' if folder.is_dir() else ' (not trained yet)'}")
