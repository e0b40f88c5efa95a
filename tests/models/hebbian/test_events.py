"""The event-driven form against the loop over bins, in float64 unless said."""

import pytest
import torch

from neurolib.models.hebbian.events import event_read, pairwise_read
from neurolib.models.hebbian.plan import plan_events
from neurolib.models.hebbian.rules import State, Traces, loop

TIGHT = 1e-11


def draw(batch, time, n_units, rate, d=5, most=1, bin_size_s=0.001, tau_s=0.03, dtype=torch.float64, seed=0):
    """Counts, traces of its own for every pair, a value and a state in the middle of a stream."""
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    def log_decay():
        return -bin_size_s / (tau_s * torch.exp(0.3 * normal(n_units, n_units)))

    counts = torch.rand(batch, time, n_units, generator=rng, dtype=torch.float64) < rate
    counts = counts * torch.randint(1, most + 1, counts.shape, generator=rng)
    weights = [0.3 * normal(n_units, n_units) - 0.3 * side for side in range(2)]
    tensors = [weights[0], log_decay(), weights[1], log_decay(), normal(n_units, d)]
    tensors += [normal(batch, n_units, n_units) for _ in range(3)]
    tensors = [tensor.to(dtype).requires_grad_() for tensor in tensors]
    return counts.to(dtype), Traces(*tensors[:4]), tensors[4], State(*tensors[5:])


def everything(read, traces, value, state):
    """Outputs, final state and the gradients of a random sum of both."""
    outputs = [read[0], *read[1]]
    rng = torch.Generator().manual_seed(1)
    total = sum((x * torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x)).sum() for x in outputs)
    return outputs + list(torch.autograd.grad(total, [*traces, value, *(state or [])]))


def expanded(*args, **settings):
    read, state = event_read(*args, **settings)
    return read.expand(), state


def worst(ours, theirs):
    """Largest difference, relative to the largest entry of each tensor."""
    ratios = [(a - b).abs().max() / b.abs().max().clamp(min=1e-12) for a, b in zip(ours, theirs, strict=True)]
    return float(torch.stack(ratios).detach().max())  # torch's maximum keeps what is no number


@pytest.mark.parametrize("rule", ["additive", "symmetric"])
@pytest.mark.parametrize(
    "case",
    [
        dict(batch=3, time=101, n_units=6, rate=0.05),
        dict(batch=2, time=60, n_units=12, rate=0.3, most=15, bin_size_s=0.05, tau_s=0.5),
        dict(batch=2, time=30, n_units=1, rate=0.3, most=3),
        dict(batch=1, time=1, n_units=4, rate=1.0),
        dict(batch=2, time=7, n_units=3, rate=0.0),
    ],
    ids=["1 ms bins", "50 ms bins", "one unit", "one bin", "no spikes"],
)
def test_outputs_state_and_gradients_are_those_of_the_loop(rule, case):
    counts, traces, value, state = draw(**case)
    assert bool(counts.any()) == (case["rate"] > 0)
    for start in (None, state):
        theirs = everything(loop(rule, traces, counts, value, start), traces, value, start)
        ours = everything(expanded(rule, traces, counts, value, start), traces, value, start)
        assert worst(ours, theirs) < TIGHT


@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_the_length_of_a_chunk_and_the_steps_of_the_sum_change_nothing(chunk, at_once):
    counts, traces, value, state = draw(batch=3, time=40, n_units=5, rate=0.1, most=2)
    plan = plan_events(counts, chunk, at_once)
    assert len(plan.chunk_lengths) == -(-40 // chunk) and (len(plan.steps) == 1) == (at_once == 1000)
    theirs = everything(loop("additive", traces, counts, value, state), traces, value, state)
    ours = everything(expanded("additive", traces, counts, value, state, plan), traces, value, state)
    assert worst(ours, theirs) < TIGHT


@pytest.mark.parametrize("stop", [1, 13])
def test_a_stream_in_pieces_is_the_stream_at_once_with_its_gradients(stop):
    counts, traces, value, state = draw(batch=2, time=31, n_units=4, rate=0.15)
    whole = everything(expanded("additive", traces, counts, value, state), traces, value, state)
    reads, now = [], state
    for piece in counts.split(stop, dim=1):
        read, now = expanded("additive", traces, piece, value, now)
        reads.append(read)
    pieces = everything((torch.cat(reads, dim=1), now), traces, value, state)
    assert worst(pieces, whole) < TIGHT


def test_a_silent_trial_holds_what_it_started_with():
    counts, traces, value, state = draw(batch=2, time=20, n_units=4, rate=0.2)
    counts[1] = 0
    read, end = event_read("additive", traces, counts, value, state)
    assert (read.slot[1] == 0).all() and read.slot[0, -1] == len(read.values) - 1
    torch.testing.assert_close(read.expand()[1], (state.attention[1] @ value).expand(20, -1, -1))
    torch.testing.assert_close(end.attention[1], state.attention[1])


def test_traces_that_fade_at_once_leave_no_undefined_numbers():
    counts, traces, value, state = draw(batch=2, time=20, n_units=3, rate=0.4)
    gone = torch.full_like(traces.log_decay_pre, -torch.inf).requires_grad_()
    traces = traces._replace(log_decay_pre=gone)
    theirs = everything(loop("additive", traces, counts, value, state), traces, value, state)
    ours = everything(expanded("additive", traces, counts, value, state), traces, value, state)
    assert worst(ours, theirs) < TIGHT


def test_the_future_does_not_reach_back():
    counts, traces, value, _ = draw(batch=1, time=30, n_units=4, rate=0.2)
    later = counts.clone()
    later[:, 20:] = 1
    read, _ = expanded("additive", traces, counts, value)
    changed, _ = expanded("additive", traces, later, value)
    torch.testing.assert_close(read[:, :20], changed[:, :20])
    assert not torch.allclose(read[:, 20:], changed[:, 20:])


def test_single_precision_is_no_worse_than_that_of_the_loop():
    exact = draw(batch=2, time=600, n_units=20, rate=0.01, tau_s=0.5)
    counts, traces, value, _ = exact
    truth = everything(loop("additive", traces, counts, value), traces, value, None)
    single = [
        counts.float(),
        Traces(*(x.detach().float().requires_grad_() for x in traces)),
        value.detach().float().requires_grad_(),
    ]
    errors = {}
    for name, form in (("ours", expanded), ("loop", loop)):
        read = form("additive", single[1], single[0], single[2])
        errors[name] = worst(everything(read, single[1], single[2], None), truth)
    assert 0 < errors["ours"] <= errors["loop"] < 1e-3


def test_whole_number_counts_and_automatic_half_precision_change_nothing():
    counts, traces, value, _ = draw(batch=2, time=20, n_units=4, rate=0.2, most=3, dtype=torch.float32)
    plain = expanded("additive", traces, counts, value)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = expanded("additive", traces, counts.long(), value)[0]
    torch.testing.assert_close(cast, plain, rtol=0, atol=0)


@pytest.mark.parametrize("rate", [0.4, 0.02])
def test_many_spikes_on_a_cpu_take_the_loop_and_few_do_not(rate):
    counts, traces, value, state = draw(batch=2, time=40, n_units=5, rate=rate)
    read, end = pairwise_read("additive", traces, counts, value, state)
    slots = 1 + int((counts != 0).any(2).sum(1).max())
    assert len(read.values) == (40 if rate > 0.1 else slots) and slots > 1
    theirs = everything(loop("additive", traces, counts, value, state), traces, value, state)
    assert worst(everything((read.expand(), end), traces, value, state), theirs) < TIGHT
    cast = [counts.long(), Traces(*(x.float() for x in traces)), value.float()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, none = pairwise_read("additive", cast[1], cast[0], cast[2], need_state=False)
    plain, _ = loop("additive", cast[1], counts.float(), cast[2])
    assert none is None and worst([low.expand()], [plain]) < 1e-5


def test_without_need_of_the_state_there_is_none():
    counts, traces, value, _ = draw(batch=1, time=5, n_units=3, rate=0.5)
    assert event_read("additive", traces, counts, value, need_state=False)[1] is None


def test_wrong_rules_shapes_and_plans_are_refused():
    counts, traces, value, _ = draw(batch=1, time=5, n_units=3, rate=0.5)
    with pytest.raises(ValueError, match="'bounded'"):
        event_read("bounded", traces, counts, value)
    with pytest.raises(ValueError, match="differ in units"):
        event_read("additive", traces, counts[:, :, :2], value)
    with pytest.raises(ValueError, match="another batch"):
        event_read("additive", traces, counts, value, plan=plan_events(counts[:, :4]))
