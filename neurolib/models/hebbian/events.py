"""Pairwise rules read out at spikes alone: counts ``(batch, time, unit)`` in, :class:`Held` out.

Exactly what :func:`~neurolib.models.hebbian.rules.loop` computes for the additive and the symmetric
rule, with a cost that grows with the number of spikes and not with bins times pairs of units. A pre
trace is needed only in the row of a unit that spikes, a post trace only in its column, and the
attention stays as it is in between. With ``x_e`` the row and ``y_e`` the column that event ``e`` of
unit ``n`` reads,

    attention @ value = running sum over events of  onehot(n) (x_e @ value) -+ y_e value[n],

so the ``(n_units, n_units)`` attention of a bin is never formed.
"""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from neurolib.models.hebbian.held import Held, every_bin
from neurolib.models.hebbian.plan import SLOTS_ON_CPU, Plan, Step, plan_events, prefers_loop
from neurolib.models.hebbian.rules import State, Traces, loop, rest

SIGN_POST = {"additive": -1.0, "symmetric": 1.0}


def pairwise_read(
    rule: str,
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    state: State | None = None,
    plan: Plan | None = None,
    need_state: bool = True,
) -> tuple[Held, State | None]:
    """:func:`event_read`, or the loop where spikes are so many that a CPU is faster with it.

    Examples
    --------
    >>> never = torch.zeros(2, 2)
    >>> traces, counts = Traces(never, never, never, never), torch.eye(2)[None]
    >>> read, _ = pairwise_read("additive", traces, counts, torch.tensor([[10.0], [1.0]]))
    >>> read.expand()[0, 1].flatten().tolist()
    [-1.0, 10.0]
    """
    if rule in SIGN_POST and prefers_loop(counts):
        return loop_read(rule, traces, counts, value, state, need_state)
    return event_read(rule, traces, counts, value, state, plan, need_state)


def loop_read(
    rule: str,
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    state: State | None = None,
    need_state: bool = True,
) -> tuple[Held, State | None]:
    """:func:`~neurolib.models.hebbian.rules.loop` in the form of :func:`event_read`."""
    with torch.autocast(counts.device.type, enabled=False):
        value = value.to(traces.log_weight_pre.dtype)
        read, state = loop(rule, traces, counts.to(value.dtype), value, state)
    return every_bin(read), state if need_state else None


def event_read(
    rule: str,
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    state: State | None = None,
    plan: Plan | None = None,
    need_state: bool = True,
) -> tuple[Held, State | None]:
    """Read the attention out wherever it changes.

    Parameters
    ----------
    rule : str
        "additive" or "symmetric".
    traces : Traces
        One per ordered pair, ``(n_units, n_units)`` each.
    counts : Tensor, shape (batch, time, n_units)
        Spikes per bin.
    value : Tensor, shape (n_units, d)
    state : State, optional
        Where an earlier chunk of the stream stopped.
    plan : Plan, optional
        ``plan_events(counts)``, where several heads or layers share it.
    need_state : bool
        False saves the state after the last bin, which training on whole trials has no use for.

    Returns
    -------
    read : Held
        ``attention @ value``, ``d`` numbers per unit.
    state : State or None

    Raises
    ------
    ValueError
        If the rule is another or the shapes disagree.

    Notes
    -----
    Gradients reach the traces, the value and the state that came in, once: there is no second
    derivative. On a GPU sums over spikes are atomic, so their last digits differ from run to run.

    Examples
    --------
    A spike of unit 0, then one of unit 1, with traces that never fade; each row of the attention
    ``[[0, -1], [1, 0]]`` is weighted by the value:

    >>> never = torch.zeros(2, 2)
    >>> traces, counts = Traces(never, never, never, never), torch.eye(2)[None]
    >>> read, _ = event_read("additive", traces, counts, torch.tensor([[10.0], [1.0]]))
    >>> read.expand()[0, 1].flatten().tolist()
    [-1.0, 10.0]
    """
    if rule not in SIGN_POST:
        raise ValueError(f"rule={rule!r} must be one of {tuple(SIGN_POST)}; others have forms of their own")
    if traces.log_weight_pre.shape != (counts.shape[2],) * 2 or len(value) != counts.shape[2]:
        raise ValueError(
            f"counts {tuple(counts.shape)}, traces {tuple(traces.log_weight_pre.shape)} and value "
            f"{tuple(value.shape)} differ in units"
        )
    plan = plan or plan_events(counts)
    if plan.shape != counts.shape:
        raise ValueError(
            f"plan of counts {plan.shape}, but counts are {tuple(counts.shape)}; another batch's?"
        )
    # Half precision would lose spikes from long sums, and torch autocasts products inside functions.
    with torch.autocast(counts.device.type, enabled=False):
        value = value.to(traces.log_weight_pre.dtype)
        pre, post, attention = state or rest(rule, counts.to(value.dtype))
        read_pre, pre = ReadTraces.apply(traces.log_weight_pre, traces.log_decay_pre, pre, plan)
        read_post, post = ReadTraces.apply(
            traces.log_weight_post.t(), traces.log_decay_post.t(), post.mT, plan
        )
        read_post = SIGN_POST[rule] * read_post
        values = RunningRead.apply(read_pre, read_post, value, attention @ value, plan)
        held = Held(values, plan.slot)
        if not need_state:
            return held, None
        return held, State(pre, post.mT, _attention(attention, read_pre, read_post, plan))


def _attention(attention: Tensor, read_pre: Tensor, read_post: Tensor, plan: Plan) -> Tensor:
    """The attention after the last bin."""
    rows, flat = plan.trial * plan.shape[2] + plan.unit, attention.new_zeros(attention.shape).flatten(0, 1)
    by_row = flat.index_add(0, rows, read_pre).view_as(attention)
    by_column = flat.index_add(0, rows, read_post).view_as(attention)
    return attention + by_row + by_column.mT


class ReadTraces(Function):
    """What every event reads: the trace of its unit with every other one, ``(n_events, n_units)``.

    Log weights and decays are ``(reading unit, unit whose spikes leave the trace)``, and so are the
    states ``(batch, n_units, n_units)`` that come in and, after the last bin, go out.
    An event reads the state its chunk started with, faded, and the events of its chunk up to its
    own bin. Only powers of the decay from 0 to the length of a chunk occur, so nothing overflows.
    """

    @staticmethod
    def forward(ctx, log_weight: Tensor, log_decay: Tensor, start: Tensor, plan: Plan):
        """Reads ``(n_events, n_units)``, and the state after the last bin."""
        weight, n_units = log_weight.contiguous().exp(), len(log_weight)
        power = torch.arange(max(plan.chunk_lengths) + 1, device=start.device, dtype=start.dtype)
        least = torch.finfo(start.dtype).min / len(power)  # 0 * -inf is no number
        fade = (power[:, None, None] * log_decay.contiguous().clamp(min=least)).exp()
        left = fade[:-1] * weight  # (lag, reading, spiking)

        # (spiking, chunk, trial, reading), so that an event adds one row to what its chunk leaves
        added = left.mT.contiguous().view(-1, n_units).index_select(0, plan.left) * plan.count[:, None]
        states = start.new_zeros(n_units, 1 + len(plan.chunk_lengths), len(start), n_units)
        states[:, 0] = start.permute(2, 0, 1)
        states.view(-1, n_units).index_add_(0, plan.leave, added)
        for k, length in enumerate(plan.chunk_lengths):
            states[:, k + 1].addcmul_(states[:, k], fade[length].t()[:, None])
        states = states.view(n_units, -1).t().contiguous().view(-1, *start.shape)  # ..., reading, spiking

        started = states.view(-1, n_units).index_select(0, plan.start)
        faded = fade.view(-1, n_units).index_select(0, plan.fade)
        read = started * faded
        pairs = left.view(-1).index_select(0, plan.pair_power) * plan.pair_count
        read.view(-1).scatter_add_(0, plan.pair_read, pairs)
        ctx.save_for_backward(weight, power, fade, states, started, faded)
        ctx.plan = plan
        return read, states[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, g_read: Tensor, g_end: Tensor):
        """Gradients of log weight, log decay and start."""
        weight, power, fade, states, started, faded = ctx.saved_tensors
        plan, n_units = ctx.plan, len(weight)
        g_read, g_fade, g_states = g_read.contiguous(), torch.zeros_like(fade), torch.zeros_like(states)
        g_left = torch.zeros_like(fade[:-1])
        pairs = g_read.view(-1).index_select(0, plan.pair_read) * plan.pair_count
        g_left.view(-1).scatter_add_(0, plan.pair_power, pairs)

        g_fade.view(-1, n_units).index_add_(0, plan.fade, g_read * started)
        g_states.view(-1, n_units).index_add_(0, plan.start, g_read * faded)
        g_states[-1] = g_end
        for k, length in reversed(list(enumerate(plan.chunk_lengths))):
            g_fade[length] += (g_states[k + 1] * states[k]).sum(dim=0)
            g_states[k].addcmul_(g_states[k + 1], fade[length])
        g_added = g_states.view(-1, n_units).t().contiguous().view(-1, n_units).index_select(0, plan.leave)
        g_added_to = torch.zeros_like(g_left).view(-1, n_units)
        g_added_to.index_add_(0, plan.left, g_added * plan.count[:, None])
        g_left += g_added_to.view_as(g_left).mT

        g_log_weight = (g_left * fade[:-1]).sum(dim=0) * weight
        g_fade[:-1] += g_left * weight
        return g_log_weight, torch.einsum("k,kij->ij", power, g_fade * fade), g_states[0], None


class RunningRead(Function):
    """Running sum over slots of what events write, ``(n_slots, batch, n_units, d)``.

    ``start`` is slot 0. Backward sums the gradient from the last slot to the first and keeps one
    step of it, so no copy of the largest tensor is made.
    """

    @staticmethod
    def forward(ctx, read_pre: Tensor, read_post: Tensor, value: Tensor, start: Tensor, plan: Plan):
        """The read-out in every slot."""
        (n_units, d), padded = value.shape, torch.cat([value, torch.zeros_like(value[:1])])
        held = value.new_empty(1 + sum(step.slots for step in plan.steps), *start.shape)
        held[0], done = start, 1
        rows = (read_pre @ value).split([len(step.cell) for step in plan.steps])
        blocks = _scratch(plan, start)
        for step, row in zip(plan.steps, rows, strict=True):
            block = blocks[: step.slots]
            column, spiking = _cells(step, read_post, padded)
            torch.bmm(column.mT, spiking, out=block.view(-1, n_units, d))
            block.view(-1, d).index_add_(0, step.place, row)
            _running_sum(block, held[done - 1], out=held[done : done + step.slots])
            done += step.slots
        ctx.save_for_backward(read_pre, read_post, value)
        ctx.plan = plan
        return held

    @staticmethod
    @once_differentiable
    def backward(ctx, g_held: Tensor):
        """Gradients of what is read, value and start."""
        read_pre, read_post, value = ctx.saved_tensors
        (n_units, d), padded = value.shape, torch.cat([value, torch.zeros_like(value[:1])])
        blocks, end = _scratch(ctx.plan, g_held[0]), len(g_held)
        total = blocks[0].zero_()
        parts = [(value[:0], read_post[:0], value[:0])]  # of no event, for a batch without any
        for step in reversed(ctx.plan.steps):
            block, end = blocks[: step.slots], end - step.slots
            _running_sum(g_held[end : end + step.slots], total, out=block, reverse=True)
            block = block.view(-1, n_units, d)
            column, spiking = _cells(step, read_post, padded)
            g_row = block.view(-1, d).index_select(0, step.place)
            g_column = torch.bmm(spiking, block.mT).view(-1, n_units)
            g_spiking = torch.bmm(column, block).view(-1, d)
            parts.append((g_row, g_column.index_select(0, step.cell), g_spiking.index_select(0, step.cell)))
        g_row, g_column, g_spiking = (torch.cat(part) for part in zip(*reversed(parts), strict=True))
        g_value = (read_pre.t() @ g_row).index_add_(0, ctx.plan.unit, g_spiking)
        return g_row @ value.t(), g_column, g_value, total + g_held[0], None


def _cells(step: Step, read: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """What the events of a step read and the values of their units, ``(slot and trial, cell, ...)``."""
    read, value = (x.index_select(0, at.view(-1)) for x, at in ((read, step.event), (value, step.unit)))
    return read.view(*step.event.shape, -1), value.view(*step.unit.shape, -1)


def _scratch(plan: Plan, like: Tensor) -> Tensor:
    """Room for the slots of any step. Used again and again, it stays in the cache."""
    return like.new_empty(max([step.slots for step in plan.steps], default=1), *like.shape)


def _running_sum(x: Tensor, start: Tensor, out: Tensor, reverse: bool = False) -> None:
    """Sum over the first axis, slab by slab where slabs are few and in the cache.

    ``start`` may be the first of ``out`` if ``reverse``.
    """
    if len(x) > SLOTS_ON_CPU:
        x = torch.cat([start[None], x.flip(0) if reverse else x]).cumsum(0)[1:]
        out.copy_(x.flip(0) if reverse else x)
        return
    for k in reversed(range(len(x))) if reverse else range(len(x)):
        start = torch.add(x[k], start, out=out[k])
