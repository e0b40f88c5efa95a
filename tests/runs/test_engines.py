"""Engines other than this machine: the same pages and outcomes; skipped where the engine is not installed."""

import json
import sys
from pathlib import Path

import pytest

from neurolib.cli import main
from neurolib.runs import engines
from neurolib.runs.engines import SlurmEngine, engine, in_order, result_of
from neurolib.runs.project import Job, PageError
from neurolib.runs.ray_training import RayTraining
from neurolib.runs.scheduler import Outcome


def test_pages_run_before_the_summary_that_reads_them_and_fresh_ones_do_not(checkout, monkeypatch, capsys):
    pages = [checkout.page(name, "pass") for name in ("one", "two", "done")]
    jobs = [Job("scoreboard"), *map(Job, pages)]
    monkeypatch.setattr(engines, "is_fresh", lambda project, job: job.page == "demo/done")
    groups = []

    def submit(group):
        groups.append([job.page for job in group.values()])
        for i, job in reversed(group.items()):  # they end in any order
            yield i, Outcome(job, job.page != "demo/one", 1.0, "a cell failed")

    outcomes = in_order(checkout.project, jobs, False, submit)
    assert groups == [["demo/one", "demo/two"], ["scoreboard"]]
    assert [outcome.job for outcome in outcomes] == jobs
    assert [(outcome.ok, outcome.skipped) for outcome in outcomes] == [
        (True, False),
        (False, False),
        (True, False),
        (True, True),
    ]
    assert "FAILED demo/one" in capsys.readouterr().err
    in_order(checkout.project, jobs, True, submit)
    assert groups[2] == pages


def test_a_machine_that_is_lost_is_a_failed_page():
    def lost():
        raise RuntimeError("the node died\nworker 3 is gone")

    outcome = result_of(Job("demo/one"), lost)
    assert not outcome.ok and outcome.message == "RuntimeError: worker 3 is gone"


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_an_engine_that_is_not_installed_is_one_line(checkout, monkeypatch, capsys, name):
    package = {"ray": "ray", "slurm": "submitit"}[name]
    monkeypatch.setitem(sys.modules, package, None)  # importing it fails
    monkeypatch.chdir(checkout.root)
    assert main(["run", "good", "--engine", name]) == 1
    said = capsys.readouterr().err
    assert said == f"neurolib: this engine needs {package}: pip install 'neurolib-book[scale]'\n"


def test_mistakes_are_named(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout.root)
    assert main(["run", "good", "--engine", "dask", "--dry-run"]) == 1
    assert "engine 'dask' must be one of local, ray, slurm" in capsys.readouterr().err
    with pytest.raises(PageError, match="absolute path"):
        RayTraining("here")
    with pytest.raises(PageError, match="at least one worker"):
        RayTraining("/tmp", workers=0)


def outcomes_of(checkout, other):
    """A page, its variant and one that fails, run by another engine."""
    project = checkout.project
    fails = checkout.page("fails", "raise ValueError('no eggs')")
    jobs = [project.job("demo/good"), project.job("demo/good", variant="half"), project.job(fails)]
    outcomes = other.run(project, jobs)
    assert [outcome.ok for outcome in outcomes] == [True, True, False]
    assert outcomes[2].message == "ValueError: no eggs"
    eggs = [json.loads(project.result(job).read_text())["values"]["eggs"] for job in jobs[:2]]
    assert eggs == [12, 6] and checkout.files("book/runs/demo") == {"good.ipynb", "good--half.ipynb"}


def test_submitit_runs_pages(checkout, monkeypatch):
    pytest.importorskip("submitit")
    outcomes_of(checkout, SlurmEngine(minutes=5, cluster="local"))


@pytest.fixture(scope="module")
def ray_cluster():
    """One cluster for all tests: it takes up to a minute to start on a machine that does other things."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in engines.PATIENCE.items():
            patch.setenv(name, value)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield ray
        ray.shutdown()


def test_ray_runs_pages(checkout, ray_cluster):
    outcomes_of(checkout, engine("ray", cpus=1))
    assert ray_cluster.is_initialized()  # a cluster that was there stays


def test_ray_trains_on_two_workers_as_one_process_does(ray_cluster, tmp_path):
    pytest.importorskip("ray.train")
    import runpy

    import torch

    path = str(Path(__file__).parents[1] / "training" / "ranks.py")

    def train(folder):  # inside, so that Ray sends it whole: the workers know no tests
        import runpy
        from dataclasses import replace

        ranks = runpy.run_path(path)
        cfg = replace(ranks["CFG"], checkpoint=str(folder / "run.pt"))
        ranks["write"](folder / "result", ranks["train"](cfg))

    found = torch.load(RayTraining(str(tmp_path)).run(train) / "result", weights_only=True)
    ranks = runpy.run_path(path)
    wanted = ranks["train"](ranks["CFG"])
    assert found["valid"] == pytest.approx(wanted["valid"], rel=0, abs=1e-11)
    for name, value in wanted["weights"].items():
        torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=1e-12)
