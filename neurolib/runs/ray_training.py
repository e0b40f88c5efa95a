"""One training run on a Ray cluster: a function that calls ``fit`` in, its results in a folder out.

Ray Train starts the function once per worker and tells each its place, as `torchrun` does; the loop itself
does the rest, and goes on from its checkpoint after a worker was lost.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurolib.runs.engines import PATIENCE, need
from neurolib.runs.project import PageError


@dataclass(frozen=True)
class RayTraining:
    """How many workers train, and what happens when one is lost.

    Parameters
    ----------
    storage : str
        A folder on a file system that all workers share; checkpoints and results go there.
    workers : int
        Processes, one per GPU where there are any.
    gpus : int
        Of each worker, 0 or 1.
    cpus : int
        Of each worker.
    retries : int
        How often the run is started anew; it goes on from its checkpoint, on any number of workers.

    Raises
    ------
    PageError
        If the numbers make no sense, or Ray Train is absent.
    """

    storage: str
    workers: int = 2
    gpus: int = 0
    cpus: int = 1
    retries: int = 2

    def __post_init__(self):
        if self.workers < 1 or self.cpus < 1 or self.gpus not in (0, 1) or self.retries < 0:
            raise PageError(f"{self}: at least one worker and core each, no or one GPU each")
        if not Path(self.storage).is_absolute():
            raise PageError(f"storage={self.storage!r} must be an absolute path, the same on all machines")

    def run(self, train: Callable[[Path], Any], name: str = "training") -> Path:
        """Call ``train(folder)`` on every worker.

        Parameters
        ----------
        train : callable
            Builds a model and its data, calls :func:`~neurolib.training.loop.fit` with a checkpoint in the
            folder, and lets the process whose ``RANK`` is 0 write what should be kept there. Ray sends the
            function to the workers, so it imports what it needs.
        name : str
            Name of the run; a run of the same name goes on where it stopped.

        Returns
        -------
        Path
            The folder. What workers report to Ray is not kept without a checkpoint of Ray's own.
        """
        need("ray")
        for key, value in (PATIENCE | {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300"}).items():
            os.environ.setdefault(key, value)
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        folder = Path(self.storage) / name
        folder.mkdir(parents=True, exist_ok=True)
        resources = {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})

        def work() -> None:  # what it returns, Ray would send and not keep
            train(folder)

        TorchTrainer(
            work,
            torch_config=TorchConfig(backend="nccl" if self.gpus else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=self.workers, use_gpu=self.gpus > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                name=name,
                storage_path=str(Path(self.storage) / "ray"),
                failure_config=FailureConfig(max_failures=self.retries),
            ),
        ).fit()
        return folder
