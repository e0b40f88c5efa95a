"""Selective scan of Mamba-1 (S6): ``x (batch, time, channel)`` in, as much out, and the last state.

Each channel has states that decay at rates of their own. Four ways to solve that: one step after another
with a gradient written by hand, which keeps few states; two levels of steps; a scan over pairs; the definition.
"""

import math

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from neurolib.models.scans import linear_recurrence
from neurolib.models.ssd import mamba_kernel

BACKENDS = ("auto", "loop", "twolevel", "assoc", "reference", "mamba_ssm")
DISCRETISATIONS = ("euler", "zoh")
EVERY = 16  # steps between states that are kept for the gradient
CROSSOVER = 2**13  # elements of a state; below it, calls cost more than arithmetic (measured on a CPU)


def s6_scan(
    x: Tensor,
    dt: Tensor,
    rate: Tensor,
    b: Tensor,
    c: Tensor,
    state: Tensor | None = None,
    backend: str = "auto",
    discretisation: str = "euler",
) -> tuple[Tensor, Tensor]:
    r"""Solve the recurrence of Mamba-1, any length, with gradients through both ends.

    .. math::
        h_t = e^{\Delta_t A} h_{t-1} + \bar B_t\, x_t, \qquad y_t = \sum_n C_{t,n} h_{t,n}

    for each channel and state, with :math:`\bar B = \Delta B` (``"euler"``, as the published code has it) or
    :math:`\bar B = (e^{\Delta A} - 1) B / A` (``"zoh"``, exact for an input that is constant over a step).
    A step of ``dt = 0`` changes nothing, so sequences may be padded with it. Everything is computed in
    float32 at least, also under autocast.

    Parameters
    ----------
    x, dt : Tensor, shape (B, L, D)
        Inputs and steps; steps are at least zero.
    rate : Tensor, shape (D, N)
        ``A``, negative.
    b, c : Tensor, shape (B, L, N)
        What is written to and read from the states, the same for all channels.
    state : Tensor, shape (B, D, N), optional
        ``h`` before the first step, default zero.
    backend : str
        ``"loop"`` over time, for large states; ``"twolevel"`` for small ones and GPUs; ``"assoc"`` by
        :func:`neurolib.models.scans.linear_recurrence`; ``"reference"`` the definition; ``"mamba_ssm"`` the
        kernel of that package, on a GPU, from a zero state, without a gradient through the last one;
        ``"auto"`` what should be fastest.
    discretisation : str

    Returns
    -------
    y : Tensor, shape (B, L, D)
        In the type of ``x``.
    state : Tensor, shape (B, D, N)
        After the last step.

    Raises
    ------
    ValueError
        If shapes disagree, or a backend is unknown, not available here, or cannot do what is asked.

    References
    ----------
    .. [1] Gu & Dao (2023), "Mamba: linear-time sequence modeling with selective state spaces",
       arXiv:2312.00752.

    Examples
    --------
    A decay by half per step, and one written each time; held constant, an input of one writes 0.5 / ln 2:

    >>> one, rate = torch.ones(1, 3, 1), torch.tensor([[0.5]]).log()
    >>> s6_scan(one, one, rate, one, one)[0].flatten()
    tensor([1.0000, 1.5000, 1.7500])
    >>> s6_scan(one, one, rate, one, one, discretisation="zoh")[0].flatten()
    tensor([0.7213, 1.0820, 1.2624])
    """
    _check(x, dt, rate, b, c, state)
    if backend not in BACKENDS or discretisation not in DISCRETISATIONS:
        raise ValueError(
            f"backend={backend!r}, discretisation={discretisation!r}; there are {BACKENDS} and {DISCRETISATIONS}"
        )
    zoh = discretisation == "zoh"
    fits = state is None and not zoh
    if backend == "mamba_ssm" and not fits:
        raise ValueError("backend='mamba_ssm' starts from zero with discretisation='euler' only; use 'auto'")
    asked = backend if fits or backend != "auto" else "other"
    kernel = mamba_kernel("ops.selective_scan_interface", "selective_scan_fn", x, asked)
    with torch.autocast(x.device.type, enabled=False):
        dtype = torch.promote_types(x.dtype, torch.float32)
        parts = [part.to(dtype) for part in (x, dt, rate, b, c)]
        if kernel is not None:
            wide, step, rates, enter, leave = parts
            y, last = kernel(wide.mT, step.mT, rates, enter.mT, leave.mT, return_last_state=True)
            return y.mT.to(x.dtype), _NoGradient.apply(last, wide)
        h = x.new_zeros(len(x), *rate.shape, dtype=dtype) if state is None else state.to(dtype)
        if not x.shape[1]:
            return x, h
        if backend == "auto":
            backend = "loop" if h.numel() >= CROSSOVER and not x.is_cuda else "twolevel"
        if x.shape[1] == 1:
            backend = "reference"
        y, h = {"loop": loop, "twolevel": twolevel, "assoc": assoc, "reference": reference}[backend](
            *parts, h, zoh
        )
    return y.to(x.dtype), h


Solved = tuple[Tensor, Tensor]


def _written(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, zoh: bool) -> Tensor:
    """What a step adds to the states, ``(..., D, N)``."""
    wide = torch.expm1(dt[..., None] * rate) / rate * x[..., None] if zoh else (dt * x)[..., None]
    return wide * b[..., None, :]


def reference(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor, zoh: bool) -> Solved:
    """The definition, step by step; arguments as in :func:`s6_scan`."""
    outputs = []
    for x_t, dt_t, b_t, c_t in zip(*(part.unbind(1) for part in (x, dt, b, c)), strict=True):
        h = torch.exp(dt_t[..., None] * rate) * h + _written(x_t, dt_t, rate, b_t, zoh)
        outputs.append(torch.einsum("bdn,bn->bd", h, c_t))
    return torch.stack(outputs, 1), h


def assoc(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor, zoh: bool) -> Solved:
    """All states at once, in as many rounds as the length has binary digits; arguments as in :func:`s6_scan`."""
    x, dt, b, c = (part.transpose(0, 1) for part in (x, dt, b, c))
    states = linear_recurrence(torch.exp(dt[..., None] * rate), _written(x, dt, rate, b, zoh), h)
    return (c[..., None, :] @ states.mT)[..., 0, :].transpose(0, 1), states[-1]


def twolevel(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor, zoh: bool) -> Solved:
    """The same step of all chunks together, then from chunk to chunk; arguments as in :func:`s6_scan`."""
    length = x.shape[1]
    steps = 2 ** round(math.log2(length) / 2)
    n_chunks = -(-length // steps)
    parts = (F.pad(part, (0, 0, 0, n_chunks * steps - length)) for part in (x, dt, b, c))
    x, dt, b, c = (part.unflatten(1, (n_chunks, steps)).unbind(2) for part in parts)
    states, inside = [], h.new_zeros(len(h), n_chunks, *rate.shape)
    for x_q, dt_q, b_q in zip(x, dt, b, strict=True):
        inside = torch.exp(dt_q[..., None] * rate) * inside + _written(x_q, dt_q, rate, b_q, zoh)
        states.append(inside)
    since = torch.stack(dt, 2).cumsum(2).unbind(2)
    kept, before = torch.exp(since[-1][..., None] * rate).unbind(1), []
    for k, written in enumerate(inside.unbind(1)):
        before.append(h)
        h = kept[k] * h + written
    first = torch.stack(before, 1)  # (B, K, D, N)
    outputs = [
        (c_q[..., None, :] @ (own + torch.exp(passed[..., None] * rate) * first).mT)[..., 0, :]
        for own, passed, c_q in zip(states, since, c, strict=True)
    ]
    return torch.stack(outputs, 2).flatten(1, 2)[:, :length], h


def loop(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor, zoh: bool) -> Solved:
    """Step by step in place, states computed again for the gradient; arguments as in :func:`s6_scan`."""
    return _Loop.apply(x, dt, rate, b, c, h, zoh)


class _Loop(torch.autograd.Function):
    """States are ``(B, N, D)`` in here: rows of channels are what a CPU reads well."""

    @staticmethod
    def forward(ctx, x, dt, rate, b, c, first, zoh):
        step = _Step(x, dt, rate, b, zoh)
        h = first.mT.clone(memory_format=torch.contiguous_format)
        coefficient, passed = torch.empty_like(h), torch.empty_like(h)
        outputs, kept = x.new_empty(x.shape[1], len(x), 1, x.shape[2]), []
        for t in range(x.shape[1]):
            if t % EVERY == 0:
                kept.append(h.clone())
            step.advance(t, h, h, coefficient, passed)
            torch.bmm(c[:, t, None], h, out=outputs[t])
        ctx.save_for_backward(x, dt, rate, b, c, *kept)
        ctx.zoh = zoh
        return outputs[:, :, 0].transpose(0, 1), h.mT

    @staticmethod
    @once_differentiable
    def backward(ctx, g_y, g_h):
        with torch.autocast(g_y.device.type, enabled=False):
            return _Loop.adjoint(*ctx.saved_tensors[:5], ctx.saved_tensors[5:], ctx.zoh, g_y, g_h)

    @staticmethod
    def adjoint(x, dt, rate, b, c, kept, zoh, g_y, g_h):
        step, length = _Step(x, dt, rate, b, zoh), x.shape[1]
        g = g_h.mT.clone(memory_format=torch.contiguous_format)
        chunk = min(EVERY, length)
        states, coefficients = (g.new_empty(chunk + 1, *g.shape) for _ in range(2))
        passed = g.new_empty(chunk if zoh else 1, *g.shape)  # to an exponential step
        work, g_rate = torch.empty_like(g), torch.zeros_like(g)
        g_input, g_step, g_b, g_c = (
            x.new_empty(length, len(x), 1, x.shape[2]),
            *map(torch.empty_like, (dt, b, c)),
        )
        g_inverse = torch.zeros_like(g) if zoh else None
        for k in reversed(range(len(kept))):
            begin, end = k * EVERY, min((k + 1) * EVERY, length)
            states[0] = kept[k]
            for i, t in enumerate(range(begin, end)):
                step.advance(t, states[i], states[i + 1], coefficients[i], passed[i if zoh else 0])
            for i, t in zip(range(end - begin - 1, -1, -1), range(end - 1, begin - 1, -1), strict=True):
                above = g_y[:, t]
                g_c[:, t] = torch.bmm(above[:, None], states[i + 1].mT)[:, 0]
                g.addcmul_(above[:, None], c[:, t, :, None])
                if zoh:  # h + r (h + u) with r = expm1(dt A), u = x B / A
                    torch.mul(g, coefficients[i], out=work)
                    g_inverse.addcmul_(work, x[:, t, None] * b[:, t, :, None])
                    new = work * step.inverse
                    torch.addcmul(passed[i], passed[i], coefficients[i], out=passed[i])
                    passed[i].mul_(g)
                    g.add_(work)
                    through = passed[i]
                else:
                    new = g
                torch.bmm(b[:, t, None], new, out=g_input[t])
                g_b[:, t] = torch.bmm(step.input[:, t, None], new.mT)[:, 0]
                if not zoh:
                    g.mul_(coefficients[i])
                    through = torch.mul(g, states[i], out=work)
                # Of dt A: to the rates, then to the step.
                g_rate.addcmul_(through, dt[:, t, None])
                torch.sum(through.mul_(step.rate), 1, out=g_step[:, t])
        g_input = g_input[:, :, 0].transpose(0, 1)
        g_rate = g_rate.sum(0)
        if zoh:
            g_x = g_input
            g_rate -= g_inverse.sum(0) * step.inverse.square()
        else:
            g_x = g_input * dt
            g_step.addcmul_(g_input, x)
        return g_x, g_step, g_rate.mT, g_b, g_c, g.mT, None


class _Step:
    """One step forward, for a loop in either direction."""

    def __init__(self, x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, zoh: bool):
        self.dt, self.b, self.zoh = dt, b, zoh
        self.rate = rate.mT.contiguous()  # (N, D)
        self.binary_rate = self.rate / math.log(2)  # exp2 is several times as fast as exp on some CPUs
        self.inverse = self.rate.reciprocal() if zoh else None
        self.input = x if zoh else dt * x

    def advance(self, t: int, before: Tensor, after: Tensor, coefficient: Tensor, passed: Tensor) -> None:
        """From the states before to those after, which may be the same tensor; all ``(B, N, D)``."""
        if self.zoh:
            torch.mul(self.dt[:, t, None], self.rate, out=coefficient).expm1_()
            torch.mul(self.input[:, t, None], self.b[:, t, :, None], out=passed)
            torch.addcmul(before, passed, self.inverse, out=passed)
            torch.addcmul(before, coefficient, passed, out=after)
        else:
            torch.mul(self.dt[:, t, None], self.binary_rate, out=coefficient).exp2_()
            torch.mul(before, coefficient, out=after)
            after.addcmul_(self.input[:, t, None], self.b[:, t, :, None])


class _NoGradient(torch.autograd.Function):
    """A state whose gradient is refused instead of lost."""

    @staticmethod
    def forward(ctx, state, x):
        return state.clone()

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError(
            "mamba_ssm gives no gradient through the last state: detach it, or use backend='twolevel'"
        )


def _check(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, state: Tensor | None) -> None:
    if x.dim() != 3 or dt.shape != x.shape or rate.dim() != 2 or len(rate) != x.shape[2]:
        raise ValueError(
            f"x {tuple(x.shape)}, dt {tuple(dt.shape)}, rate {tuple(rate.shape)}; they are (B, L, D), (B, L, D) "
            "and (D, N)"
        )
    expected = (*x.shape[:2], rate.shape[1])
    if b.shape != expected or c.shape != expected:
        raise ValueError(f"b {tuple(b.shape)} and c {tuple(c.shape)} must both be (B, L, N) = {expected}")
    if state is not None and state.shape != (len(x), *rate.shape):
        raise ValueError(
            f"state {tuple(state.shape)} must be {(len(x), *rate.shape)}; is it of another batch?"
        )
