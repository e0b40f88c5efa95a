"""The bounded rule from spikes alone against its loop, in float64."""

import math

import pytest
import torch

from neurolib.models.hebbian import bounded, rules
from neurolib.models.hebbian.bounded import bounded_read, events_read
from neurolib.models.hebbian.rules import CLIP, Traces
from neurolib.models.scans import clipped_recurrence

N_UNITS, D = 6, 4


def spikes(batch=3, time=60, rate=0.15, seed=0, n_units=N_UNITS):
    """Counts of several spikes in some bins, and one trial without any."""
    draw = torch.Generator().manual_seed(seed)
    counts = torch.poisson(torch.full((batch, time, n_units), rate, dtype=torch.float64), generator=draw)
    counts[1:2] = 0
    return counts


def parameters(weight, tau_bins=40.0, seed=1):
    """Traces that differ from pair to pair, and a value."""
    draw = torch.Generator().manual_seed(seed)

    def around(middle, spread, *shape):
        return (middle + spread * torch.randn(*shape, generator=draw, dtype=torch.float64)).requires_grad_()

    pairs = (N_UNITS, N_UNITS)
    log_weight = math.log(weight)
    traces = Traces(
        around(log_weight, 0.3, *pairs), around(-1 / tau_bins, 0.2 / tau_bins, *pairs),
        around(log_weight, 0.3, *pairs), around(-1 / tau_bins, 0.2 / tau_bins, *pairs),
    )  # fmt: skip
    return traces, around(0.0, 0.5, N_UNITS, D)


def clipping(traces, counts):
    """Share of the pairs' changes that end on a bound, and the smallest slope."""
    state, on_bound, changes, least = rules.rest("bounded", counts), 0, 0, 1.0
    for t in range(counts.shape[1]):
        state = rules.advance("bounded", traces, state, counts[:, t])
        post, pre = (counts[:, t, :, None] != 0).double(), (counts[:, t, None, :] != 0).double()
        touched = (post + pre) > 0
        on_bound += ((state.attention == CLIP[0]) | (state.attention == CLIP[1]))[touched].sum()
        changes += touched.sum()
        least = min(least, (1 - state.pre * post - state.post * pre).min().item())
    return (on_bound / changes).item(), least


@pytest.mark.parametrize("weight, least, most", [(1e-3, 0, 0), (0.25, 0.05, 0.15), (0.7, 0.45, 0.6)])
def test_outputs_state_and_gradients_are_the_loops_however_often_the_clip_acts(
    weight, least, most, assert_close, gradients
):
    counts, (traces, value) = spikes(), parameters(weight)
    with torch.no_grad():
        clipped, slope = clipping(traces, counts)
    assert least <= clipped <= most and (slope < 0) == (most > 0)
    loop_read, loop_state = rules.loop("bounded", traces, counts, value)
    read, state = events_read(traces, counts, value)
    ours, theirs = (read.expand(), *state), (loop_read, *loop_state)
    assert_close(ours, theirs)
    assert_close(gradients(ours, [*traces, value]), gradients(theirs, [*traces, value]))


@pytest.mark.parametrize("weight", [1e-3, 1.0])
@pytest.mark.parametrize("sizes", [[25, 1, 34], [1] * 60])
def test_chunks_and_single_bins_go_on_from_the_state(weight, sizes, assert_close, gradients):
    counts, (traces, value) = spikes(), parameters(weight)
    whole, end = events_read(traces, counts, value)
    reads, state = [], None
    for chunk in counts.split(sizes, dim=1):
        read, state = events_read(traces, chunk, value, state)
        reads.append(read.expand())
    ours, theirs = (torch.cat(reads, dim=1), *state), (whole.expand(), *end)
    assert_close(ours, theirs)
    assert_close(gradients(ours, [*traces, value]), gradients(theirs, [*traces, value]))


def test_gradients_reach_the_state_that_came_in(assert_close, gradients):
    counts, (traces, value) = spikes(rate=0.05), parameters(0.4)
    _, start = rules.loop("bounded", traces, spikes(seed=3), value)
    start = [x.detach().requires_grad_() for x in start]
    theirs, _ = rules.loop("bounded", traces, counts, value, rules.State(*start))
    read, none = events_read(traces, counts, value, rules.State(*start), need_state=False)
    assert none is None
    assert_close(gradients([read.expand()], start), gradients([theirs], start))


def test_the_clip_is_left_out_only_where_it_cannot_act(monkeypatch, assert_close):
    calls = []
    monkeypatch.setattr(
        bounded, "clipped_recurrence", lambda *args: calls.append(1) or clipped_recurrence(*args)
    )
    counts, (traces, value) = spikes(), parameters(1e-3)
    _, state = events_read(traces, counts, value)
    assert not calls
    outside = state._replace(attention=state.attention + 1.2)  # where a pull towards 1 is not a pull up
    read, _ = events_read(traces, counts, value, outside)
    assert calls
    assert_close([read.expand()], [rules.loop("bounded", traces, counts, value, outside)[0]])


@pytest.mark.parametrize("rate, time", [(0.0, 5), (0.0, 1), (2.0, 1), (2.0, 7)])
def test_silence_single_bins_and_full_bins(rate, time, assert_close):
    traces, value = parameters(0.3)
    start = rules.loop("bounded", traces, spikes(), value)[1]
    counts = spikes(time=time, rate=rate)
    theirs, end = rules.loop("bounded", traces, counts, value, start)
    read, state = events_read(traces, counts, value, start)
    assert_close((read.expand(), *state), (theirs, *end))


def test_many_spikes_on_a_cpu_take_the_loop_and_few_do_not(assert_close):
    traces, value = parameters(0.3)
    dense, sparse = spikes(rate=1.0), spikes(rate=0.02)
    for counts, slots in ((dense, 60), (sparse, 1 + int((sparse != 0).any(2).sum(1).max()))):
        read, state = bounded_read(traces, counts, value)
        theirs, end = rules.loop("bounded", traces, counts, value)
        assert len(read.values) == slots
        assert_close((read.expand(), *state), (theirs, *end))
