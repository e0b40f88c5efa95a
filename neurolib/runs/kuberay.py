"""Manifests for clusters: a command and the machines it wants in, a KubeRay RayJob or a Slurm script out.

Nothing is submitted from here: ``neurolib manifest`` prints, and ``kubectl apply -f -`` or ``sbatch`` take it.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Any

from neurolib.runs.engines import PATIENCE
from neurolib.runs.project import PageError

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i?)?")


@dataclass(frozen=True)
class Machines:
    """What a command runs on.

    Parameters
    ----------
    image : str
        Container image with this package, its checkout as working folder, and Ray.
    workers_min, workers_max : int
        Pods; with more than ``workers_min`` Ray's autoscaler starts them as they are needed.
    gpus, cpus : int
        Of each worker.
    memory : str
        Of each worker and of the head, such as "16Gi".
    storage : str
        Name of a persistent volume claim that all pods can write (ReadWriteMany).
    mount : str
        Where the pods find it.
    ray_version : str
        That of the image.
    retries : int
        New clusters after a failure; a training run goes on from its checkpoint.
    """

    image: str
    workers_min: int = 1
    workers_max: int = 1
    gpus: int = 0
    cpus: int = 4
    memory: str = "16Gi"
    storage: str = ""
    mount: str = "/storage"
    ray_version: str = "2.60.0"
    retries: int = 2

    def __post_init__(self):
        if not self.image:
            raise PageError("a manifest needs --image, with this package and Ray in it")
        if not 0 <= self.workers_min <= self.workers_max or not self.workers_max:
            raise PageError(f"{self.workers_min} to {self.workers_max} workers; write 2 or 1:8")
        if self.gpus < 0 or self.cpus < 1 or self.retries < 0:
            raise PageError(f"gpus={self.gpus}, cpus={self.cpus}, retries={self.retries}: too few")
        if not MEMORY.fullmatch(self.memory):
            raise PageError(f"memory={self.memory!r}; Kubernetes writes 16Gi")

    def rayjob(self, command: str, name: str = "neurolib") -> dict[str, Any]:
        """The RayJob of a command that finds its cluster in ``RAY_ADDRESS``, as :class:`RayEngine` does.

        Parameters
        ----------
        command : str
            Run once, beside the head; it starts the work on the others.
        name : str
            Small letters, digits and dashes.

        Returns
        -------
        dict

        References
        ----------
        .. [1] KubeRay, "API reference: ray.io/v1", https://ray-project.github.io/kuberay/reference/api/

        Examples
        --------
        >>> job = Machines("me/neurolib:1", 1, 8, gpus=1).rayjob("neurolib run --engine ray")
        >>> job["kind"], job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["maxReplicas"]
        ('RayJob', 8)
        """
        cluster = {
            "rayVersion": self.ray_version,
            "enableInTreeAutoscaling": self.workers_max > self.workers_min,
            "headGroupSpec": {
                # work goes to the workers; the head only keeps the cluster together
                "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
                "template": self._pod("ray-head", gpus=0),
            },
            "workerGroupSpecs": [
                {
                    "groupName": "workers",
                    "replicas": self.workers_min,
                    "minReplicas": self.workers_min,
                    "maxReplicas": self.workers_max,
                    "rayStartParams": {},
                    "template": self._pod("ray-worker", self.gpus),
                }
            ],
        }
        manifest = {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": name},
            "spec": {
                "entrypoint": command,
                "shutdownAfterJobFinishes": True,
                "ttlSecondsAfterFinished": 600,
                "backoffLimit": self.retries,
                "rayClusterSpec": cluster,
            },
        }
        check(manifest)
        return manifest

    def _pod(self, name: str, gpus: int) -> dict[str, Any]:
        resources = {"cpu": str(self.cpus), "memory": self.memory}
        if gpus:
            resources["nvidia.com/gpu"] = str(gpus)
        env = PATIENCE | ({"NEUROLIB_DATA": f"{self.mount}/data"} if self.storage else {})
        # processes on one machine exchange tensors through shared memory, of which a pod has 64 MB
        volumes = [{"name": "shm", "emptyDir": {"medium": "Memory"}}]
        mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
        if self.storage:
            volumes.append({"name": "storage", "persistentVolumeClaim": {"claimName": self.storage}})
            mounts.append({"name": "storage", "mountPath": self.mount})
        container = {
            "name": name,
            "image": self.image,
            "env": [{"name": key, "value": value} for key, value in env.items()],
            "resources": {"limits": resources, "requests": dict(resources)},
            "volumeMounts": mounts,
        }
        return {"spec": {"containers": [container], "volumes": volumes}}

    def slurm_script(self, command: str, name: str = "neurolib", minutes: int = 1440) -> str:
        """A batch script that starts a training command by `torchrun` on every node.

        Parameters
        ----------
        command : str
            A Python file and its arguments, without ``python``. It calls
            :func:`~neurolib.training.loop.fit` with a checkpoint on the shared file system; after an end
            by force the script is queued again, and the run goes on.
        minutes : int
            Time limit.
        """
        per_node = max(self.gpus, 1)
        wanted = [
            f"--job-name={name}",
            f"--nodes={self.workers_max}",
            "--ntasks-per-node=1",
            f"--cpus-per-task={self.cpus}",
            f"--mem={self.memory.rstrip('i')}",
            f"--time={minutes}",
            "--requeue",
            *([f"--gpus-per-node={self.gpus}"] if self.gpus else []),
        ]
        head = "".join(f"#SBATCH {word}\n" for word in wanted)
        threads = max(self.cpus // per_node, 1)
        return (
            f"#!/bin/bash\n{head}"
            "set -euo pipefail\n"
            f"export OMP_NUM_THREADS={threads}\n"
            'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)\n'
            f'srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node={per_node} \\\n'
            '    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:29500" \\\n'
            f"    --max-restarts={self.retries} {command}\n"
        )


def page_command(pages: list[str], profile: str, machines: Machines) -> str:
    """The command that runs pages on a Ray cluster."""
    words = ["python", "-m", "neurolib", "run", *pages, "--profile", profile, "--engine", "ray"]
    return shlex.join([*words, "--cpus", str(machines.cpus), "--gpus", str(machines.gpus)])


POD = {"spec": {"containers": [{"name": str, "image": str}]}}
RAYJOB = {  # what every version of the resource asks for; older ones want rayStartParams, too
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str},
    "spec": {
        "entrypoint": str,
        "rayClusterSpec": {
            "headGroupSpec": {"rayStartParams": {}, "template": POD},
            "workerGroupSpecs": [
                {
                    "groupName": str,
                    "minReplicas": int,
                    "maxReplicas": int,
                    "rayStartParams": {},
                    "template": POD,
                }
            ],
        },
    },
}


def check(manifest: dict[str, Any]) -> None:
    """Refuse a RayJob that a cluster would refuse.

    Raises
    ------
    PageError
        Names every field that is absent, of another type, or out of range.
    """
    wrong = list(_wrong(manifest, RAYJOB, ""))
    if not wrong:
        if (manifest["apiVersion"], manifest["kind"]) != ("ray.io/v1", "RayJob"):
            wrong.append(f"{manifest['apiVersion']} {manifest['kind']} is not ray.io/v1 RayJob")
        name = manifest["metadata"]["name"]
        if not LABEL.fullmatch(name) or len(name) > 47:  # KubeRay adds the names of pods to it
            wrong.append(f"metadata.name {name!r}: at most 47 small letters, digits and dashes")
        cluster = manifest["spec"]["rayClusterSpec"]
        groups = cluster["workerGroupSpecs"]
        for place, group in [
            ("headGroupSpec", cluster["headGroupSpec"]),
            *(("workerGroupSpecs", g) for g in groups),
        ]:
            bad = [key for key, value in group["rayStartParams"].items() if not isinstance(value, str)]
            wrong += [f"{place}.rayStartParams.{key} must be text" for key in bad]
        for group in groups:
            low, now, high = (group.get(key, 0) for key in ("minReplicas", "replicas", "maxReplicas"))
            if not 0 <= low <= now <= high:
                wrong.append(f"{group['groupName']}: minReplicas {low}, replicas {now}, maxReplicas {high}")
    if wrong:
        raise PageError(f"this is no RayJob: {'; '.join(wrong)}")


def _wrong(value, wanted, where: str):
    """Places where a value is not of the wanted shape."""
    kind = wanted if isinstance(wanted, type) else type(wanted)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        yield f"{where or 'the manifest'} must be {kind.__name__}, not {value!r}"
    elif kind is dict:
        for key, part in wanted.items():
            place = f"{where}.{key}".lstrip(".")
            if key not in value:
                yield f"{place} is missing"
            else:
                yield from _wrong(value[key], part, place)
    elif kind is list:
        if not value:
            yield f"{where} is empty"
        for i, item in enumerate(value):
            yield from _wrong(item, wanted[0], f"{where}[{i}]")
