"""One job in a process of its own: text notebook in, executed notebook and results out.

Started by :mod:`neurolib.runs.scheduler` with the job as JSON on its command line. It works
in a temporary folder and moves the outcome into place only if every cell succeeded. Progress
goes to standard output, one JSON object a line.
"""

import json
import os
import re
import sys
import sysconfig
import tempfile
import threading
import time
import traceback
from pathlib import Path

from neurolib.runs.project import TIMEOUT_S, Job, Project, write_atomic

START_S = 300  # that a kernel may take to start; papermill's minute is short where much else runs


def emit(**event) -> None:
    """Tell the scheduler something."""
    print(json.dumps(event), file=sys.__stdout__, flush=True)


def stop_with_parent() -> None:
    """End this process when the scheduler is gone: its end of our input closes."""

    def wait():
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def notebook_of(project: Project, job: Job):
    """The page as a notebook with stable cell ids."""
    import jupytext

    notebook = jupytext.read(project.source(job.page))
    stem = re.sub(r"[^a-zA-Z0-9]+", "-", job.page)[-50:]
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{stem}-{i:03d}"
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    return notebook


def execute(project: Project, job: Job, key: dict[str, str], kernel: str = "") -> None:
    """Run the job and publish it; on failure keep the half-run notebook aside and raise."""
    import nbformat
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    class Progress(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, manager, *args, **kwargs):
            start = manager.cell_start

            def cell_start(cell, cell_index=None, **rest):
                emit(event="cell", cell=(cell_index or 0) + 1, cells=len(manager.nb.cells))
                return start(cell, cell_index, **rest)

            manager.cell_start = cell_start
            return super().execute_managed_notebook(manager, *args, **kwargs)

    papermill_engines.register("progress", Progress)
    scratch = project.root / "build" / "running"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path, result = Path(folder) / "page.ipynb", Path(folder) / "result.json"
        nbformat.write(notebook_of(project, job), path)
        os.environ["NEUROLIB_HEADLESS"] = "1"
        os.environ["NEUROLIB_RUN"] = json.dumps(
            {
                "page": job.page,
                "profile": job.profile,
                "variant": job.variant,
                "params": job.params,
                "key": key,
                "result": str(result),
                "root": str(project.root),
            }
        )
        try:
            papermill.execute_notebook(
                str(path),
                str(path),
                job.params,
                engine_name="progress",
                kernel_name=kernel or None,  # None: the one that the notebook names
                progress_bar=False,
                start_timeout=START_S,
                cwd=str(project.root),
                execution_timeout=cell_timeout_s(job),
            )
            if not result.exists():
                raise RuntimeError(f"{job.page} ended without report.stamp(...); its last cell must call it")
        except BaseException as error:
            keep_aside(project, job, path, error)
            raise
        notebook = nbformat.read(path, 4)
        clean_outputs(notebook, project.root)
        if job.variant:
            relabel(notebook, job)
        # the stamp in both files says that they are of one run, also if we are stopped between them
        notebook.metadata["neurolib"] = json.loads(result.read_text("utf-8"))["stamp"]
        write_atomic(project.result(job), result.read_text("utf-8"))
        write_atomic(project.executed(job), nbformat.writes(notebook) + "\n")
        for stale in (project.failed(job), project.failed(job).with_suffix(".txt")):
            stale.unlink(missing_ok=True)


def cell_timeout_s(job: Job) -> int:
    """How long one cell of a page may run."""
    return int(os.environ.get("NEUROLIB_CELL_TIMEOUT_S", TIMEOUT_S[job.profile]))


def reason(error: Exception, job: Job) -> str:
    """Why a page failed, in one line."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    if isinstance(error, CellTimeoutError):
        return f"a cell ran longer than {cell_timeout_s(job)} s; NEUROLIB_CELL_TIMEOUT_S can allow more"
    if isinstance(error, DeadKernelError):
        return "the page's kernel died: out of memory, or a crash in compiled code?"
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def keep_aside(project: Project, job: Job, path: Path, error: BaseException) -> None:
    """Keep what a failed run left, with its traceback, where nothing publishes it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(traceback.format_exception_only(error)))
    failed = project.failed(job)
    write_atomic(failed, path.read_text("utf-8"))
    write_atomic(failed.with_suffix(".txt"), text)


def clean_outputs(notebook, root: Path) -> None:
    """Remove what must not be published: local paths, and data a static page does not use."""
    for key in ("input_path", "output_path"):
        notebook.metadata.get("papermill", {}).pop(key, None)
    folders = [
        (os.environ.get("NEUROLIB_DATA"), "$NEUROLIB_DATA"),
        (root, "."),
        (Path(__file__).parents[1], "neurolib"),
        (sysconfig.get_path("purelib"), "<packages>"),
        (sysconfig.get_path("stdlib"), "<python>"),
        (Path.home(), "~"),
    ]
    places = []
    for folder, name in folders:
        for path in {Path(folder).expanduser().absolute(), Path(folder).resolve()} if folder else ():
            if len(path.parts) > 1:  # a home of "/" names nobody
                places.append((re.compile(re.escape(str(path)) + r"(?![\w-])"), name))
    cell_file = re.compile(r"[^\s\"'>]*[/\\]ipykernel_\d+[/\\]\d+\.py")

    def scrub(value):
        if isinstance(value, str):
            for place, name in places:
                value = place.sub(lambda _, name=name: name, value)
            # only where it can match: on a picture's megabyte of base64 this search takes minutes
            return cell_file.sub("<cell>", value) if "ipykernel_" in value else value
        if isinstance(value, list):
            return [scrub(item) for item in value]
        if isinstance(value, dict):
            return {key: item if key.startswith("image/png") else scrub(item) for key, item in value.items()}
        return value

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:  # the static page draws from it; the figure's JSON would double its size
                data.pop("application/vnd.plotly.v1+json", None)
            for field in ("data", "text"):
                if field in output:
                    output[field] = scrub(output[field])
        cell.metadata.pop("execution", None)


LABEL = re.compile(r"^\((?P<target>[\w-]+)\)=|^:(?:name|label): (?P<name>[\w-]+)", re.MULTILINE)
USE = r"^\(|^:(?:name|label): |\{(?:ref|numref|eq)\}`(?:[^`<]*<)?|\]\(#?"  # what stands before a label


def relabel(notebook, job: Job) -> None:
    """Give a variant its own labels and title, so that two runs of one page can share a book."""
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    labels = {m["target"] or m["name"] for cell in prose for m in LABEL.finditer(cell.source)}
    for cell in prose:
        for label in labels:
            cell.source = re.sub(
                rf"({USE}){label}(?=\)|$|[`>])",
                rf"\g<1>{label}--{job.variant}",
                cell.source,
                flags=re.MULTILINE,
            )
    settings = ", ".join(f"`{name} = {value!r}`" for name, value in job.params.items())
    note = f"\n\n:::{{note}}\nVariant **{job.variant}** of this page, run with {settings}.\n:::"
    first = prose[0]
    first.source = re.sub(
        r"^# (.+)$", lambda m: f"# {m[1]} ({job.variant}){note}", first.source, count=1, flags=re.MULTILINE
    )


def main(argv: list[str]) -> int:
    """Run the job given as JSON; exit code 0 if it was published."""
    stop_with_parent()
    spec = json.loads(argv[0])
    project, job = Project(Path(spec["root"]), spec["place"]), Job(**spec["job"])
    start = time.perf_counter()
    try:
        execute(project, job, spec["key"], spec["kernel"])
    except Exception as error:
        emit(event="failed", message=reason(error, job))
        return 1
    emit(event="done", seconds=time.perf_counter() - start)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # skip the interpreter's tear-down, half a second of unloading notebooks' libraries
