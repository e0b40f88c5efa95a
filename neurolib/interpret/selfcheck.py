"""Known answers: every tool asked about models built by hand; answers found beside answers known, out.

A tool that cannot find what was put into a model by hand need not be asked about a trained one.
"""

import time
from collections.abc import Iterable
from importlib import import_module
from typing import NamedTuple

import torch
from torch import nn

from neurolib.interpret.activations import Patch, patch, record
from neurolib.models.sites import Site

PARTS = ("sites", "units", "circuits", "dictionaries", "attribution")


class Answer(NamedTuple):
    """One question with a known answer.

    ``ok`` is whether ``found`` is near enough to ``expected``; see :func:`answer`.
    """

    name: str
    found: float
    expected: float
    tolerance: float
    ok: bool


class Section(NamedTuple):
    """The answers of one part, and the CPU seconds that they took."""

    part: str
    answers: list[Answer]
    seconds: float


def answer(name: str, found: float, expected: float, tolerance: float = 0.0, way: str = "equal") -> Answer:
    """Judge what was found; NaN is never right.

    Parameters
    ----------
    name : str
    found, expected, tolerance : float
    way : {"equal", "least", "most"}
        Whether ``found`` must lie within the tolerance of ``expected``, or not below, or not above it.

    Examples
    --------
    >>> answer("pi", 3.14, 3.1416, 0.01).ok, answer("share", 0.97, 0.9, way="least").ok
    (True, True)
    """
    found, expected = float(found), float(expected)
    miss = {"equal": abs(found - expected), "least": expected - found, "most": found - expected}
    if way not in miss:
        raise ValueError(f"way={way!r} must be one of {', '.join(miss)}")
    return Answer(name, found, expected, tolerance, miss[way] <= tolerance)


def selfcheck(parts: Iterable[str] = PARTS) -> list[Section]:
    """Ask all tools, or those of some parts.

    Raises
    ------
    ValueError
        If there is no such part.
    """
    sections = []
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"no part {part!r} to check; there are {', '.join(PARTS)}")
        ask = known_answers
        if part != "sites":
            ask = import_module(f"neurolib.interpret.known_answers_{part}").known_answers
        start = time.process_time()
        sections.append(Section(part, list(ask()), time.process_time() - start))
    return sections


def known_answers() -> list[Answer]:
    """Those about reading and changing a model itself."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, other = torch.randn(2, 5, 3, dtype=torch.float64)
    here, there = record(model, x), record(model, other)
    with torch.no_grad(), patch(model, {"1": there["1"]}):
        all_of_it = (model(x) - there.output).abs().max()
    with torch.no_grad(), patch(model, [Patch("1", there["1"][:, [2]], {1: [2]})]):
        one = model(x) - here.output  # of the other run, unit 2 alone
    wanted = (there["1"] - here["1"])[:, 2:3] * model[2].weight[:, 2].detach()
    try:
        with patch(model, [Patch(Site("1", call=7), torch.zeros(1))]):
            model(x)
        silent = 1.0
    except RuntimeError:
        silent = 0.0
    passed = model[1](model[0](x)).detach()
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())
    return [
        answer("what is read is what passed", (here["1"] - passed).abs().max(), 0, 1e-12),
        answer("patching all of a layer gives the other run", all_of_it, 0, 1e-12),
        answer("patching one unit adds its weight times its change", (one - wanted).abs().max(), 0, 1e-12),
        answer("patches that never took effect and were not reported", silent, 0),
        answer("hooks left behind", hooks, 0),
    ]


def table(sections: Iterable[Section]) -> str:
    """The answers as text, a line each.

    Examples
    --------
    >>> print(table([Section("sites", [answer("hooks left behind", 0, 0)], 0.5)]))
    sites (0.5 s)
      ok    hooks left behind: 0 (0)
    """
    lines = []
    for section in sections:
        lines.append(f"{section.part} ({section.seconds:.1f} s)")
        for one in section.answers:
            verdict = "ok   " if one.ok else "WRONG"
            lines.append(f"  {verdict} {one.name}: {one.found:.4g} ({one.expected:.4g})")
    return "\n".join(lines)
