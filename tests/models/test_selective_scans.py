"""Every way to solve a selective scan is the loop over time: outputs, last states and all gradients."""

import sys
from types import SimpleNamespace

import pytest
import torch

from neurolib.models import s6, ssd
from neurolib.models.s6 import s6_scan
from neurolib.models.ssd import ssd_scan

ROWS, HEADS, WIDTH, STATES = 2, 3, 4, 5


def draw(*shape, seed, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inputs(kind, length, strength=1.0):
    """x, dt, rate, b, c and the first state, with gradients."""
    channels = (HEADS, WIDTH) if kind == "ssd" else (HEADS,)
    rates = (HEADS,) if kind == "ssd" else (HEADS, STATES)
    drawn = [
        draw(ROWS, length, *channels, seed=0),
        strength * draw(ROWS, length, HEADS, seed=1).abs(),
        -draw(*rates, seed=2).exp(),
        draw(ROWS, length, STATES, seed=3),
        draw(ROWS, length, STATES, seed=4),
        draw(ROWS, *channels, STATES, seed=5),
    ]
    return [part.requires_grad_() for part in drawn]


def everything(scan, parts, **settings):
    """Output, last state, and the gradients of a random weighting of both."""
    y, last = scan(*parts, **settings)
    total = (y * draw(*y.shape, seed=6)).sum() + (last * draw(*last.shape, seed=7)).sum()
    return [y, last, *torch.autograd.grad(total, parts)]


def assert_alike(ours, theirs, tolerance=1e-12):
    for one, two in zip(ours, theirs, strict=True):
        assert one.isfinite().all() and two.abs().max() > 0
        assert (one - two).abs().max() <= tolerance * two.abs().max()


def by_hand(kind, parts, zoh=False):
    """The recurrence, number by number."""
    x, dt, rate, b, c, h = (part.detach().clone() for part in parts)
    y = torch.zeros_like(x)
    for row in range(len(x)):
        for t in range(x.shape[1]):
            for channel in torch.cartesian_prod(*map(torch.arange, x.shape[2:])).view(-1, x.dim() - 2):
                at = (row, *channel.tolist())
                for n in range(b.shape[2]):
                    a = rate[at[1]] if kind == "ssd" else rate[at[1], n]
                    step = dt[row, t, at[1]]
                    size = (torch.exp(step * a) - 1) / a if zoh else step
                    h[(*at, n)] = (
                        torch.exp(step * a) * h[(*at, n)] + size * b[row, t, n] * x[(row, t, *at[1:])]
                    )
                    y[(row, t, *at[1:])] += c[row, t, n] * h[(*at, n)]
    return y, h


@pytest.mark.parametrize("kind, settings", [("ssd", {}), ("s6", {}), ("s6", {"discretisation": "zoh"})])
def test_the_reference_is_the_equation(kind, settings):
    parts = inputs(kind, 4)
    scan = ssd_scan if kind == "ssd" else s6_scan
    assert_alike(scan(*parts, backend="reference", **settings), by_hand(kind, parts, bool(settings)))


@pytest.mark.parametrize("length, chunk", [(1, 8), (2, 8), (7, 8), (16, 8), (45, 8), (45, None), (9, 1)])
@pytest.mark.parametrize("at_once", [1, 2**20])
def test_ssd_in_chunks_is_the_loop(length, chunk, at_once, monkeypatch):
    monkeypatch.setattr(ssd, "BLOCK_ELEMENTS", at_once)
    parts = inputs("ssd", length)
    ours = everything(ssd_scan, parts, chunk=chunk)
    assert_alike(ours, everything(ssd_scan, parts, backend="reference"))


@pytest.mark.parametrize("backend", ["loop", "twolevel", "assoc"])
@pytest.mark.parametrize("discretisation", s6.DISCRETISATIONS)
@pytest.mark.parametrize("length", [1, 2, 7, s6.EVERY, 45])
def test_s6_is_the_loop_however_it_is_solved(backend, discretisation, length):
    parts = inputs("s6", length)
    ours = everything(s6_scan, parts, backend=backend, discretisation=discretisation)
    assert_alike(ours, everything(s6_scan, parts, backend="reference", discretisation=discretisation))


FAST = [(ssd_scan, {"chunk": 8})] + [(s6_scan, {"backend": b}) for b in ("loop", "twolevel", "assoc")]


@pytest.mark.parametrize("scan, settings", FAST)
def test_decay_to_nothing_within_a_step_leaves_finite_gradients(scan, settings):
    parts = inputs("ssd" if scan is ssd_scan else "s6", 20, strength=1e4)
    ours = everything(scan, parts, **settings)
    assert_alike(ours[:2], everything(scan, parts, backend="reference")[:2])
    assert all(part.isfinite().all() for part in ours)
    float32 = [part.detach().float().requires_grad_() for part in parts]
    y, last = scan(*float32, **settings)
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.sum() + last.sum(), float32))


@pytest.mark.parametrize("scan, settings", FAST)
def test_parts_with_the_state_carried_are_the_whole_and_the_state_given_is_kept(scan, settings):
    parts = [part.detach() for part in inputs("ssd" if scan is ssd_scan else "s6", 30)]
    x, dt, rate, b, c, state = parts
    given = state.clone()
    whole, last = scan(*parts, **settings)
    pieces = []
    for at in (slice(0, 11), slice(11, 12), slice(12, 12), slice(12, 30)):
        y, state = scan(x[:, at], dt[:, at], rate, b[:, at], c[:, at], state, **settings)
        pieces.append(y)
    assert_alike([torch.cat(pieces, 1), state], [whole, last])
    assert torch.equal(parts[5], given)


@pytest.mark.parametrize("scan, settings", FAST)
def test_trailing_steps_of_zero_change_nothing(scan, settings):
    x, dt, rate, b, c, state = (p.detach() for p in inputs("ssd" if scan is ssd_scan else "s6", 50))
    dt[:, 13:] = 0
    whole = scan(x, dt, rate, b, c, state, **settings)
    short = scan(x[:, :13], dt[:, :13], rate, b[:, :13], c[:, :13], state, **settings)
    assert_alike([whole[0][:, :13], whole[1]], short)


@pytest.mark.parametrize("scan, settings", FAST)
def test_half_precision_is_computed_in_single(scan, settings):
    parts = [p.detach() for p in inputs("ssd" if scan is ssd_scan else "s6", 40, strength=0.01)]
    half = [part.bfloat16().requires_grad_() for part in parts]
    with torch.autocast("cpu", torch.bfloat16):
        y, last = scan(*half, **settings)
        gradients = torch.autograd.grad(y.sum() + last.sum(), half)
    assert y.dtype == torch.bfloat16 and last.dtype == torch.float32
    assert all(g.isfinite().all() for g in gradients)
    exact = [part.detach().double() for part in half]
    assert_alike([last.double()], [scan(*exact, backend="reference")[1]], 1e-5)


def test_kernels_that_are_not_there_are_named():
    for scan, kind in ((ssd_scan, "ssd"), (s6_scan, "s6")):
        *parts, _ = inputs(kind, 3)
        with pytest.raises(ValueError, match="mamba_ssm' runs on a GPU only, and x is on cpu"):
            scan(*parts, backend="mamba_ssm")
    with pytest.raises(ValueError, match="starts from zero"):
        s6_scan(*inputs("s6", 3), backend="mamba_ssm")
    on_gpu = SimpleNamespace(is_cuda=True, device="cuda:0")
    if "mamba_ssm" not in sys.modules:
        assert ssd.mamba_kernel("nowhere", "nothing", on_gpu, "auto") is None
        with pytest.raises(ValueError, match="that package does not import"):
            ssd.mamba_kernel("nowhere", "nothing", on_gpu, "mamba_ssm")


def test_kernels_get_the_layout_they_document(monkeypatch):
    """Stand-ins with the shapes of mamba_ssm's documentation: (b, d, l) for S6, groups for SSD."""

    def selective_scan_fn(u, delta, A, B, C, D=None, return_last_state=False):
        first = u.new_zeros(len(u), *A.shape)
        y, last = s6.reference(u.mT, delta.mT, A, B.mT, C.mT, first, zoh=False)
        return y.mT, last.detach()

    def chunk_scan(x, dt, A, B, C, chunk_size, initial_states=None, return_final_states=False):
        return ssd.loop(x, dt, A, B[:, :, 0], C[:, :, 0], initial_states)

    *parts, _ = inputs("s6", 6)
    exact = s6_scan(*parts, backend="reference")
    with monkeypatch.context() as patch:
        patch.setattr(s6, "mamba_kernel", lambda *_: selective_scan_fn)
        y, last = s6_scan(*parts)
    assert_alike([y, last], exact)
    y.sum().backward()
    with pytest.raises(RuntimeError, match="no gradient through the last state"):
        last.sum().backward()

    parts = [part.float() for part in inputs("ssd", 6)]
    exact = ssd_scan(*parts, backend="reference")
    monkeypatch.setattr(ssd, "mamba_kernel", lambda *_: chunk_scan)
    assert_alike(ssd_scan(*parts), exact, 1e-6)


def test_shapes_that_disagree_are_named():
    x, dt, rate, b, c, state = inputs("ssd", 3)
    with pytest.raises(ValueError, match=r"dt \(2, 3, 3\), rate \(2,\)"):
        ssd_scan(x, dt, rate[:2], b, c)
    with pytest.raises(ValueError, match="is it of another batch"):
        ssd_scan(x, dt, rate, b, c, state[:1])
    with pytest.raises(ValueError, match="backend='fast'"):
        ssd_scan(x, dt, rate, b, c, backend="fast")
    x, dt, rate, b, c, state = inputs("s6", 3)
    with pytest.raises(ValueError, match=r"b \(2, 3, 4\)"):
        s6_scan(x, dt, rate, b[..., :4], c)
    with pytest.raises(ValueError, match="discretisation='tustin'"):
        s6_scan(x, dt, rate, b, c, discretisation="tustin")
