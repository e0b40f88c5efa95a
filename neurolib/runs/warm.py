"""Modules in, commands out that find them imported: pages and their kernels as forks of one process.

A page's process and its kernel import some thousand modules each, seconds of work that is the same for all pages.
On Linux :func:`warm` does it once, in a process that forks one for each command. Elsewhere, where a GPU is visible
(its driver does not survive a fork), or if anything is amiss, the commands are the plain ones, with the same results.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
KERNEL = "neurolib-warm"
# What most pages import, some through torch's first step of an optimiser; and what runs them.
MODULES = (
    *(
        "numpy",
        "scipy.io",
        "scipy.ndimage",
        "scipy.optimize",
        "scipy.signal",
        "scipy.sparse.linalg",
        "scipy.stats",
    ),
    *("sklearn.cluster", "sklearn.decomposition", "sklearn.discriminant_analysis", "sklearn.linear_model"),
    *("sklearn.metrics", "sklearn.model_selection", "h5py", "pandas", "safetensors.torch", "yaml"),
    *("torch", "torch._dynamo", "torch.testing", "torch.utils.flop_counter"),
    *("matplotlib.pyplot", "plotly.graph_objects", "plotly.subplots", "plotly.io", "ipywidgets", "myst_nb"),
    *("ipykernel.kernelapp", "ipykernel.zmqshell", "debugpy", "papermill", "papermill.engines", "jupytext"),
)
LONGEST_SOCKET = 100  # bytes of a path; the system allows 107


@dataclass(frozen=True)
class Pool:
    """Commands of Python modules, warm if there is a server.

    Parameters
    ----------
    socket : str
        Where the server listens, in a folder that Jupyter finds a kernel in; empty for plain commands.

    Examples
    --------
    >>> Pool().command("json.tool", "a.json")[1:], Pool().kernel
    (['-m', 'json.tool', 'a.json'], '')
    >>> Pool("/tmp/x/socket").environment({"JUPYTER_PATH": "/mine"})
    {'JUPYTER_PATH': '/tmp/x:/mine'}
    """

    socket: str = ""

    @property
    def kernel(self) -> str:
        """Name of the kernel whose processes are warm; empty for the one that a notebook names."""
        return KERNEL if self.socket else ""

    def command(self, module: str, *words: str) -> list[str]:
        """What to start instead of ``python -m module words``."""
        if not self.socket:
            return [sys.executable, "-m", module, *words]
        return [sys.executable, "-I", "-S", str(HERE / "warm_client.py"), self.socket, module, *words]

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What to add to an environment, so that Jupyter finds the kernel."""
        if not self.socket:
            return {}
        places = [str(Path(self.socket).parent), environment.get("JUPYTER_PATH", "")]
        return {"JUPYTER_PATH": os.pathsep.join(filter(None, places))}


COLD = Pool()


def is_possible() -> bool:
    """Whether this system has what forks need; a GPU's driver does not survive one."""
    from neurolib.runs.scheduler import visible_gpus

    return sys.platform == "linux" and hasattr(os, "pidfd_open") and not visible_gpus()


@contextmanager
def warm(environment: Mapping[str, str], modules: Sequence[str] = MODULES) -> Iterator[Pool]:
    """A server for the time of the block; all it forked ends with it.

    Parameters
    ----------
    environment : mapping
        Of the commands to come. What libraries read when they are loaded, as ``OMP_NUM_THREADS``, must be the
        same in a command's environment; one that differs there runs as a plain command.
    modules : sequence of str
        To import.
    """
    folder = Path(tempfile.mkdtemp(prefix="neurolib-"))  # ours alone: mode 0700
    path = str(folder / "socket")
    if len(path) > LONGEST_SOCKET or not is_possible():
        shutil.rmtree(folder)
        yield COLD
        return
    pool = Pool(path)
    words = pool.command("ipykernel_launcher", "-f", "{connection_file}")
    spec = {"argv": words, "display_name": "Python 3", "language": "python", "metadata": {"debugger": True}}
    place = folder / "kernels" / KERNEL
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec), "utf-8")
    with socket.socket(socket.AF_UNIX) as listener:  # clients may come while the server still imports
        listener.bind(path)
        listener.listen(128)
        server = subprocess.Popen(
            [sys.executable, str(HERE / "warm_server.py"), str(listener.fileno()), *modules],
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,  # held open: the server ends when it closes, however we ended
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,  # Ctrl-C is for the pages; ours closes the server
        )
    try:
        yield pool
    finally:
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
