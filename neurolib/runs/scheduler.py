"""Run jobs, each in a process of its own, with one line of progress; two never share a GPU."""

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from neurolib.runs.freshness import is_fresh, key
from neurolib.runs.project import SUMMARIES, Job, Project
from neurolib.runs.warm import COLD, Pool, warm

NO_GPU = ""
WORTH_WARMING = 4  # pages; the imports done once take as long as those of two
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    job: Job
    ok: bool
    seconds: float
    message: str = ""
    skipped: bool = False


def visible_gpus() -> list[str]:
    """Identifiers of the GPUs this process may use; none without a driver."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        return [name for name in names if name not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


@contextlib.contextmanager
def only_user(gpu: str, folder: Path) -> Iterator[None]:
    """Hold a GPU for one page, also against other runners of this user; waits for its turn."""
    if gpu == NO_GPU or os.name == "nt":
        yield
        return
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"gpu-{gpu}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_jobs(
    project: Project, jobs: list[Job], workers: int = 0, force: bool = False, share_gpu: bool = False
) -> list[Outcome]:
    """Run what is not fresh; return an outcome per job, in the order given.

    Parameters
    ----------
    workers : int
        Jobs at a time; 0 means one per GPU, or one per core up to four where there is none. On a
        machine with GPUs never more than there are GPUs, unless ``share_gpu``.
    force : bool
        Run fresh pages too.
    """
    gpus = visible_gpus()
    workers = workers or (len(gpus) if gpus else min(os.cpu_count() or 1, 4))
    if gpus and not share_gpu:
        workers = min(workers, len(gpus))
    # small models gain nothing from many threads, and on two cores waiting threads cost minutes
    cores_each = max((os.cpu_count() or 1) // max(workers, 4), 1)
    free: queue.Queue[str] = queue.Queue()
    for i in range(max(workers, 1)):
        free.put(gpus[i % len(gpus)] if gpus else NO_GPU)
    # pages side by side share the cores; with more threads than cores they wait for each other for minutes
    limits = {name: str(cores_each) for name in THREADS}
    environment = keep_bytecode(limits | os.environ, project.root)
    outcomes: dict[int, Outcome] = {}
    show, gate = Progress(len(jobs)), threading.Semaphore(max(workers, 1))
    last = [i for i, job in enumerate(jobs) if job.page in SUMMARIES]

    def work(i: int, job: Job, pool: Pool) -> None:
        with gate:
            gpu = free.get()
            try:
                if not force and is_fresh(project, job):
                    outcomes[i] = Outcome(job, True, 0.0, "nothing changed", skipped=True)
                else:
                    with contextlib.nullcontext() if share_gpu else only_user(gpu, _lock_folder()):
                        outcomes[i] = _run_one(project, job, gpu, environment, pool, show)
            except Exception as error:  # one page's trouble must not hide how the others ended
                outcomes[i] = Outcome(job, False, 0.0, f"{type(error).__name__}: {error}")
            finally:
                free.put(gpu)
            show.ended(outcomes[i])

    many = not gpus and _at_least(WORTH_WARMING, (force or not _fresh(project, job) for job in jobs))
    with warm(environment) if many else contextlib.nullcontext(COLD) as pool:
        for group in ([i for i in range(len(jobs)) if i not in last], last):
            threads = [threading.Thread(target=work, args=(i, jobs[i], pool), daemon=True) for i in group]
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():  # a bare join would not let Ctrl-C through
                    thread.join(0.2)
    return [outcomes[i] for i in range(len(jobs))]


def _fresh(project: Project, job: Job) -> bool:
    try:
        return is_fresh(project, job)
    except Exception:  # said when it is the page's turn
        return False


def _at_least(n: int, answers: Iterable[bool]) -> bool:
    """Whether so many answers are yes; asks no more than needed."""
    return len(list(itertools.islice(filter(None, answers), n))) == n


def keep_bytecode(env: dict[str, str], root: Path) -> dict[str, str]:
    """Where Python is told to keep no bytecode, keep it in our build folder instead.

    Containers set that variable; without bytecode every page compiles torch and its company
    anew, twice, which takes longer than many pages.
    """
    if not env.get("PYTHONDONTWRITEBYTECODE"):
        return env
    place = env.get("PYTHONPYCACHEPREFIX") or str(root / "build" / "bytecode")
    kept = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": place}


def _lock_folder() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache") / "neurolib"


def _run_one(
    project: Project, job: Job, gpu: str, environment: dict[str, str], pool: Pool, show: "Progress"
) -> Outcome:
    env = environment | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu != NO_GPU else {})
    env |= pool.environment(env)
    spec = json.dumps(
        {
            "root": str(project.root),
            "place": project.place,
            "job": asdict(job),
            "key": key(project, job),
            "kernel": pool.kernel,
        }
    )
    start, message, ok = time.perf_counter(), "", False
    process = subprocess.Popen(
        pool.command("neurolib.runs.worker", spec),
        stdin=subprocess.PIPE,  # held open: the worker ends when it closes, however we ended
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=project.root,
    )
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True)
    reader.start()
    for line in process.stdout:
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        if event["event"] == "cell":
            show.cell(job, event["cell"], event["cells"], time.perf_counter() - start)
        ok = ok or event["event"] == "done"
        message = event.get("message", message)
    process.wait()
    reader.join(5)
    if not ok and not message:
        tail = errors[-1].strip() if errors else "nothing on standard error"
        message = f"the page's process ended with code {process.returncode} ({tail}); out of memory?"
    return Outcome(job, ok, time.perf_counter() - start, message)


class Progress:
    """A status line on a terminal; one line per page elsewhere."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self.live = sys.stderr.isatty()
        self.lock = threading.Lock()

    def cell(self, job: Job, cell: int, cells: int, seconds: float) -> None:
        """Say which cell of a job runs."""
        if self.live:
            with self.lock:
                text = f"[{self.done + 1}/{self.total}] {job.slug}  cell {cell}/{cells}  {seconds:.0f} s"
                print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def ended(self, outcome: Outcome) -> None:
        """Say how a job ended."""
        with self.lock:
            self.done += 1
            clear = "\r\x1b[K" if self.live else ""
            word = "fresh " if outcome.skipped else ("ran   " if outcome.ok else "FAILED")
            time_ = "" if outcome.skipped else f"  {outcome.seconds:.1f} s"
            print(
                f"{clear}[{self.done}/{self.total}] {word} {outcome.job.slug} ({outcome.job.profile}){time_}",
                file=sys.stderr,
                flush=True,
            )
            if not outcome.ok:
                print(f"    {outcome.message}", file=sys.stderr, flush=True)
