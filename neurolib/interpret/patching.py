"""Activation patching: a clean and a corrupt batch of trials in, how much of their difference a part carries out.

Values of one run are put into the other at chosen places, all trials at once and many patches side by side in
the batch. What is compared is a score per trial, see :mod:`~neurolib.interpret.trial_scores`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.interpret.activations import Patch, Run, call, patch, record
from neurolib.interpret.corruption import n_rows, take
from neurolib.interpret.recovery import Recovery, recovery
from neurolib.interpret.trial_scores import TrialScore
from neurolib.models.sites import Site, sites_of

ROWS = 512  # trials in one pass through the model


class Runs(Protocol):
    """A model whose components are kept or resampled, on fixed trials."""

    names: tuple[str, ...]  # of the components

    def measure(self, keep: Tensor) -> Tensor:
        """Scores ``(circuit, trial)`` with the components of ``keep (circuit, component)`` kept, the others resampled."""


@dataclass(frozen=True)
class Unit:
    """A component of a model: a part of a site.

    Parameters
    ----------
    name : str
    site : str or Site
    index : dict of str to int, slice or list of int
        Which part, by names of axes; all of the site if empty.
    """

    name: str
    site: str | Site
    index: Mapping[str, int | slice | Sequence[int]] = field(default_factory=dict)


def units_of(model: nn.Module, site: str | Site, size: int, axis: str = "channel") -> list[Unit]:
    """Every entry of one axis of a site as a unit.

    Examples
    --------
    >>> [unit.name for unit in units_of(nn.Sequential(nn.Linear(2, 3)), Site("0", axes=("batch", "channel")), 2)]
    ['0[0]', '0[1]']
    """
    name = site if isinstance(site, str) else site.name
    return [Unit(f"{name}[{i}]", site, {axis: i}) for i in range(size)]


class UnitRuns:
    """Runs of a model with some units from one batch and the others from another.

    Parameters
    ----------
    model : nn.Module
    units : sequence of Unit
    clean, corrupt : batches of as many trials
    score : TrialScore
    direction : {"noise", "denoise"}
        ``"noise"`` runs the clean batch, with units that are not kept taken from the corrupt one; ``"denoise"``
        runs the corrupt batch, with units that are kept taken from the clean one. They differ where the
        units are not all there is between input and output.
    run : callable
        ``run(model, inputs)``.
    rows : int
        Trials in one pass.

    Notes
    -----
    Several circuits are run side by side along the batch, so rows of a batch must not see each other.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False).requires_grad_(False)
    >>> model.weight[:] = torch.tensor([[1.0, 10.0]])
    >>> entries = units_of(model, Site("x", "", ("batch", "channel"), side="input"), 2)
    >>> runs = UnitRuns(model, entries, torch.ones(1, 2), torch.zeros(1, 2), lambda y: y[:, 0])
    >>> runs.measure(torch.tensor([[True, True], [True, False], [False, False]])).flatten().tolist()
    [11.0, 1.0, 0.0]
    """

    def __init__(
        self,
        model: nn.Module,
        units: Sequence[Unit],
        clean: Any,
        corrupt: Any,
        score: TrialScore,
        direction: str = "noise",
        run: Run = call,
        rows: int = ROWS,
    ):
        if direction not in ("noise", "denoise"):
            raise ValueError(f"direction={direction!r} must be 'noise' or 'denoise'")
        if n_rows(clean) != n_rows(corrupt):
            raise ValueError(
                f"{n_rows(clean)} clean trials and {n_rows(corrupt)} corrupt ones; they are pairs"
            )
        self.model, self.score, self.run, self.rows = model, score, run, rows
        self.names, self.n_trials = tuple(unit.name for unit in units), n_rows(clean)
        self.noise = direction == "noise"
        self.base, donor = (clean, corrupt) if self.noise else (corrupt, clean)
        known = sites_of(model)
        by_site: dict[Site, list[tuple[int, Unit]]] = {}
        for number, unit in enumerate(units):
            site = unit.site
            if isinstance(site, str):
                site = known.get(site) or Site(site)
            by_site.setdefault(site, []).append((number, unit))
        values = record(model, donor, list(by_site), run=run)
        self._places = [
            _Place(site, values[site.name], values.axes[site.name], members)
            for site, members in by_site.items()
        ]

    def measure(self, keep: Tensor) -> Tensor:
        """Scores ``(circuit, trial)``, see :class:`Runs`."""
        keep = checked(keep, len(self.names))
        taken = ~keep if self.noise else keep
        return in_blocks(self, taken, lambda part: [place.patch(part) for place in self._places])


class _Place:
    """The units at one site."""

    def __init__(self, site: Site, donor: Tensor, axes: tuple[str, ...], members: Iterable[tuple[int, Unit]]):
        self.site = site
        self.batch = axes.index("batch") if "batch" in axes else 0
        self.donor = donor.movedim(self.batch, 0)
        rest = axes[: self.batch] + axes[self.batch + 1 :]
        numbers, masks = [], []
        for number, unit in members:
            numbers.append(number)
            masks.append(_mask(unit, rest, self.donor.shape[1:], site))
        self.numbers = torch.tensor(numbers)
        self.shape = np.broadcast_shapes(
            *(mask.shape for mask in masks)
        )  # torch's own imports sympy, for seconds
        self.masks = torch.stack([mask.expand(self.shape).flatten() for mask in masks]).float()

    def patch(self, taken: Tensor) -> Patch:
        """For circuits side by side, ``taken (circuit, unit)``."""
        chosen = (taken[:, self.numbers].float() @ self.masks > 0).view(-1, 1, *self.shape)

        def mix(value: Tensor) -> Tensor:
            moved = value.movedim(self.batch, 0)
            apart = moved.unflatten(0, (len(chosen), -1))
            if apart.shape[1:] != self.donor.shape:
                raise ValueError(
                    f"{self.site.described} is {tuple(apart.shape[1:])} here and {tuple(self.donor.shape)} in the run "
                    "that values are taken from; are trials of one length?"
                )
            mixed = torch.where(chosen.to(value.device), self.donor, apart)
            return mixed.flatten(0, 1).movedim(0, self.batch)

        return Patch(self.site, mix)


def _mask(unit: Unit, axes: tuple[str, ...], shape: Sequence[int], site: Site) -> Tensor:
    """Where a unit is; axes that it fills have length 1."""
    found = torch.ones([1] * len(shape), dtype=torch.bool)
    for name, at in unit.index.items():
        if name not in axes:
            raise ValueError(f"unit {unit.name!r}: no axis {name!r} besides the batch at {site.described}")
        number = axes.index(name)
        along = torch.zeros(shape[number], dtype=torch.bool)
        if not isinstance(at, slice):
            at = torch.as_tensor(at)
            at = at if at.dtype == torch.bool else at.long()
        try:
            along[at] = True
        except IndexError:
            raise ValueError(
                f"unit {unit.name!r}: index {at} is outside axis {name!r} of {shape[number]} at {site.described}"
            ) from None
        found = found & along.view([-1 if i == number else 1 for i in range(len(shape))])
    return found


def checked(keep: Tensor, n: int) -> Tensor:
    """Circuits ``(circuit, component)`` of bool."""
    keep = torch.as_tensor(keep)
    keep = keep[None] if keep.dim() == 1 else keep
    if keep.dtype != torch.bool or keep.dim() != 2 or keep.shape[1] != n:
        raise ValueError(f"keep {tuple(keep.shape)} {keep.dtype} must be bool of shape (circuit, {n})")
    return keep


@torch.no_grad()
def in_blocks(runs: Any, circuits: Tensor, patches) -> Tensor:
    """Scores ``(circuit, trial)``, with as many circuits side by side as rows allow."""
    n, found = runs.n_trials, []
    for part in circuits.split(max(1, runs.rows // n)):
        rows = torch.arange(n).repeat(len(part))
        with patch(runs.model, patches(part)):
            output = runs.run(runs.model, take(runs.base, rows))
        found += [scored(runs.score, take(output, slice(i * n, (i + 1) * n)), n) for i in range(len(part))]
    return torch.stack(found).cpu()


def scored(score: TrialScore, output: Any, n_trials: int) -> Tensor:
    """Scores of one batch, checked."""
    found = score(output)
    if not isinstance(found, Tensor) or found.shape != (n_trials,):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"the score gave {shape}; it must give one number per trial, ({n_trials},)")
    return found


def single_effects(runs: Runs) -> Tensor:
    """What the exchange of each component alone does to the score, ``(component, trial)``: measured, one run each."""
    n = len(runs.names)
    whole = runs.measure(torch.ones(1, n, dtype=torch.bool))
    return runs.measure(~torch.eye(n, dtype=torch.bool)) - whole


def activation_patching(
    model: nn.Module,
    clean: Any,
    corrupt: Any,
    score: TrialScore,
    units: Sequence[Unit],
    direction: str = "denoise",
    run: Run = call,
    rows: int = ROWS,
) -> Recovery:
    """Patch units one at a time.

    Parameters
    ----------
    model, clean, corrupt, score, units, direction, run, rows
        See :class:`UnitRuns`.

    Returns
    -------
    Recovery
        One share per unit. ``"denoise"``: what of the clean score comes back with that unit alone clean.
        ``"noise"``: what is left of it with that unit alone corrupt; 1 where the unit does not matter.

    References
    ----------
    .. [1] Vig et al. (2020), "Investigating gender bias in language models using causal mediation analysis",
       NeurIPS.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))
    >>> x, y = torch.randn(9, 1), torch.randn(9, 1)
    >>> found = activation_patching(model, x, x + 1, lambda out: out[:, 0], [Unit("all of it", "0")])
    >>> found.estimate.round(4)
    array([1.])
    """
    runs = UnitRuns(model, units, clean, corrupt, score, direction, run, rows)
    single = torch.eye(len(units), dtype=torch.bool)
    scores = runs.measure(single if direction == "denoise" else ~single)
    ends = [scored(score, plain(model, batch, run), runs.n_trials).cpu() for batch in (clean, corrupt)]
    return recovery(scores, *ends)


@torch.no_grad()
def plain(model: nn.Module, inputs: Any, run: Run = call) -> Any:
    """Output of a run without changes, in evaluation mode."""
    with patch(model, {}):
        return run(model, inputs)


def sweep(
    model: nn.Module,
    clean: Any,
    corrupt: Any,
    score: TrialScore,
    sites: Iterable[str | Site],
    along: str = "time",
    width: int = 1,
    direction: str = "denoise",
    run: Run = call,
    rows: int = ROWS,
) -> dict[str, Recovery]:
    """Patch every stretch of an axis at every site, such as sites times bins.

    Returns
    -------
    dict of str to Recovery
        By name of the site: one share per ``width`` entries of the axis, the last stretch may be shorter.

    Examples
    --------
    >>> model, x = nn.Sequential(nn.Linear(1, 2)), torch.randn(9, 5, 1)
    >>> first = Site("first", "0", ("batch", "time", "channel"))
    >>> found = sweep(model, x, x + 1, lambda y: y[:, 3].sum(-1), [first])  # the score reads bin 3
    >>> abs(found["first"].estimate).round(4).tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0]
    """
    known = sites_of(model)
    chosen = [site if isinstance(site, Site) else known.get(site) or Site(site) for site in sites]
    values = record(model, clean, chosen, run=run)
    units = []
    for site in chosen:
        if along not in values.axes[site.name]:
            raise ValueError(f"no axis {along!r} at {site.described}")
        size = values[site.name].shape[values.axes[site.name].index(along)]
        starts = range(0, size, width)
        units += [Unit(site.name, site, {along: slice(start, start + width)}) for start in starts]
    found = activation_patching(model, clean, corrupt, score, units, direction, run, rows)
    parts = {}
    for site in chosen:
        at = [number for number, unit in enumerate(units) if unit.site is site]
        ends = (found.estimate[at], found.low[at], found.high[at], found.per_trial[at])
        parts[site.name] = Recovery(*ends, found.level)
    return parts
