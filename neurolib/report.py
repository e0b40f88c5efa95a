"""What a page says about itself: values, verdicts, the card at its top and the stamp at its end.

Called by notebooks only. Values go into the page's prose (through ``glue``) and, when the
runner started the page, into its results file; in JupyterLab and under nbval nothing is written.
"""

import html
import json
import logging
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from neurolib.runs.freshness import data_state
from neurolib.runs.project import find_project, write_atomic

# `use` says on the page what a loader would say on standard error
logging.getLogger("neurolib").addHandler(logging.NullHandler())

VERSIONS = ("neurolib-book", "torch", "numpy", "scipy", "scikit-learn")


class _Page:
    """The page that this process runs."""

    def __init__(self):
        self.start = time.perf_counter()
        self.run: dict[str, Any] = json.loads(os.environ.get("NEUROLIB_RUN", "{}"))
        self.values: dict[str, Any] = {}
        self.checks: list[dict[str, Any]] = []
        self.data: list[dict[str, str]] = []
        self.card = ""

    @property
    def simulated(self) -> bool:
        return any(entry["kind"] == "simulated" for entry in self.data)


_page = _Page()


def put(name: str, value: float | int | str) -> None:
    """Make a measured value available to the prose as ``{glue:text}`` and to the results file.

    Parameters
    ----------
    name : str
        As in ``{glue:text}`name:.2f```.
    value : float, int or str

    Raises
    ------
    ValueError
        If the value is not finite, or the name is taken by another value.
    """
    if hasattr(value, "item"):  # NumPy and torch scalars print their type in prose
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; a page does not report what was not measured")
    if _page.run and _page.values.get(name, value) != value:  # in JupyterLab a cell is run again and again
        raise ValueError(f"{name} was put before as {_page.values[name]!r}, now as {value!r}; use two names")
    _page.values[name] = value
    _glue(name, value)


def figure(name: str, fig) -> None:
    """Hand a matplotlib figure to ``{glue:figure}`` and close it."""
    import matplotlib.pyplot as plt

    _glue(name, fig)
    plt.close(fig)
    if not _headless():
        from IPython.display import display

        display(fig)


def use(*sets) -> None:
    """Note which data the page uses, and say so; simulated data are announced in capitals.

    Parameters
    ----------
    *sets : Trials or Recording
        Anything with ``name`` (an id of the catalog, unless nothing like it was recorded) and ``simulated``.
    """
    from IPython.display import HTML, display

    entries = [data_state(each.name, "simulated" if each.simulated else "recorded") for each in sets]
    _page.data.extend(entry for entry in entries if entry not in _page.data)
    display(HTML(_data_lines(entries)))


def published(key: str) -> dict[str, Any]:
    """An entry of ``book/published.yml``: a number somebody else reported, with its source.

    Raises
    ------
    KeyError
        If there is no such entry.
    """
    import yaml

    entries = yaml.safe_load((_root() / "book" / "published.yml").read_text("utf-8")) or {}
    if key not in entries:
        raise KeyError(f"no {key!r} in book/published.yml; it has {sorted(entries)}")
    return entries[key]


def check(
    label: str,
    value: float,
    tolerance: float,
    *,
    published: str = "",
    expected: float | dict[str, float] | None = None,
) -> None:
    """Compare a result with what was published or expected; prints one line that holds no measured digit.

    Parameters
    ----------
    label : str
        What was measured.
    value : float
    tolerance : float
        Difference that still counts as the same; a judgement, so it is shown.
    published : str
        Key in ``book/published.yml``. Not compared where the data are simulated, or the entry
        names a ``recording`` that the page does not use.
    expected : float or dict
        Our own earlier result, one number or one per kind of data (``recorded``, ``simulated``).

    Notes
    -----
    The line is what nbval and the runs on recorded data compare, so it must not change with
    the last digits of a result.
    """
    if not math.isfinite(value):
        raise ValueError(f"{label} is {value}; a page does not report what was not measured")
    if bool(published) == (expected is not None):
        raise ValueError(f"{label}: give either published= or expected=")
    row = {"label": label, "ours": float(value), "tolerance": tolerance, "simulated": _page.simulated}
    if published:
        entry = globals()["published"](published)
        row |= {"reference": float(entry["value"]), "kind": "published", "key": published}
        row["citation"] = entry.get("citation", "")
        row["bound"] = entry.get("bound", "")
        used = {data["id"] for data in _page.data}
        row["elsewhere"] = "" if entry.get("recording", "") in {"", *used} else entry["recording"]
    else:
        if isinstance(expected, dict):
            kind = "simulated" if _page.simulated else "recorded"
            if kind not in expected:
                raise ValueError(
                    f"{label}: nothing is expected on {kind} data, only on {', '.join(expected)}"
                )
            expected = expected[kind]
        row |= {"reference": float(expected), "kind": "expected"}
    row["verdict"] = _verdict(row)
    _note(row)


def claim(label: str, holds: bool) -> None:
    """State whether a claim held in this run; prints one stable line.

    The scoreboard lists it, claims that failed first.
    """
    row = {"label": label, "kind": "claim", "holds": bool(holds), "simulated": _page.simulated}
    row["verdict"] = "holds" if holds else "does not hold"
    _note(row)


def card(answer: str, needs: str = "") -> None:
    """Set the card at the top of the page; it is completed and shown by :func:`stamp`.

    Parameters
    ----------
    answer : str
        What the page found, in one or two sentences, with numbers formatted in.
    needs : str
        What a reader should know before.
    """
    rows = [("Answer", answer)] + ([("You should know", needs)] if needs else [])
    _page.card = "".join(f"<p><strong>{key}.</strong> {html.escape(text)}</p>" for key, text in rows)


def stamp(device: str = "") -> None:
    """Show what made this page, and write its results file; the last call of every page.

    Parameters
    ----------
    device : str
        Where models were trained, if not where the page runs.
    """
    from IPython.display import HTML, display

    run = _page.run
    commit, dirty = _commit()
    record = {
        "profile": run.get("profile", "interactive"),
        "params": run.get("params", {}),
        "command": _command(run),
        "commit": commit,
        "dirty": dirty,
        "data": _page.data,
        "device": device or _device(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in VERSIONS},
        "seconds": round(time.perf_counter() - _page.start, 1),
        "peak_memory_mb": _peak_memory_mb(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "key": run.get("key", {}),
    }
    data = _data_lines(_page.data)
    made = f"{record['profile']} profile, {record['device']}, {record['seconds']:.0f} s"
    _glue(
        "card",
        HTML(
            f'<div class="at-a-glance">{_page.card}{data}<p><strong>Run.</strong> {html.escape(made)}</p></div>'
        ),
    )
    display(HTML(_stamp_table(record)))
    if run:
        result = {
            "page": run["page"],
            "variant": run["variant"],
            "profile": run["profile"],
            "values": _page.values,
            "checks": _page.checks,
            "stamp": record,
        }
        write_atomic(Path(run["result"]), json.dumps(result, indent=1, sort_keys=True) + "\n")


def results(folder: str | Path = "") -> list[dict[str, Any]]:
    """Results of all pages that have been run, from ``book/results`` or another folder."""
    folder = _root() / (folder or "book/results")
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.rglob("*.json"))]


def _note(row: dict[str, Any]) -> None:
    """Print a verdict and keep it, once per label: a cell may be run again."""
    _page.checks = [other for other in _page.checks if other["label"] != row["label"]] + [row]
    print(f"{row['label']}: {row['verdict']}")


def _verdict(row: dict[str, Any]) -> str:
    reference, tolerance = row["reference"], row["tolerance"]
    if row["kind"] == "published" and row["simulated"]:
        return f"not comparable with the published {reference:g}, the data are SIMULATED"
    if row.get("elsewhere"):
        return f"not comparable with the published {reference:g}, which is of {row['elsewhere']}"
    difference = row["ours"] - reference
    if row.get("bound") == "lower":
        if difference >= -tolerance:
            return f"within the published bound of at least {reference:g}"
        return f"lower than the published bound of at least {reference:g} by more than {tolerance:g}"
    if abs(difference) <= tolerance:
        return f"within {tolerance:g} of the {row['kind']} {reference:g}"
    side = "higher" if difference > 0 else "lower"
    return f"{side} than the {row['kind']} {reference:g} by more than {tolerance:g}"


def _glue(name: str, value) -> None:
    from myst_nb import glue

    glue(name, value, display=False)


def _headless() -> bool:
    return bool(os.environ.get("NEUROLIB_HEADLESS"))


def _root() -> Path:
    return Path(_page.run["root"]) if "root" in _page.run else find_project().root


def _data_lines(entries: list[dict[str, str]]) -> str:
    """A paragraph per set of data, or one for all stand-ins of a page that has several."""
    twins = [e for e in entries if e["kind"] == "simulated" and e["id"] in _titles()]
    lines = [(e["kind"], _data_line(e)) for e in entries if len(twins) < 3 or e not in twins]
    if len(twins) > 2:
        names = "; ".join(f"«{_titles()[e['id']]}»" for e in twins)
        lines.append(
            (
                "simulated",
                f"SIMULATED data: stand-ins with the statistics of {names}; nothing here was recorded.",
            )
        )
    return "".join(f'<p class="data-kind {kind}">{html.escape(line)}</p>' for kind, line in lines)


def _titles() -> dict[str, str]:
    from neurolib.data import catalog

    return {id: entry.title for id, entry in catalog.datasets().items()}


def _data_line(entry: dict[str, str]) -> str:
    from neurolib.data import catalog

    if entry["kind"] == "simulated" and entry["id"] not in catalog.datasets():
        return (
            f"SIMULATED data: {entry['id']}; made up, with a known answer, and a stand-in for no recording."
        )
    known = catalog.dataset(entry["id"])
    if entry["kind"] == "simulated":
        return (
            f"SIMULATED data: a stand-in with the statistics of «{known.title}»; nothing here was recorded."
        )
    return f"Recorded data: {known.title}. Licence: {known.licence}. sha256 {entry['sha256'][:12]}…"


def _command(run: dict[str, Any]) -> str:
    if not run:
        return "run interactively"
    words = ["python", "run.py", "run", run["page"], "--profile", run["profile"]]
    words += [f"--variant {run['variant']}"] if run["variant"] else []
    return " ".join(
        [*words, *(f"-p {shlex.quote(f'{key}={value}')}" for key, value in run["params"].items())]
    )


def _commit() -> tuple[str, bool]:
    def git(*words):
        try:
            done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=_root(), timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    return git("rev-parse", "HEAD") or "unknown", bool(git("status", "--porcelain", "--untracked-files=no"))


def _device() -> str:
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads() if torch else os.cpu_count()
    return f"CPU ({platform.machine()}), {threads} thread{'s' * (threads != 1)}"


def _peak_memory_mb() -> dict[str, int]:
    peak = {}
    if sys.platform != "win32":
        import resource

        scale = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kibibytes here
        peak["host"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale)
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        peak["gpu"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return peak


def _stamp_table(record: dict[str, Any]) -> str:
    memory = ", ".join(f"{size} MB {place}" for place, size in record["peak_memory_mb"].items())
    rows = {
        "Made by": f"<code>{html.escape(record['command'])}</code>",
        "Commit": record["commit"][:12] + (" with uncommitted changes" if record["dirty"] else ""),
        "Data": "<br>".join(
            f"{entry['id']}: {entry['kind'].upper()}"
            + (f", sha256 <code>{entry['sha256'][:16]}…</code>" if entry["sha256"] else "")
            for entry in record["data"]
        )
        or "none",
        "Device": html.escape(record["device"]),
        "Time and memory": f"{record['seconds']:.0f} s, peak {memory}",
        "Versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "Date": record["date"],
    }
    body = "".join(f"<tr><th>{key}</th><td>{value}</td></tr>" for key, value in rows.items())
    return f'<details class="stamp"><summary>What made this page</summary><table>{body}</table></details>'
