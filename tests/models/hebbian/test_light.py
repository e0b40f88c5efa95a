"""The light and the calcium rule as running sums against their loops, in float64."""

import pytest
import torch

from neurolib.models.hebbian import rules
from neurolib.models.hebbian.light import calcium_read, light_read
from neurolib.models.hebbian.rules import State, Traces

N_UNITS, D = 7, 4


def spikes(batch=3, time=50, rate=0.1, seed=0):
    """Counts of several spikes in some bins, and one trial without any."""
    draw = torch.Generator().manual_seed(seed)
    counts = torch.poisson(torch.full((batch, time, N_UNITS), rate, dtype=torch.float64), generator=draw)
    counts[1:2] = 0
    return counts


def parameters(seed=1):
    """Traces that differ from unit to unit, with time constants from below a bin to far above a trial."""
    draw = torch.Generator().manual_seed(seed)
    taus = torch.logspace(-1.5, 6, N_UNITS, dtype=torch.float64)
    weights = [torch.randn(N_UNITS, generator=draw, dtype=torch.float64) for _ in range(2)]
    traces = Traces(*(x.requires_grad_() for x in (weights[0], -1 / taus, weights[1], -1 / taus.flip(0))))
    return traces, torch.randn(N_UNITS, D, generator=draw, dtype=torch.float64).requires_grad_()


def begun():
    """A state in the middle of a trial."""
    traces, value = parameters(seed=5)
    return State(
        *(x.detach().requires_grad_() for x in rules.loop("light", traces, spikes(seed=6), value)[1])
    )


@pytest.mark.parametrize("rate, time", [(0.1, 50), (2.0, 30), (0.1, 130), (2.0, 1)])
def test_outputs_state_and_gradients_are_the_loops_from_rest_and_from_a_state(
    rate, time, assert_close, gradients
):
    counts, (traces, value) = spikes(time=time, rate=rate), parameters()
    for start in (None, begun()):
        loop_read, loop_state = rules.loop("light", traces, counts, value, start)
        read, state = light_read(traces, counts, value, start)
        ours, theirs = (read.expand(), *state), (loop_read, *loop_state)
        assert_close(ours, theirs)
        inputs = [*traces, value, *(start or ())] if time > 1 else [*traces[::2], value, *(start or ())]
        assert_close(gradients(ours, inputs), gradients(theirs, inputs))


@pytest.mark.parametrize("sizes", [[20, 1, 29], [1] * 50])
def test_chunks_and_single_bins_go_on_from_the_state(sizes, assert_close):
    counts, (traces, value) = spikes(), parameters()
    for rule in ("light", "calcium"):
        reads, state = [], None
        for chunk in counts.split(sizes, dim=1):
            if rule == "light":
                read, state = light_read(traces, chunk, value, state)
            else:
                read, state = calcium_read(chunk, value, state)
            reads.append(read.expand())
        whole, end = light_read(traces, counts, value) if rule == "light" else calcium_read(counts, value)
        assert_close([torch.cat(reads, dim=1), state.attention], [whole.expand(), end.attention])


@pytest.mark.parametrize("time", [1, 5])
def test_silence_leaves_the_attention_and_fades_the_traces(time, assert_close):
    (traces, value), start = parameters(), begun()
    theirs, end = rules.loop("light", traces, spikes(time=time, rate=0.0), value, start)
    read, state = light_read(traces, spikes(time=time, rate=0.0), value, start)
    assert len(read.values) == 1
    assert_close((read.expand(), *state), (theirs, *end))


def test_the_state_is_left_out_where_it_is_not_needed():
    counts, (traces, value) = spikes(), parameters()
    read, state = light_read(traces, counts, value, need_state=False)
    assert state is None
    assert torch.equal(read.values, light_read(traces, counts, value)[0].values)


@pytest.mark.parametrize("time", [1, 40])
def test_calcium_is_the_loop_for_any_signal(time, assert_close, gradients):
    draw = torch.Generator().manual_seed(3)
    signal = torch.randn(2, time, N_UNITS, generator=draw, dtype=torch.float64).requires_grad_()
    _, value = parameters()
    start = rules.loop("calcium", None, signal.detach() ** 2, value.detach())[1]
    for state in (None, start):
        loop_read, loop_state = rules.loop("calcium", None, signal, value, state)
        read, end = calcium_read(signal, value, state)
        ours, theirs = (read.expand(), end.attention), (loop_read, loop_state.attention)
        assert_close(ours, theirs)
        assert_close(gradients(ours, [signal, value]), gradients(theirs, [signal, value]))
