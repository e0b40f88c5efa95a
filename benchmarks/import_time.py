"""Claims ``foundation.import_s`` and ``foundation.cli_s``: importing the package, and its command, cost nothing.

Each is a fresh interpreter; for the import, an empty interpreter's time is subtracted, for the
command line it is not: a person who types `neurolib --version` waits for both.
"""

import json
import subprocess
import sys

from neurolib.runs.bench import alternate

REPEATS, TARGET_S = 15, 0.3


def start(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


def main() -> list[dict]:
    """Measure both; seconds of one process at a time."""
    start("-c", "import neurolib")  # the first start reads files from disk
    loaded, empty = alternate(lambda: start("-c", "import neurolib"), lambda: start("-c", ""), REPEATS)
    start("-m", "neurolib", "--version")
    version, _ = alternate(lambda: start("-m", "neurolib", "--version"), lambda: None, REPEATS)
    common = {"target": TARGET_S, "device": "cpu", "threads": 1}
    return [
        {"claim": "foundation.import_s", "value": loaded - empty} | common,
        {"claim": "foundation.cli_s", "value": version} | common,
    ]


if __name__ == "__main__":
    for row in main():
        print(json.dumps(row))
