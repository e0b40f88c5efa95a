"""Where jobs run: jobs of pages in, one outcome per job out, on this machine or on many.

The local engine needs nothing more. Ray and Slurm run the same job on other machines, each page still in a
process of its own; all machines must see the checkout, its environment and the data at the same paths.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from neurolib.runs.freshness import is_fresh
from neurolib.runs.project import SUMMARIES, Job, PageError, Project
from neurolib.runs.scheduler import Outcome, Progress, run_jobs

# On a loaded machine Ray gives up on its own start too soon. What it also asks for, that its agents answer
# within 15 s, is fixed in its code (ray-project/ray, issue 65983): where that fails, try again.
PATIENCE = {"RAY_raylet_start_wait_time_s": "120", "RAY_agent_register_timeout_ms": "300000"}


class Engine(Protocol):
    """Runs jobs."""

    def run(self, project: Project, jobs: list[Job], force: bool = False) -> list[Outcome]:
        """Run what is not fresh; an outcome per job, in the order given."""


@dataclass(frozen=True)
class LocalEngine:
    """Here: a process per job, as :func:`~neurolib.runs.scheduler.run_jobs` does it."""

    workers: int = 0
    share_gpu: bool = False

    def run(self, project: Project, jobs: list[Job], force: bool = False) -> list[Outcome]:
        """Run what is not fresh."""
        return run_jobs(project, jobs, self.workers, force, self.share_gpu)


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster: the one that ``RAY_ADDRESS`` names, or one started here for the time of the run.

    Parameters
    ----------
    cpus, gpus : float
        What a job asks for; Ray runs as many jobs at a time as it has.
    retries : int
        How often a job is started anew whose machine was lost. A page that fails is not tried again.

    References
    ----------
    .. [1] Moritz et al. (2018), "Ray: a distributed framework for emerging AI applications", OSDI.
    """

    cpus: float = 1
    gpus: float = 0
    retries: int = 2

    def run(self, project: Project, jobs: list[Job], force: bool = False) -> list[Outcome]:
        """Run what is not fresh."""
        ray = need("ray")
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        ours = not ray.is_initialized()
        if ours:
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, max_calls=1)(
            run_page
        )

        def submit(group: dict[int, Job]) -> Iterator[tuple[int, Outcome]]:
            running = {
                task.remote(str(project.root), project.place, asdict(job)): i for i, job in group.items()
            }
            while running:
                (done, *_), _ = ray.wait(list(running), num_returns=1)
                i = running.pop(done)
                yield i, result_of(group[i], lambda done=done: ray.get(done))

        try:
            return in_order(project, jobs, force, submit)
        finally:
            if ours:
                ray.shutdown()


@dataclass(frozen=True)
class SlurmEngine:
    """A Slurm cluster: one array of jobs, started and awaited from here.

    Parameters
    ----------
    cpus, gpus : int
        What a job asks for.
    minutes : int
        Time limit of a job.
    partition : str
        Empty for the cluster's default.
    workers : int
        Jobs at a time; 0 for as many as the cluster allows.
    cluster : str, optional
        ``"local"`` or ``"debug"`` do without Slurm, as submitit's tests do.
    """

    cpus: int = 1
    gpus: int = 0
    minutes: int = 240
    partition: str = ""
    workers: int = 0
    cluster: str | None = "slurm"

    def run(self, project: Project, jobs: list[Job], force: bool = False) -> list[Outcome]:
        """Run what is not fresh."""
        submitit = need("submitit")
        try:
            executor = submitit.AutoExecutor(folder=project.root / "build" / "slurm", cluster=self.cluster)
        except RuntimeError as error:
            raise PageError(f"Slurm cannot be used from here: {error}") from None
        executor.update_parameters(
            name="neurolib",
            timeout_min=self.minutes,
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus,
            **({"slurm_partition": self.partition} if self.partition else {}),
            **({"slurm_array_parallelism": self.workers} if self.workers else {}),
        )

        def submit(group: dict[int, Job]) -> Iterator[tuple[int, Outcome]]:
            with executor.batch():
                running = {
                    i: executor.submit(run_page, str(project.root), project.place, asdict(job))
                    for i, job in group.items()
                }
            while running:
                for i in [i for i, task in running.items() if task.done()]:
                    yield i, result_of(group[i], running.pop(i).result)
                time.sleep(1 if running else 0)

        return in_order(project, jobs, force, submit)


ENGINES = {"local": LocalEngine, "ray": RayEngine, "slurm": SlurmEngine}


def engine(name: str, **options) -> Engine:
    """The engine of that name; options are its fields.

    Examples
    --------
    >>> engine("ray", cpus=2)
    RayEngine(cpus=2, gpus=0, retries=2)
    """
    if name not in ENGINES:
        raise PageError(f"engine {name!r} must be one of {', '.join(ENGINES)}")
    return ENGINES[name](**options)


def need(package: str):
    """Import a package of the extra ``scale``."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise PageError(f"this engine needs {package}: pip install 'neurolib-book[scale]'") from None


def run_page(root: str, place: str, job: dict) -> dict:
    """Run one job on the machine that this is called on; what engines send to others."""
    (outcome,) = run_jobs(Project(Path(root), place), [Job(**job)], workers=1, force=True, share_gpu=True)
    return {"ok": outcome.ok, "seconds": outcome.seconds, "message": outcome.message}


def result_of(job: Job, get) -> Outcome:
    """The outcome of a job that ended elsewhere, also where it ended by the loss of its machine."""
    try:
        return Outcome(job, **get())
    except Exception as error:  # every engine has its own kinds
        lines = str(error).strip().splitlines()
        return Outcome(job, False, 0.0, f"{type(error).__name__}: {lines[-1] if lines else 'lost'}")


def in_order(project: Project, jobs: list[Job], force: bool, submit) -> list[Outcome]:
    """Run what is not fresh, summaries after the pages that they read.

    Parameters
    ----------
    submit : callable
        Takes jobs by their number, yields a number and its outcome as each job ends.
    """
    outcomes: dict[int, Outcome] = {}
    show = Progress(len(jobs))

    def ended(i: int, outcome: Outcome) -> None:
        outcomes[i] = outcome
        show.ended(outcome)

    for summary in (False, True):
        group = {i: job for i, job in enumerate(jobs) if (job.page in SUMMARIES) == summary}
        if not force:
            for i in [i for i, job in group.items() if _fresh(project, job)]:
                ended(i, Outcome(group.pop(i), True, 0.0, "nothing changed", skipped=True))
        for i, outcome in submit(group) if group else ():
            ended(i, outcome)
    return [outcomes[i] for i in range(len(jobs))]


def _fresh(project: Project, job: Job) -> bool:
    try:
        return is_fresh(project, job)
    except PageError:  # what is wrong with the page is said by its own run
        return False
