"""The bounded rule without a loop over bins: counts ``(batch, time, unit)`` in, a held read-out out.

Exact. A pair of units changes only when one of the two spikes, by a clipped affine map of its
attention whose slope and offset depend on the traces alone, and such maps compose. So the
traces are read first, at spikes only, then the attention of every pair, all pairs end to end in
one recurrence. Time and memory go with spikes times units, not with bins times units squared.
"""

import torch
from torch import Tensor

from neurolib.models.hebbian.events import ReadTraces, RunningRead, loop_read
from neurolib.models.hebbian.held import Held
from neurolib.models.hebbian.plan import Plan, plan_events, prefers_loop
from neurolib.models.hebbian.rules import CLIP, State, Traces, rest
from neurolib.models.scans import clipped_recurrence, linear_recurrence


def bounded_read(
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    state: State | None = None,
    need_state: bool = True,
    plan: Plan | None = None,
) -> tuple[Held, State | None]:
    """Read the attention of the bounded rule out wherever it changes.

    Parameters
    ----------
    traces : Traces
        One per ordered pair, ``(n_units, n_units)`` each.
    counts : Tensor, shape (batch, time, n_units)
        Spikes per bin.
    value : Tensor, shape (n_units, d)
    state : State, optional
        Where an earlier chunk stopped; its attention lies within the clip.
    need_state : bool
        False saves the state after the last bin.
    plan : Plan, optional
        ``plan_events(counts)``, where several heads share it.

    Returns
    -------
    read : Held
        ``attention @ value``, as of :func:`neurolib.models.hebbian.rules.loop`.
    state : State or None

    Notes
    -----
    On a CPU, dense counts take the loop, which is faster there; see
    :func:`~neurolib.models.hebbian.plan.prefers_loop`.
    Gradients reach the traces, the value and the state that came in, once: there is no second derivative.

    Examples
    --------
    >>> never = torch.zeros(2, 2)
    >>> read, _ = bounded_read(Traces(never, never, never, never), torch.eye(2)[None], torch.eye(2))
    >>> read.expand()[0, 1]  # row 1 gains all there is; row 0 has nothing to lose to 1
    tensor([[1., 0.],
            [1., 1.]])
    """
    if prefers_loop(counts):
        return loop_read("bounded", traces, counts, value, state, need_state)
    return events_read(traces, counts, value, state, need_state, plan)


def events_read(
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    state: State | None = None,
    need_state: bool = True,
    plan: Plan | None = None,
) -> tuple[Held, State | None]:
    """:func:`bounded_read` from spikes alone, however many there are."""
    plan = plan or plan_events(counts)
    # Half precision would lose spikes from long sums, and torch autocasts products inside functions.
    with torch.autocast(counts.device.type, enabled=False):
        value = value.to(traces.log_weight_pre.dtype)
        pre, post, start = state or rest("bounded", counts.to(value.dtype))
        gain, pre = ReadTraces.apply(traces.log_weight_pre, traces.log_decay_pre, pre, plan)
        loss, post = ReadTraces.apply(traces.log_weight_post.T, traces.log_decay_post.T, post.mT, plan)

        # Where two units spike in one bin, the row of the one takes gain and loss, and the column of
        # the other rests.
        chains = _Chains(counts, plan)
        met = torch.where(chains.together, loss[chains.other, plan.unit[:, None]], 0)
        alone = torch.where(chains.together, 0, loss)
        slope = chains.join(1 - gain - met, 1 - alone, torch.zeros_like(start))
        offset = chains.join(gain, torch.zeros_like(loss), start)
        attention = _solve(slope, offset)

        change = attention.diff(prepend=attention[:1])
        rows, columns = (change.index_select(0, at.flatten()).view_as(at) for at in chains.places)
        values = RunningRead.apply(rows, columns, value, start @ value, plan)
    end = State(pre, post.mT, attention[chains.end]) if need_state else None
    return Held(values, plan.slot), end


def _solve(slope: Tensor, offset: Tensor) -> Tensor:
    """Recur without the clip where it cannot act.

    Slope and offset are one minus gain minus loss, and gain. An attention within 0..1 stays there
    as long as no slope is negative. A slope of zero may be the start of a chain.
    """
    harmless = (slope > 0) | ((slope == 0) & (offset >= 0) & (offset <= 1))
    if bool(harmless.all()):
        return linear_recurrence(slope, offset)
    return clipped_recurrence(slope, offset, *CLIP)


class _Chains:
    """Where in one long array the attention of each pair of units stands after each change.

    A chain belongs to one pair of one trial: first the attention it starts with, then a place for
    each event of either unit in order of time; within a bin that of the row comes first.

    Attributes
    ----------
    places : (Tensor, Tensor), each (n_events, n_units)
        Of the row and of the column of each event.
    start, end : Tensor, shape (batch, n_units, n_units)
        First and last place of each chain.
    together : Tensor, shape (n_events, n_units), bool
        The unit has an event in the same bin.
    other : Tensor, shape (n_events, n_units)
        Which event that is; any where there is none.
    """

    def __init__(self, counts: Tensor, plan: Plan):
        spiked = counts != 0
        trial, time, unit = spiked.nonzero().unbind(1)
        order = torch.argsort(plan.slot[trial, time], stable=True)  # that of the plan
        trial, time, unit = trial[order], time[order], unit[order]
        event = plan.slot.new_zeros(spiked.shape)
        event[trial, time, unit] = torch.arange(len(unit), device=unit.device)
        seen = spiked.cumsum(1)
        number = seen[:, -1]

        self.together, self.other = spiked[trial, time], event[trial, time]
        lengths = 1 + number[:, :, None] + number[:, None, :]
        self.end = lengths.flatten().cumsum(0).view_as(lengths) - 1
        self.start = self.end - lengths + 1
        own, others = seen[trial, time, unit], seen[trial, time]  # both up to and with this bin
        row = self.start[trial, unit] + own[:, None] + others - self.together.long()
        column = self.start.mT[trial, unit] + own[:, None] + others
        self.places = row, column

    def join(self, rows: Tensor, columns: Tensor, start: Tensor) -> Tensor:
        """Put values of rows, columns and starts into their places."""
        where = torch.cat([place.flatten() for place in (*self.places, self.start)])
        what = torch.cat([rows.flatten(), columns.flatten(), start.flatten()])
        return torch.empty_like(what).index_copy(0, where, what)
