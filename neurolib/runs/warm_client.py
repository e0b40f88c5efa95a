"""Command words in, the exit code of `python -m MODULE WORD...` out, run by a warm process where that is possible.

Started by its path as `python -I -S warm_client.py SOCKET MODULE WORD...`, so that it is there in milliseconds:
standard library only. The warm process runs the module with our folder, environment and standard streams; we stay
and pass signals on, and if we end, it ends. Wherever it cannot, we become the plain command.
"""

import json
import os
import signal
import socket
import struct
import sys

PATIENCE_S = 120.0  # for the imports, on a machine that does other things; a kernel may take 300 s in all
FORWARDED = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


def ask(path: str, words: list[str]) -> socket.socket | None:
    """A connection to the process that runs our command; None where it must run here."""
    request = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}
    body = json.dumps(request).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    try:
        connection.connect(path)
        socket.send_fds(connection, [struct.pack("!Q", len(body))], [0, 1, 2])
        connection.sendall(body)
        answer = connection.recv(1)
    except OSError:
        answer = b""
    if answer != b"y":
        connection.close()
        return None
    connection.settimeout(None)
    return connection


def main() -> None:
    """Run the command of our command line."""
    path, *words = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # those that come now are for whoever runs the module
    connection = ask(path, words)
    if connection is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        os.execv(sys.executable, [sys.executable, "-m", *words])
    for number in FORWARDED:
        signal.signal(number, lambda number, frame: connection.send(bytes([number])))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    told = connection.recv(4, socket.MSG_WAITALL)
    code = struct.unpack("!i", told)[0] if len(told) == 4 else -signal.SIGKILL
    if code < 0:  # end as it ended
        if -code in FORWARDED:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
