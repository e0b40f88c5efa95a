"""Manifests: what a cluster would refuse is refused here, and what is printed says what was asked."""

import copy
import subprocess

import pytest
import yaml

from neurolib.cli import main
from neurolib.runs.kuberay import Machines, check
from neurolib.runs.project import PageError

FOUR = Machines("me/book:1", 1, 4, gpus=2, cpus=8, memory="64Gi", storage="lab-data")


def test_the_manifest_says_what_was_asked():
    job = FOUR.rayjob("python train.py", "night-run")
    assert (job["apiVersion"], job["kind"], job["metadata"]["name"]) == ("ray.io/v1", "RayJob", "night-run")
    spec = job["spec"]
    assert spec["entrypoint"] == "python train.py" and spec["shutdownAfterJobFinishes"] is True
    cluster = spec["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert (group["minReplicas"], group["maxReplicas"], cluster["enableInTreeAutoscaling"]) == (1, 4, True)
    head, worker = (part["template"]["spec"] for part in (cluster["headGroupSpec"], group))
    for pod, gpus in ((head, None), (worker, "2")):
        (container,) = pod["containers"]
        assert container["image"] == "me/book:1"
        assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus
        assert container["resources"]["limits"]["memory"] == "64Gi"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]} == {"shm", "storage"}
    claim = [volume.get("persistentVolumeClaim") for volume in worker["volumes"]]
    assert {"claimName": "lab-data"} in claim
    alone = Machines("me/book:1").rayjob("x")["spec"]["rayClusterSpec"]
    assert alone["enableInTreeAutoscaling"] is False


def without(*path):
    def change(job):
        for key in path[:-1]:
            job = job[key]
        del job[path[-1]]

    return change


def with_(value, *path):
    def change(job):
        for key in path[:-1]:
            job = job[key]
        job[path[-1]] = value

    return change


CLUSTER = ("spec", "rayClusterSpec")
GROUP = (*CLUSTER, "workerGroupSpecs", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("spec", "entrypoint"), "spec.entrypoint is missing"),
        (without(*CLUSTER, "headGroupSpec"), "spec.rayClusterSpec.headGroupSpec is missing"),
        (without(*GROUP, "groupName"), r"workerGroupSpecs\[0\].groupName is missing"),
        (with_([], *CLUSTER, "workerGroupSpecs"), "workerGroupSpecs is empty"),
        (with_("4", *GROUP, "maxReplicas"), r"maxReplicas must be int, not '4'"),
        (with_(0, *GROUP, "maxReplicas"), "minReplicas 1, replicas 1, maxReplicas 0"),
        (with_({"num-cpus": 0}, *CLUSTER, "headGroupSpec", "rayStartParams"), "num-cpus must be text"),
        (
            with_([{"name": "x"}], *GROUP, "template", "spec", "containers"),
            r"containers\[0\].image is missing",
        ),
        (with_("Night_Run", "metadata", "name"), "metadata.name 'Night_Run'"),
        (with_("ray.io/v1alpha1", "apiVersion"), "is not ray.io/v1 RayJob"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_with_its_place(change, message):
    job = copy.deepcopy(FOUR.rayjob("x"))
    check(job)
    change(job)
    with pytest.raises(PageError, match=message):
        check(job)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": ""}, "needs --image"),
        ({"workers_min": 3, "workers_max": 2}, "3 to 2 workers"),
        ({"memory": "16 GB"}, "memory='16 GB'"),
        ({"cpus": 0}, "cpus=0"),
    ],
)
def test_machines_that_make_no_sense_are_refused(options, message):
    with pytest.raises(PageError, match=message):
        Machines(**({"image": "me/book:1"} | options))


def test_the_command_line_prints_a_rayjob_of_pages(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout.root)
    assert main("manifest rayjob good --image me/book:1 --workers 1:3 --gpus 1".split()) == 0
    job = yaml.safe_load(capsys.readouterr().out)
    check(job)
    assert job["spec"]["entrypoint"] == (
        "python -m neurolib run demo/good --profile full --engine ray --cpus 4 --gpus 1"
    )
    assert main("manifest rayjob good".split()) == 1
    assert main("manifest rayjob good --image x --workers some".split()) == 1
    assert main("manifest slurm good".split()) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and all(line.startswith("neurolib: ") for line in said)


def test_the_slurm_script_starts_one_torchrun_per_node(capsys):
    words = [
        "manifest",
        "slurm",
        "--command",
        "train.py --lr 1",
        "--workers",
        "4",
        "--gpus",
        "2",
        "--cpus",
        "8",
    ]
    assert main(words) == 0
    script = capsys.readouterr().out
    assert script.startswith("#!/bin/bash\n#SBATCH ")
    for line in ("--nodes=4", "--ntasks-per-node=1", "--gpus-per-node=2", "--mem=16G", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    assert "--nproc-per-node=2" in script and script.endswith("--max-restarts=2 train.py --lr 1\n")
    # bash reads it, and srun gets the words that torchrun needs
    stubs = 'scontrol() { echo node1; echo node2; }; srun() { printf "%s\\n" "$@"; }\n'
    env = {
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_NNODES": "2",
        "SLURM_JOB_ID": "7",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(["bash", "-c", stubs + script], env=env, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert (
        said[0] == "torchrun"
        and "--rdzv-endpoint=node1:29500" in said
        and said[-3:] == ["train.py", "--lr", "1"]
    )
