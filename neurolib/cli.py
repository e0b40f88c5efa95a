"""The command line: `neurolib run | book | manifest | data | atlas | bench | selfcheck | golden | test-recorded`."""

import argparse
import sys

from neurolib import __version__


def main(argv: list[str] | None = None) -> int:
    """Read the words after `neurolib`, do it; errors of use are one line and exit code 1."""
    args = parser().parse_args(argv)
    try:
        return args.handler(args) or 0
    except (ValueError, FileNotFoundError, KeyError, OSError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"neurolib: {text}", file=sys.stderr)
    except Exception as error:
        if type(error).__name__ != "PageError":
            raise
        print(f"neurolib: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("neurolib: stopped; what was finished is kept", file=sys.stderr)
        return 130
    return 1


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from neurolib.atlas import commands as atlas
    from neurolib.data import commands

    top = argparse.ArgumentParser(
        prog="neurolib", description="An executable book about reading neural activity."
    )
    top.add_argument("--version", action="version", version=__version__)
    sub = top.add_subparsers(required=True, metavar="COMMAND")

    running = argparse.ArgumentParser(add_help=False)
    running.add_argument("--profile", default="quick", help="quick (two CPU cores) or full (a GPU)")
    running.add_argument("--jobs", type=int, default=0, help="pages at a time; 0 decides")
    running.add_argument("--force", action="store_true", help="run pages that are fresh, too")
    running.add_argument("--dry-run", action="store_true", help="say what would be run")
    running.add_argument("--share-gpu", action="store_true", help="let pages run on one GPU together")

    run = sub.add_parser("run", parents=[running], help="run pages with chosen parameters")
    run.add_argument("pages", nargs="*", metavar="PAGE", help="all or part of a page's name; none means all")
    run.add_argument("-p", dest="params", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--variant", default="", help="name of this set of parameters, or one in params.yml")
    run.add_argument(
        "--engine", default="local", help="local, ray or slurm; the others need a file system that all share"
    )
    run.add_argument("--cpus", type=int, default=1, help="of each page, on another engine")
    run.add_argument("--gpus", type=int, default=0, help="of each page, on another engine")
    run.set_defaults(handler=_run)

    manifest = sub.add_parser("manifest", help="print what starts pages, or a training, on a cluster")
    manifest.add_argument("kind", choices=["rayjob", "slurm"], help="for kubectl apply -f -, or for sbatch")
    manifest.add_argument("pages", nargs="*", metavar="PAGE", help="rayjob: pages; none means all")
    manifest.add_argument("--command", default="", help="instead of pages; slurm: for torchrun")
    manifest.add_argument("--name", default="neurolib")
    manifest.add_argument("--profile", default="full")
    manifest.add_argument("--image", default="", help="container with this package and Ray")
    manifest.add_argument("--workers", default="1", metavar="N or MIN:MAX")
    manifest.add_argument("--cpus", type=int, default=4, help="of each worker, and of each page")
    manifest.add_argument("--gpus", type=int, default=0, help="of each worker, and of each page")
    manifest.add_argument("--memory", default="16Gi", help="of each worker")
    manifest.add_argument("--storage", default="", help="persistent volume claim that all can write")
    manifest.set_defaults(handler=_manifest)

    book = sub.add_parser("book", parents=[running], help="run what changed, then build the HTML")
    book.add_argument("--only", default="", metavar="TEXT", help="run only pages with this in their name")
    book.add_argument("--keep-going", action="store_true", help="build although a page failed")
    book.set_defaults(handler=_book)

    golden = sub.add_parser("golden", help="make the golden runs anew (simulated data, quick)")
    golden.add_argument("pages", nargs="*", metavar="PAGE")
    golden.add_argument("--jobs", type=int, default=0)
    golden.set_defaults(handler=_golden)

    recorded = sub.add_parser("test-recorded", help="compare every page's verdicts on recorded data")
    recorded.add_argument("pages", nargs="*", metavar="PAGE")
    recorded.add_argument("--jobs", type=int, default=0)
    recorded.add_argument("--update", action="store_true", help="write the verdicts instead of comparing")
    recorded.add_argument("--force", action="store_true", help="take no fresh run of the book instead")
    recorded.set_defaults(handler=_test_recorded)

    bench = sub.add_parser("bench", help="measure the claims of benchmarks/")
    bench.add_argument("names", nargs="*", metavar="NAME", help="scripts; none means all")
    bench.set_defaults(handler=_bench)

    selfcheck = sub.add_parser("selfcheck", help="ask tools about models whose answers are known")
    selfcheck.add_argument("study", choices=["interpret"])
    selfcheck.add_argument("parts", nargs="*", metavar="PART", help="none means all")
    selfcheck.set_defaults(handler=_selfcheck)

    commands.add_parser(sub)
    atlas.add_parser(sub)
    return top


def _run(args) -> int:
    from neurolib.runs.project import PageError, find_project

    project = find_project()
    if (args.params or args.variant) and len(args.pages) != 1:
        raise PageError("-p and --variant need exactly one page")
    params = {}
    for text in args.params:
        name, equals, value = text.partition("=")
        if not equals:
            raise PageError(f"-p {text}: write it as NAME=VALUE")
        params[name] = value
    names = [project.page(name) for name in args.pages] or project.pages()
    return _go(project, [project.job(name, args.profile, params, args.variant) for name in names], args)


def _manifest(args) -> int:
    import yaml

    from neurolib.runs.kuberay import Machines, page_command
    from neurolib.runs.project import PageError, find_project

    low, _, high = args.workers.partition(":")
    if not (low.isdigit() and (high or low).isdigit()):
        raise PageError(f"--workers {args.workers}: write 2 or 1:8")
    machines = Machines(
        # Slurm has no images of its own
        image=args.image or ("none" if args.kind == "slurm" else ""),
        workers_min=int(low),
        workers_max=int(high or low),
        gpus=args.gpus,
        cpus=args.cpus,
        memory=args.memory,
        storage=args.storage,
    )
    if args.kind == "slurm":
        if not args.command or args.pages:
            raise PageError("slurm: --command 'train.py ...'; pages run by `neurolib run --engine slurm`")
        print(machines.slurm_script(args.command, args.name), end="")
        return 0
    project = find_project()
    pages = [project.page(name) for name in args.pages]
    command = args.command or page_command(pages, args.profile, machines)
    print(yaml.safe_dump(machines.rayjob(command, args.name), sort_keys=False), end="")
    return 0


def _book(args) -> int:
    from neurolib.runs.book import build
    from neurolib.runs.freshness import is_fresh
    from neurolib.runs.project import PageError, find_project

    project = find_project()
    pages = [page for page in project.pages() if args.only in page]
    if not pages:
        raise PageError(f"--only {args.only}: no such page; the pages are {project.pages()}")
    names = [(page, variant) for page in pages for variant in ["", *project.variants(page)]]
    full = [project.job(page, "full", variant=variant) for page, variant in names]
    jobs = [  # a full run that is fresh stays in the book; a quick one would be a step back
        whole if is_fresh(project, whole) else project.job(page, args.profile, variant=variant)
        for (page, variant), whole in zip(names, full, strict=True)
    ]
    failed = _go(project, jobs, args)
    if args.dry_run:
        return 0
    if failed and not args.keep_going:
        raise PageError("the book was not built, because pages failed; their runs are in build/failed")
    print(f"the book: {build(project)}")
    return failed


def _go(project, jobs, args) -> int:
    """Run jobs, or say which would be run; 1 if one failed."""
    from neurolib.runs.engines import engine
    from neurolib.runs.freshness import is_fresh

    name = getattr(args, "engine", "local")
    if name == "local":
        chosen = engine(name, workers=args.jobs, share_gpu=args.share_gpu)
    else:
        chosen = engine(name, cpus=args.cpus, gpus=args.gpus)
    if args.dry_run:
        for job in jobs:
            word = "fresh" if is_fresh(project, job) and not args.force else "run  "
            print(f"{word} {job.slug} ({job.profile}) {job.params or ''}")
        return 0
    outcomes = chosen.run(project, jobs, args.force)
    return int(not all(outcome.ok for outcome in outcomes))


def _golden(args) -> int:
    from neurolib.runs.golden import make_golden
    from neurolib.runs.project import find_project

    project = find_project()
    pages = [project.page(name) for name in args.pages] or project.pages()
    return int(not all(outcome.ok for outcome in make_golden(project, pages, args.jobs)))


def _test_recorded(args) -> int:
    from neurolib.runs.golden import check_recorded
    from neurolib.runs.project import find_project

    project = find_project()
    pages = [project.page(name) for name in args.pages] or project.pages()
    return int(bool(check_recorded(project, pages, args.jobs, args.update, args.force)))


def _selfcheck(args) -> int:
    from neurolib.interpret.selfcheck import PARTS, selfcheck, table

    sections = selfcheck(args.parts or PARTS)
    print(table(sections))
    wrong = sum(not one.ok for section in sections for one in section.answers)
    total = sum(len(section.answers) for section in sections)
    print(f"{total - wrong} of {total} known answers found")
    return 1 if wrong else 0


def _bench(args) -> int:
    from neurolib.runs.bench import run_benchmarks
    from neurolib.runs.project import find_project

    return run_benchmarks(find_project(), args.names)
