"""Attention within a window against the light rule's loop under a mask of pairs, in float64."""

import pytest
import torch

from neurolib.models.hebbian import rules
from neurolib.models.hebbian.light import light_read
from neurolib.models.hebbian.rules import State, Traces
from neurolib.models.hebbian.window import neighbourhood, window_read

D = 3


def problem(n_units, n_rows, time=40, rate=0.15, seed=0):
    """Counts, traces that differ from unit to unit, and a value."""
    draw = torch.Generator().manual_seed(seed)
    counts = torch.poisson(torch.full((2, time, n_units), rate, dtype=torch.float64), generator=draw)
    traces = Traces(*(-torch.rand(n_units, generator=draw, dtype=torch.float64) for _ in range(4)))
    value = torch.randn(n_rows, D, generator=draw, dtype=torch.float64).requires_grad_()
    return counts, Traces(*(x.requires_grad_() for x in traces)), value


def masked_loop(traces, counts, value, block):
    """Read out all pairs but those outside the window, unit by unit."""
    batch, time, n_units = counts.shape
    n_blocks = -(-n_units // block)
    width = len(value) // block
    state, reads = rules.rest("light", counts), []
    for t in range(time):
        state = rules.advance("light", traces, state, counts[:, t])
        read = []
        for unit in range(n_units):
            total = counts.new_zeros(batch, D)
            for row in range(len(value)):
                near = (unit // block - width // 2 + row // block) % n_blocks
                other = near * block + row % block
                if other < n_units:
                    total = total + state.attention[:, unit, other, None] * value[row]
            read.append(total)
        reads.append(torch.stack(read, dim=1))
    return torch.stack(reads, dim=1), state


@pytest.mark.parametrize("n_units, block, width", [(12, 3, 1), (12, 3, 3), (10, 4, 3), (11, 2, 5), (5, 1, 3)])
def test_window_is_the_masked_loop_with_a_last_block_that_is_not_full(
    n_units, block, width, assert_close, gradients
):
    counts, traces, value = problem(n_units, width * block)
    read, state = window_read(traces, counts, value, block)
    loop_read, loop_state = masked_loop(traces, counts, value, block)
    ours, theirs = (read.expand(), state.pre, state.post), (loop_read, loop_state.pre, loop_state.post)
    assert_close(ours, theirs)
    assert_close(gradients(ours, [*traces, value]), gradients(theirs, [*traces, value]))
    for near, block_attention in zip(
        neighbourhood(n_units, block, width), state.attention.unbind(1), strict=True
    ):
        own = near.view(width, block)[width // 2]
        real, seen = own < n_units, near < n_units
        expected = loop_state.attention[:, own[real]][:, :, near[seen]]
        torch.testing.assert_close(block_attention[:, real][:, :, seen], expected, rtol=0, atol=1e-11)
        assert not block_attention[:, ~real].any() and not block_attention[:, :, ~seen].any()


def test_a_window_of_all_blocks_is_the_light_rule_with_rows_in_each_blocks_order(assert_close):
    counts, traces, value = problem(n_units=12, n_rows=12)
    read, _ = window_read(traces, counts, value, block=4)
    for b, near in enumerate(neighbourhood(12, 4, 3)):
        assert sorted(near.tolist()) == list(range(12))
        dense, _ = light_read(traces, counts, torch.empty_like(value).index_copy(0, near, value))
        own = slice(4 * b, 4 * b + 4)
        assert_close([read.values[:, :, own]], [dense.values[:, :, own]])


@pytest.mark.parametrize("sizes", [[15, 1, 24], [1] * 40])
def test_chunks_and_single_bins_go_on_from_the_state(sizes, assert_close):
    counts, traces, value = problem(n_units=10, n_rows=12)
    whole, end = window_read(traces, counts, value, block=4)
    reads, state = [], None
    for chunk in counts.split(sizes, dim=1):
        read, state = window_read(traces, chunk, value, block=4, state=state)
        reads.append(read.expand())
    assert isinstance(state, State)
    assert_close((torch.cat(reads, dim=1), *state), (whole.expand(), *end))


def test_silence_reads_nothing():
    counts, traces, value = problem(n_units=10, n_rows=12, rate=0.0)
    read, state = window_read(traces, counts, value, block=4, need_state=False)
    assert state is None and read.values.shape == (1, 2, 10, D) and not read.values.any()


@pytest.mark.parametrize("rows, message", [(8, "odd"), (20, "at most the 3 blocks"), (10, "not a multiple")])
def test_a_window_that_fits_no_ring_is_refused(rows, message):
    counts, traces, value = problem(n_units=10, n_rows=rows)
    with pytest.raises(ValueError, match=message):
        window_read(traces, counts, value, block=4)
