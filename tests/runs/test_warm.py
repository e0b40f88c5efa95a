"""Warm commands: what `python -m` would do is the oracle, sooner; nothing outlives its client or its runner."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import pytest

from neurolib.runs import scheduler
from neurolib.runs.warm import COLD, is_possible, warm

pytestmark = pytest.mark.skipif(not is_possible(), reason="forks of a warm process need Linux and no GPU")

TELL = """
import json, os, sys
told = {"argv": sys.argv, "path": sys.path, "name": __name__, "folder": os.getcwd(), "given": sys.stdin.read()}
told |= {"flags": str(sys.flags), "open": sorted(os.listdir("/proc/self/fd")), "leader": os.getsid(0) == os.getpid()}
told |= {"eggs": os.environ.get("EGGS"), "spam": os.environ.get("SPAM"), "threads": os.environ["OMP_NUM_THREADS"]}
told["warm"] = "torch._dynamo" in sys.modules
print(json.dumps(told))
print("aside", file=sys.stderr)
"""
ENDS = {
    "falls off its end": "",
    "exits": "sys.exit(3)",
    "says why it exits": "sys.exit('no eggs')",
    "raises": "1 / 0",
    "leaves at once": "os._exit(7)",
    "is killed": "os.kill(os.getpid(), 9)",
}


@pytest.fixture(scope="module")
def pool():
    """The server that pages use; `SPAM` is in its environment."""
    with warm(os.environ | {"SPAM": "1"}) as pool:
        yield pool


def run(command, folder, **environment):
    return subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "SPAM"} | environment,
        input="eggs",
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_warm_command_does_what_the_plain_one_does(pool, tmp_path, end):
    (tmp_path / "tell.py").write_text(TELL + ENDS[end])
    cold, hot = (run(p.command("tell", "-x", "a b"), tmp_path, EGGS="12") for p in (COLD, pool))
    assert hot.returncode == cold.returncode
    if cold.stdout or hot.stdout:
        plain, told = json.loads(cold.stdout), json.loads(hot.stdout)
        assert told.pop("warm") and not plain.pop("warm")
        assert told.pop("leader") and not plain.pop("leader")  # Ctrl-C reaches it through its client alone
        assert told == plain and told["eggs"] == "12" and told["spam"] is None
    assert hot.stderr.splitlines()[-1:] == cold.stderr.splitlines()[-1:]


def test_every_fork_draws_its_own_numbers(pool, tmp_path):
    code = "import random, numpy, torch, uuid, tempfile\nprint(random.random(), numpy.random.rand(), "
    code += "torch.rand(1).item(), torch.initial_seed(), uuid.uuid4(), next(tempfile._get_candidate_names()))"
    (tmp_path / "draw.py").write_text(code)
    one, other = (run(pool.command("draw"), tmp_path).stdout.split() for _ in range(2))
    assert len(one) == len(other) == 6
    assert [a for a, b in zip(one, other, strict=True) if a == b] == []


def test_seeded_numbers_and_threads_are_those_of_a_plain_command(pool, tmp_path):
    code = "import torch\ntorch.manual_seed(0)\nx = torch.randn(99, 99, requires_grad=True)\n"
    code += "opt = torch.optim.Adam([x])\n(x @ x).tanh().sum().backward()\nopt.step()\n"
    (tmp_path / "sums.py").write_text(code + "print(x.sum().item().hex(), torch.get_num_threads())")
    cold, hot = (run(p.command("sums"), tmp_path) for p in (COLD, pool))
    assert hot.stdout == cold.stdout != ""


def test_another_setting_of_what_libraries_read_when_loaded_runs_plain(pool, tmp_path):
    (tmp_path / "tell.py").write_text(TELL)
    told = json.loads(run(pool.command("tell"), tmp_path, OMP_NUM_THREADS="3").stdout)
    assert told["threads"] == "3" and not told["warm"]


def test_without_its_server_a_warm_command_is_a_plain_one(tmp_path):
    (tmp_path / "tell.py").write_text(TELL)
    with warm(os.environ, ["json"]) as pool:
        pass
    assert not Path(pool.socket).parent.exists()
    done = run(pool.command("tell", "x"), tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["argv"][1:] == ["x"]


def gone(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def start(pool, folder, code: str):
    """A client, and the process id of its fork."""
    (folder / "stays.py").write_text("import os, time\n" + code)
    client = subprocess.Popen(pool.command("stays"), cwd=folder, stdout=subprocess.PIPE, text=True)
    return client, int(client.stdout.readline())


def test_signals_reach_the_fork_and_a_fork_ends_with_its_client(pool, tmp_path):
    stays = "    print(os.getpid(), flush=True)\n    time.sleep(60)\n"
    after = "except KeyboardInterrupt:\n    print('interrupted', flush=True)\ntime.sleep(60)\n"
    client, fork = start(pool, tmp_path, f"try:\n{stays}{after}")
    client.send_signal(signal.SIGINT)
    assert client.stdout.readline() == "interrupted\n" and client.poll() is None
    client.kill()
    assert gone(fork)
    client, fork = start(pool, tmp_path, f"if True:\n{stays}")
    client.terminate()
    assert client.wait(20) == -signal.SIGTERM and gone(fork)


def test_when_the_runner_is_killed_nothing_stays(tmp_path):
    (tmp_path / "runner.py").write_text(
        "import os, subprocess\nfrom neurolib.runs.warm import warm\n"
        "with warm(os.environ, ['json']) as pool:\n"
        "    print(pool.socket, flush=True)\n    subprocess.run(pool.command('stays'))\n"
    )
    (tmp_path / "stays.py").write_text(
        "import os, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)"
    )
    runner = subprocess.Popen([sys.executable, "runner.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    folder = Path(runner.stdout.readline().strip()).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    fork, server = map(int, runner.stdout.readline().split())
    runner.kill()
    assert gone(fork) and gone(server) and not folder.exists()


def test_pages_run_warm_as_they_run_plain(checkout, monkeypatch, pool):
    project = checkout.project
    page = checkout.page(
        "where",
        """
        import sys
        from neurolib import report
        import matplotlib.pyplot as plt
        figure, axes = plt.subplots(figsize=(1, 1))
        axes.plot([1, 0])
        report.figure("line", figure)

        # %%
        report.put("warm", int("xml.dom.minidom" in sys.modules))
        report.stamp(device="abacus")
        """,
    )
    jobs = [project.job("demo/good"), project.job("demo/good", variant="half"), project.job(page)]
    found = []
    monkeypatch.setattr(scheduler, "warm", partial(warm, modules=("xml.dom.minidom", "papermill")))
    for worth in (len(jobs) + 1, len(jobs)):
        monkeypatch.setattr(scheduler, "WORTH_WARMING", worth)
        outcomes = checkout.run_jobs(jobs, force=True, workers=2)
        assert all(outcome.ok for outcome in outcomes), outcomes
        books = [nbformat.read(project.executed(job), 4) for job in jobs]
        assert {book.metadata.kernelspec.name for book in books} == {"python3"}
        results = [json.loads(project.result(job).read_text()) for job in jobs]
        outputs = [cell.get("outputs") for book in books for cell in book.cells[:-1]]  # the last has the time
        found.append((outputs, [result["values"] for result in results]))
    cold, hot = found
    assert "image/png" in str(cold[0]) and cold[0] == hot[0]
    eggs = [{"eggs": 12}, {"eggs": 6}]
    assert [cold[1], hot[1]] == [[*eggs, {"warm": 0}], [*eggs, {"warm": 1}]]
