"""The light rule for large populations: counts ``(batch, time, unit)`` in, a held read-out out.

Units attend to their neighbours only, so the attention is ``(unit, window)`` instead of ``(unit, unit)``,
and one value of the size of a window serves all. For a given window, time and memory are linear in units.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from neurolib.models.hebbian.held import Held
from neurolib.models.hebbian.light import block_read
from neurolib.models.hebbian.rules import State, Traces


def neighbourhood(n_units: int, block: int, width: int) -> Tensor:
    """Units that each block attends to, on a ring of blocks.

    Parameters
    ----------
    n_units : int
    block : int
        Units per block; the last block is padded with units that do not exist.
    width : int
        Blocks that a block attends to, itself in the middle; odd.

    Returns
    -------
    Tensor, shape (n_blocks, width * block), long
        Numbers from ``n_units`` on are padding.

    Raises
    ------
    ValueError
        If the width is even or larger than the ring.

    Examples
    --------
    >>> neighbourhood(n_units=5, block=1, width=3).tolist()
    [[4, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    """
    if block < 1 or n_units < 1:
        raise ValueError(f"{n_units=} in blocks of {block=}: both must be positive")
    n_blocks = -(-n_units // block)
    if width < 1 or width % 2 == 0 or width > n_blocks:
        raise ValueError(f"width={width} must be odd and at most the {n_blocks} blocks there are")
    near = torch.arange(n_blocks)[:, None] + torch.arange(width) - width // 2
    return (near[:, :, None] % n_blocks * block + torch.arange(block)).flatten(1)


def window_read(
    traces: Traces,
    counts: Tensor,
    value: Tensor,
    block: int,
    state: State | None = None,
    need_state: bool = True,
) -> tuple[Held, State | None]:
    """Read the light rule out, with attention within a window of blocks.

    Neighbours are those in the order of the channels, which means something for the contacts of a
    probe and nothing for sorted units in no order.

    Parameters
    ----------
    traces : Traces
        One per unit, ``(n_units,)`` each.
    counts : Tensor, shape (batch, time, n_units)
        Spikes per bin.
    value : Tensor, shape (width * block, d)
        Row ``k`` belongs to the ``k``-th unit of each block's window, see :func:`neighbourhood`.
        With a window of all blocks this is the light rule, but for this: what is one unit's row
        there depends on the block that looks.
    block : int
        Units per block.
    state : State, optional
        Where an earlier chunk stopped.
    need_state : bool
        False saves the attention after the last bin.

    Returns
    -------
    read : Held
        One vector per unit.
    state : State or None
        With attention ``(batch, n_blocks, block, width * block)``; zero for padding.

    Raises
    ------
    ValueError
        If the rows of ``value`` are not an odd number of blocks, or more than there are.

    Examples
    --------
    Three units in blocks of one that see themselves alone:

    >>> never = torch.zeros(3)
    >>> traces, counts = Traces(never, never, never, never), torch.eye(3)[None]
    >>> read, state = window_read(traces, counts, torch.ones(1, 1), block=1)
    >>> read.values.shape, state.attention.shape
    (torch.Size([4, 1, 3, 1]), torch.Size([1, 3, 1, 1]))
    """
    n_units = counts.shape[2]
    if len(value) % block:
        raise ValueError(f"value has {len(value)} rows, not a multiple of {block=}")
    seen = neighbourhood(n_units, block, len(value) // block).to(counts.device)
    missing = len(seen) * block - n_units
    traces = Traces(*(pad(x, (0, missing)) for x in traces))
    if state is not None:
        state = State(pad(state.pre, (0, missing)), pad(state.post, (0, missing)), state.attention)
    read, state = block_read(traces, pad(counts, (0, missing)), value, seen, state, need_state)
    if state is not None:
        state = State(state.pre[:, :n_units], state.post[:, :n_units], state.attention)
    return Held(read.values[:, :, :n_units], read.slot), state
