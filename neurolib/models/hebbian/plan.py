"""Index tables of a batch: counts ``(batch, time, unit)`` in, where its spikes stand in time and slots out.

They depend on the data alone, so every layer and head that reads a batch shares them.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

DENSE = 0.12  # share of bins with a spike; additive rule breaks even at 0.14, bounded at 0.10
SLOTS_ON_CPU = 2  # written at once: few enough for the cache, enough to be worth a call


class Step(NamedTuple):
    """Slots whose events are written at once, and the events laid out in cells of equal number.

    A trial has as many cells in a slot as the fullest one of the step has events.

    Attributes
    ----------
    slots : int
    event, unit : Tensor, shape (slots * batch, width), long
        What stands in a cell; event 0 and unit ``n_units`` in the empty ones.
    cell : Tensor, shape (n_events_of_step,), long
        Cell of every event, of those of this step.
    place : Tensor, shape (n_events_of_step,), long
        Row ``(slot, trial, unit)`` of every event, of those of this step.
    """

    slots: int
    event: Tensor
    unit: Tensor
    cell: Tensor
    place: Tensor


@dataclass(frozen=True)
class Plan:
    """Where spikes meet. An event is a bin of one unit in one trial that holds a spike or more.

    Events are in the order of slots (see :class:`~neurolib.models.hebbian.held.Held`), then trial,
    then unit. Time is cut into chunks of equal length, of which the first may be shorter. What a
    chunk leaves to the next is one matrix per trial, and pairs of events are listed within a
    chunk alone: that keeps the cost linear in time whatever the rate.

    Attributes
    ----------
    shape : tuple of int
        Batch, time and units of the counts.
    slot : Tensor, shape (batch, time), long
        Slot of every bin; 0 before the first event of the trial.
    trial, unit : Tensor, shape (n_events,), long
    count : Tensor, shape (n_events,)
    chunk_lengths : tuple of int
        Bins of every chunk.
    start : Tensor, shape (n_events,), long
        Row ``(chunk, trial, unit)`` of the state that the chunk of an event starts with.
    fade : Tensor, shape (n_events,), long
        Row ``(bins since that state, its own included, unit)`` of the powers of the decay.
    leave : Tensor, shape (n_events,), long
        Row ``(unit, chunk, trial)`` of the state, units first, to which an event adds.
    left : Tensor, shape (n_events,), long
        Row ``(bins to the end of the chunk, unit)`` of the powers of the decay.
    pair_count : Tensor, shape (n_pairs,)
        Count of the earlier event of a pair, which may be the later one itself.
    pair_power : Tensor, shape (n_pairs,), long
        Element ``(lag, later unit, earlier unit)`` of the powers of the decay.
    pair_read : Tensor, shape (n_pairs,), long
        Element ``(later event, earlier unit)`` of the traces that are read.
    steps : tuple of Step
        Of the running sum over slots.
    """

    shape: tuple[int, ...]
    slot: Tensor
    trial: Tensor
    unit: Tensor
    count: Tensor
    chunk_lengths: tuple[int, ...]
    start: Tensor
    fade: Tensor
    leave: Tensor
    left: Tensor
    pair_count: Tensor
    pair_power: Tensor
    pair_read: Tensor
    steps: tuple[Step, ...]


def plan_events(counts: Tensor, chunk: int | None = None, at_once: int | None = None) -> Plan:
    """Index the events of a batch.

    Parameters
    ----------
    counts : Tensor, shape (batch, time, n_units)
    chunk : int, optional
        Bins of a chunk; :func:`chunk_bins` if not given.
    at_once : int, optional
        Slots of a step. If not given, all on a GPU and few on a CPU, whose cache holds them. Like
        ``chunk`` it does not change a result.

    Returns
    -------
    Plan

    Examples
    --------
    Unit 0 spikes in bin 1, both units in bin 3:

    >>> plan = plan_events(torch.tensor([[[0, 0], [1, 0], [0, 0], [1, 2]]]))
    >>> plan.slot.tolist(), plan.unit.tolist()
    ([[0, 1, 1, 2]], [0, 0, 1])
    """
    batch, time, n_units = counts.shape
    event = counts.reshape(-1).nonzero().squeeze(1)
    count = counts.reshape(-1)[event]
    at_bin, unit = event // n_units, event % n_units  # (trial, bin)
    trial, t = at_bin // time, at_bin % time
    in_bin = torch.bincount(at_bin, minlength=batch * time)
    slot = (in_bin > 0).view(batch, time).cumsum(dim=1)
    at_slot = slot.view(-1)[at_bin] - 1
    order = torch.argsort(at_slot * batch + trial, stable=True)
    index = torch.arange(len(event), device=counts.device)
    rank = torch.empty_like(order)
    rank[order] = index

    chunk = min(chunk or chunk_bins(batch, time, n_units, len(event)), time)
    n_chunks = -(-time // chunk)
    missing = n_chunks * chunk - time  # in the first chunk, so that the last one ends with the stream
    in_chunk, offset = (t + missing) // chunk, (t + missing) % chunk
    since = torch.where(in_chunk == 0, t, offset) + 1

    up_to = in_bin.cumsum(0)  # events
    first = (up_to - in_bin)[at_bin - since + 1]
    partners = up_to[at_bin] - first
    n_pairs = int(partners.sum())

    def later(x: Tensor) -> Tensor:
        return torch.repeat_interleave(x, partners, output_size=n_pairs)

    earlier = torch.arange(n_pairs, device=counts.device) + later(first + partners - partners.cumsum(0))
    lag = t * n_units**2  # in elements; a difference of two is taken below
    return Plan(
        shape=(batch, time, n_units),
        slot=slot,
        trial=trial[order],
        unit=unit[order],
        count=count[order],
        chunk_lengths=(chunk - missing,) + (chunk,) * (n_chunks - 1),
        start=((in_chunk * batch + trial) * n_units + unit)[order],
        fade=(since * n_units + unit)[order],
        leave=((unit * (n_chunks + 1) + in_chunk + 1) * batch + trial)[order],
        left=((chunk - 1 - offset) * n_units + unit)[order],
        pair_count=count.index_select(0, earlier),
        pair_power=later(lag + unit * n_units) + (unit - lag).index_select(0, earlier),
        pair_read=later(rank * n_units) + unit.index_select(0, earlier),
        steps=_steps(at_slot[order], trial[order], unit[order], (batch, n_units), at_once),
    )


def _steps(
    slot: Tensor, trial: Tensor, unit: Tensor, size: tuple[int, int], at_once: int | None
) -> tuple[Step, ...]:
    """Lay events, in order of slot and trial, out in cells; here slot 0 is that of the first event."""
    if not len(slot):
        return ()
    batch, n_units = size
    n_slots, index, key = int(slot[-1]) + 1, torch.arange(len(slot), device=slot.device), slot * batch + trial
    at_once = min(at_once or (SLOTS_ON_CPU if slot.device.type == "cpu" else n_slots), n_slots)
    n_steps, step = -(-n_slots // at_once), slot // at_once
    together = torch.bincount(key, minlength=n_steps * at_once * batch).view(n_steps, -1)
    earlier = (together.flatten().cumsum(0).view_as(together) - together).flatten()[key]
    width, row = together.amax(dim=1), key - step * at_once * batch  # row: (slot, trial) within the step
    cell = row * width[step] + index - earlier
    before = (width.cumsum(0) - width)[step] * at_once * batch  # cells of earlier steps
    events, widths = together.sum(dim=1).tolist(), width.tolist()
    cells = [at_once * batch * w for w in widths]
    cell_event = cell.new_zeros(sum(cells))
    cell_unit = torch.full_like(cell_event, n_units)
    cell_event[before + cell], cell_unit[before + cell] = index, unit
    steps = zip(
        widths,
        cell_event.split(cells),
        cell_unit.split(cells),
        cell.split(events),
        (row * n_units + unit).split(events),
        strict=True,
    )
    return tuple(
        Step(n, event[: n * batch * w].view(-1, w), unit[: n * batch * w].view(-1, w), cell, place)
        for n, (w, event, unit, cell, place) in (
            (min(at_once, n_slots - at_once * k), step) for k, step in enumerate(steps)
        )
    )


def prefers_loop(counts: Tensor) -> bool:
    """Whether whole matrices, bin by bin, are faster than spikes alone; never on a GPU.

    Where it turns was measured on one CPU core with 64 trials of 40 bins of 52 units.

    Examples
    --------
    >>> prefers_loop(torch.ones(1, 5, 2)), prefers_loop(torch.zeros(1, 5, 2))
    (True, False)
    """
    return not counts.is_cuda and int(counts.count_nonzero()) > DENSE * counts.numel()


def chunk_bins(batch: int, time: int, n_units: int, n_events: int) -> int:
    """Bins of a chunk that make the sum of three costs least.

    Pairs become more with the length of a chunk, and so do the powers of the decay; the states
    between chunks become fewer. How they weigh was measured on one CPU core, where half or twice
    the number costs up to a quarter more.

    Examples
    --------
    One spike per bin and trial among ten units: 100 * 10² / (2 * 100 + 10²) is 33, whose root is 5.8.

    >>> chunk_bins(batch=1, time=100, n_units=10, n_events=100)
    6
    """
    pairs = n_events**2 / (batch * time)  # about twice as many as one more bin of chunk adds
    return max(1, round(math.sqrt(batch * time * n_units**2 / (2 * pairs + n_units**2))))
