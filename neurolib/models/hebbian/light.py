"""Rules with traces per unit, or none, without a loop over bins: counts ``(batch, time, unit)`` in, held out.

One trace per unit makes every change of the attention a sum of two outer products, and its read-out
``attention @ value`` causal linear attention: a running sum that never forms a matrix of units.
"""

import torch
from torch import Tensor

from neurolib.models.hebbian.held import Held
from neurolib.models.hebbian.rules import State, Traces, rest
from neurolib.models.scans import leaky_sum, running_product


def light_read(
    traces: Traces, counts: Tensor, value: Tensor, state: State | None = None, need_state: bool = True
) -> tuple[Held, State | None]:
    """Read the attention of the light rule out wherever it changes.

    Parameters
    ----------
    traces : Traces
        One per unit, ``(n_units,)`` each.
    counts : Tensor, shape (batch, time, n_units)
        Spikes per bin.
    value : Tensor, shape (n_units, d)
    state : State, optional
        Where an earlier chunk stopped.
    need_state : bool
        False saves the attention after the last bin, the only one that is ever formed.

    Returns
    -------
    read : Held
        ``attention @ value``, as of :func:`neurolib.models.hebbian.rules.loop`.
    state : State or None

    References
    ----------
    .. [1] Katharopoulos et al. (2020), "Transformers are RNNs: fast autoregressive transformers with
       linear attention", ICML.

    Examples
    --------
    >>> never, counts = torch.zeros(2), torch.eye(2)[None]
    >>> read, _ = light_read(Traces(never, never, never, never), counts, torch.eye(2))
    >>> read.expand()[0, 1]  # 1 follows 0: row 1 turns to 0, and row 0 from 1
    tensor([[ 0., -1.],
            [ 1.,  0.]])
    """
    every = torch.arange(counts.shape[2], device=counts.device)[None]  # one block that sees all units
    if state is not None:
        state = state._replace(attention=state.attention[:, None])
    read, state = block_read(traces, counts, value, every, state, need_state)
    return read, state and state._replace(attention=state.attention[:, 0])


def calcium_read(counts: Tensor, value: Tensor, state: State | None = None) -> tuple[Held, State]:
    """Read the attention of the calcium rule out at every bin.

    Without traces the attention is the difference of the signals summed so far.

    Parameters
    ----------
    counts : Tensor, shape (batch, time, n_units)
        Any signal.
    value : Tensor, shape (n_units, d)
    state : State, optional

    Returns
    -------
    read : Held
        One slot per bin.
    state : State

    Examples
    --------
    >>> read, _ = calcium_read(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]), torch.eye(2))
    >>> read.expand()[0, 1]
    tensor([[ 0., -2.],
            [ 2.,  0.]])
    """
    with torch.autocast(counts.device.type, enabled=False):
        counts = counts.to(torch.promote_types(value.dtype, torch.float32))
        value = value.to(counts.dtype)
        pre, post, start = state or rest("calcium", counts)
        signal = counts.transpose(0, 1)
        left = torch.stack([torch.ones_like(signal), -signal], dim=-1)
        right = torch.stack([signal @ value, value.sum(0).expand(*signal.shape[:2], -1)], dim=2)
        read = running_product(left, right, start @ value)
    every = torch.arange(counts.shape[1], device=counts.device).expand(counts.shape[:2])
    total = counts.sum(1)
    return Held(read, every), State(pre, post, start + total[:, None, :] - total[:, :, None])


def block_read(
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    seen: Tensor,
    state: State | None = None,
    need_state: bool = True,
) -> tuple[Held, State | None]:
    """Read out the light rule where each block of units attends to some units only.

    Parameters
    ----------
    traces : Traces
        One per unit, ``(n_units,)`` each.
    counts : Tensor, shape (batch, time, n_units)
        Units of a block are neighbours, and all blocks are equally large.
    value : Tensor, shape (n_seen, d)
        Shared by the blocks.
    seen : Tensor, shape (n_blocks, n_seen), long
        The units that each block attends to.
    state : State, optional
        With attention ``(batch, n_blocks, n_units // n_blocks, n_seen)``.
    need_state : bool

    Returns
    -------
    read : Held
    state : State or None
    """
    batch, _, n_units = counts.shape
    n_blocks, n_seen = seen.shape
    size = n_units // n_blocks
    # Half precision would lose spikes from long sums, and torch autocasts products inside functions.
    with torch.autocast(counts.device.type, enabled=False):
        value, counts = value.to(traces.log_weight_pre.dtype), counts.to(traces.log_weight_pre.dtype)
        pre, post, start = state or rest("light", counts)
        if state is None:
            start = counts.new_zeros(batch, n_blocks, size, n_seen)
        counts = counts.transpose(0, 1)
        pre = leaky_sum(counts * traces.log_weight_pre.exp(), traces.log_decay_pre, pre)
        post = leaky_sum(counts * traces.log_weight_post.exp(), traces.log_decay_post, post)

        active = (counts != 0).any(2)  # (time, batch)
        slot = active.cumsum(0)
        n_slots = int(slot[-1].max()) + 1
        time, trial = active.nonzero().unbind(1)
        where = slot[time, trial] * batch + trial

        def at_slots(x: Tensor) -> Tensor:  # (slot * batch, unit), zero in slots that a trial lacks
            return x.new_zeros(n_slots * batch, n_units).index_copy(0, where, x[time, trial])

        spiked, pre_at, post_at = at_slots((counts != 0).to(value.dtype)), at_slots(pre), at_slots(post)
        own = torch.stack([spiked, -post_at], dim=-1).view(n_slots, -1, size, 2)
        others = torch.stack([pre_at[:, seen], spiked[:, seen]], dim=2)  # (slot * batch, block, 2, seen)
        change = (others @ value).view(n_slots, -1, 2, value.shape[1])
        read = running_product(own, change, (start @ value).flatten(0, 1))
        read = Held(read.view(n_slots, batch, n_units, -1), slot.T)
        if not need_state:
            return read, None
        own = own.view(n_slots, batch, n_blocks, size, 2)
        written = torch.einsum("sbkue,sbken->bkun", own, others.view(n_slots, batch, n_blocks, 2, n_seen))
    return read, State(pre[-1], post[-1], start + written)
