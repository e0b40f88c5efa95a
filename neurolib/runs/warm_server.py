"""Modules to import in, a socket out on which every request is run by a fork that has them already.

Started by its path by :mod:`neurolib.runs.warm`, as `python warm_server.py DESCRIPTOR MODULE...`; each request comes
from a :mod:`~neurolib.runs.warm_client` and is what `python -m` would be given. It has one thread, computes
nothing and never loads this package, so that a fork is as fresh as a new interpreter. It ends, with all its forks,
when its standard input closes, and takes the socket's folder with it.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
import threading

# Read when Python or a library is loaded, so a fork cannot take another value.
FIXED = (
    *(
        "PYTHON",
        "OMP_",
        "MKL_",
        "OPENBLAS_",
        "GOMP_",
        "KMP_",
        "GOTO_",
        "NUMEXPR_",
        "NUMBA_",
        "TORCH",
        "ATEN_",
    ),
    *(
        "CUDA_",
        "NVIDIA_",
        "LD_",
        "GLIBC_",
        "MALLOC_",
        "MPL",
        "MATPLOTLIB",
        "LC_",
        "LANG",
        "TZ",
        "HOME",
        "XDG_C",
    ),
)


def load(modules: list[str]) -> None:
    """Import what is installed of the modules."""
    before = {"MPLBACKEND": os.environ.get("MPLBACKEND"), "JPY_PARENT_PID": os.environ.get("JPY_PARENT_PID")}
    # what a kernel sets before a page imports matplotlib, and what it looks up when its own code is imported
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:  # a page that needs it says so
            continue
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value
    gc.collect()
    gc.freeze()  # what is shared stays shared: no collection in a fork writes to it


def is_forkable() -> bool:
    """Whether this thread is the only one after a fork; before one, BLAS ends its own."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return len(os.listdir("/proc/self/task")) == 1


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or an error where the sender went away."""
    parts = []
    while size:
        parts.append(connection.recv(size))
        size -= len(parts[-1])
        if not parts[-1]:
            raise ConnectionError("the client went away")
    return b"".join(parts)


class Server:
    """A listening socket and the forks behind it.

    Parameters
    ----------
    listener : socket
    before : dict
        The environment as it was before libraries were loaded; some of them add to it.
    """

    def __init__(self, listener: socket.socket, before: dict[str, str]):
        self.listener, self.before, self.after = listener, before, dict(os.environ)
        self.connections: dict[int, socket.socket] = {}  # by the fork's process id
        self.pid, self.running = os.getpid(), True
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.selector.register(0, selectors.EVENT_READ, self.stop)

    def serve(self) -> dict | None:
        """Fork for every request; returns the request in the fork, and None here at the end."""
        while self.running:
            for key, _ in self.selector.select():
                if self.selector.get_map().get(key.fd) is not key:
                    continue  # ended by what was done just before
                if request := key.data():
                    return request
        for pid in self.connections:
            os.kill(pid, signal.SIGKILL)
        for pid in self.connections:
            os.waitpid(pid, 0)
        shutil.rmtree(os.path.dirname(self.listener.getsockname()), ignore_errors=True)
        return None

    def stop(self) -> None:
        """Whoever started us is gone, or has no more work."""
        self.running = False

    def fits(self, environment: dict[str, str]) -> bool:
        """Whether libraries would have been loaded with the same settings in this environment."""
        names = {name for name in [*environment, *self.before] if name.startswith(FIXED)}
        return all(environment.get(name) in (self.before.get(name), self.after.get(name)) for name in names)

    def accept(self) -> dict | None:
        """Take a request and fork; the request in the fork, None here."""
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        streams: list[int] = []
        try:
            head, streams, _, _ = socket.recv_fds(connection, 8, 3)
            request = json.loads(receive(connection, struct.unpack("!Q", head)[0]))
            if not self.fits(request["environment"]):
                connection.send(b"n")
                connection.close()
                return None
            if not (pid := os.fork()):
                return self.child(connection, streams, request)
            self.watch(pid, connection)
            connection.send(b"y")
        except (
            OSError,
            ValueError,
            struct.error,
        ):  # the client went away; if it has a fork, `watch` ends that
            if connection not in self.connections.values():
                connection.close()
        finally:
            for stream in streams:
                os.close(stream)
        return None

    def child(self, connection: socket.socket, streams: list[int], request: dict) -> dict:
        """In a fork: let go of what is the server's, and take the client's streams."""
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not to outlive the server
            if os.getppid() != self.pid:
                os._exit(1)
            ends = [key.fileobj for key in self.selector.get_map().values() if isinstance(key.fileobj, int)]
            self.selector.close()
            for held in [connection, self.listener, *self.connections.values()]:
                held.close()
            for end in filter(None, ends):
                os.close(end)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            added = {name: value for name, value in self.after.items() if name not in self.before}
            request["environment"] = added | request["environment"]
            return request
        except BaseException:
            os._exit(1)  # never on as a second server

    def watch(self, pid: int, connection: socket.socket) -> None:
        """Pass the client's signals to a fork, end it with its client, and tell the client how it ended."""
        end = os.pidfd_open(pid)
        self.connections[pid] = connection

        def signalled() -> None:
            try:
                numbers = connection.recv(64)
            except OSError:
                numbers = b""
            if not numbers:
                self.selector.unregister(connection)
            for number in numbers or [signal.SIGKILL]:
                os.kill(pid, number)  # nobody has waited for it yet, so the id is still its own

        def over() -> None:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self.selector.unregister(end)
            os.close(end)
            if connection in self.selector.get_map():
                self.selector.unregister(connection)
            try:
                connection.sendall(struct.pack("!i", code))
            except OSError:
                pass
            connection.close()
            del self.connections[pid]

        self.selector.register(end, selectors.EVENT_READ, over)
        self.selector.register(connection, selectors.EVENT_READ, signalled)


def reseed() -> None:
    """Let a fork draw other numbers than its siblings; Python's own generator sees to that itself."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def become(request: dict) -> None:
    """In a fork: be the process that the client asked for."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    reseed()
    module, *words = request["words"]
    sys.argv = [module, *words]
    code: object = None
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    leave(code)


def leave(code: object) -> None:
    """End as `sys.exit(code)` does, but let the system take the modules apart: it needs no second for it."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Serve until standard input closes."""
    number, *modules = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    del sys.path[0]  # this folder; a fork puts its own there, as `python -m` does
    before = dict(os.environ)
    load(modules)
    server = Server(socket.socket(fileno=int(number)), before)
    request = server.serve() if is_forkable() else None
    if request is None:
        os._exit(0)
    become(request)


if __name__ == "__main__":
    main()
