"""Plasticity rules, one bin at a time: counts ``(batch, unit)`` and a state in, the next state out.

This is the definition. The fast forms beside it are exact and are tested against :func:`loop`,
which is what a GPU should not run and a reader should read.
"""

from typing import NamedTuple

import torch
from torch import Tensor

RULES = ("additive", "symmetric", "bounded", "light", "calcium")
CLIP = (-0.5, 1.5)  # of the bounded rule


class Traces(NamedTuple):
    """What a spike adds to a trace and how the trace fades, for one head; rows are post, columns pre.

    ``(n_units, n_units)`` for one trace per ordered pair. The light rule keeps one trace per
    unit: ``(n_units,)`` each.
    """

    log_weight_pre: Tensor
    log_decay_pre: Tensor  # per bin, below zero
    log_weight_post: Tensor
    log_decay_post: Tensor


class State(NamedTuple):
    """What a head carries from bin to bin; all zero when a trial starts.

    ``pre`` and ``post`` are ``(batch, n_units, n_units)``, or ``(batch, n_units)`` under the
    light and calcium rules; ``attention`` is ``(batch, n_units, n_units)``.
    """

    pre: Tensor
    post: Tensor
    attention: Tensor


def rest(rule: str, counts: Tensor) -> State:
    """The state before the first bin of ``counts (batch, time, unit)``."""
    if rule not in RULES:
        raise ValueError(f"rule={rule!r} must be one of {RULES}")
    batch, _, n_units = counts.shape
    pairs = counts.new_zeros(batch, n_units, n_units)
    traces = counts.new_zeros(batch, n_units) if rule in ("light", "calcium") else pairs
    return State(traces, traces, pairs)


def advance(rule: str, traces: Traces | None, state: State, counts: Tensor) -> State:
    """Take one bin of counts ``(batch, unit)``.

    Traces fade, take up the new spikes and are then read at the units that spiked, so spikes of
    one bin meet each other. With ``P`` the trace of the pre spikes and ``Q`` of the post spikes,
    the attention ``A[i, j]`` of unit ``i`` to unit ``j`` changes by

    - additive: ``P[i, j]`` when ``i`` spikes, ``-Q[i, j]`` when ``j`` spikes [1]_;
    - symmetric: the same with ``+Q``, a control without the order of spikes;
    - bounded: ``(1 - A) P`` and ``-A Q``, then clipped to -0.5..1.5 [2]_;
    - light: additive, with one trace per unit instead of one per pair;
    - calcium: ``x[j] - x[i]``, whatever the signal ``x``.

    References
    ----------
    .. [1] Skatchkovsky et al. (2024), "Expressive latent embeddings and state-of-the-art prediction
       from somatosensory cortex data", bioRxiv 2024.08.13.607787, and the first public code.
    .. [2] The same authors' package ``sparks-ai`` 0.2.

    Examples
    --------
    A spike of unit 0, then one of unit 1, with traces that never fade:

    >>> never = torch.zeros(2, 2)
    >>> traces, counts = Traces(never, never, never, never), torch.eye(2)[None]
    >>> state = rest("additive", counts)
    >>> for t in range(2):
    ...     state = advance("additive", traces, state, counts[:, t])
    >>> state.attention[0]  # 1 follows 0: row 1 turns to 0, and row 0 from 1
    tensor([[ 0., -1.],
            [ 1.,  0.]])
    """
    pre, post, attention = state
    spiked = (counts != 0).to(counts.dtype)
    if rule == "calcium":
        return State(pre, post, attention + counts[:, None, :] - counts[:, :, None])
    if rule == "light":
        pre = pre * traces.log_decay_pre.exp() + counts * traces.log_weight_pre.exp()
        post = post * traces.log_decay_post.exp() + counts * traces.log_weight_post.exp()
        gain, loss = spiked[:, :, None] * pre[:, None, :], post[:, :, None] * spiked[:, None, :]
        return State(pre, post, attention + gain - loss)
    pre = pre * traces.log_decay_pre.exp() + counts[:, None, :] * traces.log_weight_pre.exp()
    post = post * traces.log_decay_post.exp() + counts[:, :, None] * traces.log_weight_post.exp()
    gain, loss = pre * spiked[:, :, None], post * spiked[:, None, :]
    if rule == "bounded":
        return State(pre, post, (attention + (1 - attention) * gain - attention * loss).clamp(*CLIP))
    return State(pre, post, attention + gain + (loss if rule == "symmetric" else -loss))


def loop(
    rule: str, traces: Traces | None, counts: Tensor, value: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Read the attention out after every bin, the slow and obvious way.

    Parameters
    ----------
    rule : str
        One of ``RULES``.
    traces : Traces
    counts : Tensor, shape (batch, time, n_units)
    value : Tensor, shape (n_units, d)
    state : State, optional
        Where an earlier chunk stopped.

    Returns
    -------
    read : Tensor, shape (batch, time, n_units, d)
        ``attention @ value`` after each bin.
    state : State
        After the last bin.
    """
    state, reads = state or rest(rule, counts), []
    for t in range(counts.shape[1]):
        state = advance(rule, traces, state, counts[:, t])
        reads.append(state.attention @ value)
    return torch.stack(reads, dim=1), state
