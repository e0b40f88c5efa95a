"""Many pages: what is run, on which device, in which order, and what an end by force leaves."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from neurolib.runs import scheduler
from neurolib.runs.scheduler import Outcome, keep_bytecode, visible_gpus


class FakeRuns:
    """Stands in for running a page; remembers what ran, where, and how many at once."""

    def __init__(self, meet: int = 1):
        self.order, self.gpus, self.at_once, self.most = [], {}, 0, 0
        self.meet, self.lock = threading.Barrier(meet, timeout=10), threading.Lock()

    def __call__(self, project, job, gpu, environment, pool, show):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.order.append(job.page)
            self.gpus[job.page] = gpu
        self.meet.wait()  # with `meet`, so many pages are running when the first one goes on
        time.sleep(0.05)  # without, time for others to start if nothing keeps them
        with self.lock:
            self.at_once -= 1
        return Outcome(job, job.page != "demo/bad", 0.1)


@pytest.fixture
def fake(monkeypatch):
    def install(**options) -> FakeRuns:
        runs = FakeRuns(**options)
        monkeypatch.setattr(scheduler, "_run_one", runs)
        return runs

    return install


def test_pages_side_by_side_get_different_gpus(checkout, monkeypatch):
    monkeypatch.setattr(scheduler, "visible_gpus", lambda: ["7", "GPU-ab"])
    code = """
        import os
        from neurolib import report
        report.put("gpu", os.environ["CUDA_VISIBLE_DEVICES"])
        report.stamp(device="none")
        """
    outcomes = checkout.run(checkout.page("one", code), checkout.page("two", code), workers=2)
    assert all(outcome.ok for outcome in outcomes), outcomes
    results = [json.loads(checkout.project.result(outcome.job).read_text()) for outcome in outcomes]
    assert {result["values"]["gpu"] for result in results} == {"7", "GPU-ab"}


def test_there_are_never_more_pages_than_gpus_unless_asked(checkout, monkeypatch, fake):
    monkeypatch.setattr(scheduler, "visible_gpus", lambda: ["0"])
    monkeypatch.setattr(scheduler, "only_user", lambda gpu, folder: contextlib.nullcontext())
    pages = [checkout.page(name, "pass") for name in ("one", "two", "three")]
    alone = fake()
    checkout.run(*pages, workers=3)
    assert alone.most == 1 and set(alone.gpus.values()) == {"0"}
    together = fake(meet=3)
    checkout.run(*pages, workers=3, share_gpu=True)
    assert together.most == 3 and set(together.gpus.values()) == {"0"}


def test_two_runners_take_turns_on_a_gpu(checkout, monkeypatch, fake):
    monkeypatch.setattr(scheduler, "visible_gpus", lambda: ["0"])
    runs = fake()
    pages = [checkout.page(name, "pass") for name in ("one", "two", "three")]
    runners = [threading.Thread(target=checkout.run, args=(page,)) for page in pages]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert runs.most == 1 and sorted(runs.order) == sorted(pages)


def test_no_more_pages_at_once_than_asked_for(checkout, fake):
    pages = [checkout.page(f"p{i}", "pass") for i in range(4)]
    runs = fake(meet=2)
    assert all(outcome.ok for outcome in checkout.run(*pages, workers=2))
    assert runs.most == 2


@pytest.mark.parametrize(
    ("value", "gpus"), [("", []), ("-1", []), ("0", ["0"]), ("2,GPU-5f", ["2", "GPU-5f"])]
)
def test_the_gpus_are_those_that_the_environment_leaves(monkeypatch, value, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == gpus


def test_bytecode_is_kept_in_the_build_folder_where_python_may_not_keep_it(tmp_path):
    mine = str(tmp_path / "build" / "bytecode")
    no = {"PYTHONDONTWRITEBYTECODE": "1"}
    assert keep_bytecode({"HOME": "/"} | no, tmp_path) == {"HOME": "/", "PYTHONPYCACHEPREFIX": mine}
    assert keep_bytecode({"PYTHONPYCACHEPREFIX": "/x"} | no, tmp_path) == {"PYTHONPYCACHEPREFIX": "/x"}
    assert keep_bytecode({"HOME": "/"}, tmp_path) == {"HOME": "/"}


def test_the_scoreboard_runs_last_wherever_it_was_named(checkout, fake):
    checkout.write("notebooks/scoreboard.py", '# %% tags=["parameters"]\n')
    pages = ["scoreboard", checkout.page("one", "pass"), "demo/good"]
    runs = fake()
    outcomes = checkout.run(*pages, workers=3)
    assert runs.order[-1] == "scoreboard" and sorted(runs.order) == sorted(pages)
    assert [outcome.job.page for outcome in outcomes] == pages


def test_one_page_that_fails_does_not_stop_the_others(checkout, fake, capsys):
    runs = fake()
    broken = checkout.page("broken", "this is no Python")
    outcomes = checkout.run(checkout.page("bad", "pass"), broken, "demo/good")
    assert [outcome.ok for outcome in outcomes] == [False, True, True]
    assert len(runs.order) == 3
    assert "FAILED demo/bad" in capsys.readouterr().err


def test_force_runs_what_is_fresh(checkout, fake, monkeypatch):
    monkeypatch.setattr(scheduler, "is_fresh", lambda project, job: True)
    runs = fake()
    assert checkout.run("demo/good")[0].skipped and not runs.order
    assert not checkout.run("demo/good", force=True)[0].skipped and runs.order == ["demo/good"]


def test_a_page_that_is_no_python_fails_with_file_and_line(checkout):
    (outcome,) = checkout.run(checkout.page("broken", "x = = 1"))
    assert not outcome.ok and "broken.py, line 15: invalid syntax" in outcome.message


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads process states from /proc")
def test_killing_the_runner_ends_its_pages_and_publishes_nothing(checkout, stamp):
    pids = checkout.root / "pids"
    code = f"""
import os, time
open("pids", "w").write(f"{{os.getppid()}} {{os.getpid()}} .")
time.sleep(120)
{stamp}
"""
    page = checkout.page("sleeps", code)
    runner = subprocess.Popen([sys.executable, "-m", "neurolib", "run", page], cwd=checkout.root)
    worker = kernel = 0
    try:
        assert until(lambda: pids.exists() and pids.read_text().endswith("."))
        worker, kernel = map(int, pids.read_text().split()[:2])
        assert alive(worker) and alive(kernel)
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        assert until(lambda: not alive(worker) and not alive(kernel), 10)
    finally:
        runner.kill()
        for pid in filter(None, (worker, kernel)):  # nothing stays behind if the test fails
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
    assert not checkout.files("book") - {"published.yml"}
