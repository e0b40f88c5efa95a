"""Recurrences over time without a loop over time: coefficients ``(time, ...)`` in, every state out.

Time is dimension 0 throughout. A recurrence whose steps compose (two steps make one step of the same
kind) is solved by joining neighbours, solving the half as long recurrence of the pairs, and
filling in the states between: work in proportion to time, depth in proportion to its logarithm.
The gradient of each is such a recurrence in reversed time, so nothing but coefficients and states is kept.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def running_sum(x: Tensor, first: Tensor | None = None) -> Tensor:
    """Sum over dimension 0 up to and including each step.

    Parameters
    ----------
    x : Tensor, shape (time, ...)
    first : Tensor, shape (...), optional
        The sum before the first step, default zero.

    Returns
    -------
    Tensor, shape (time, ...)

    Examples
    --------
    >>> running_sum(torch.tensor([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    return _RunningSum.apply(x, _first(x, first))


def running_product(left: Tensor, right: Tensor, first: Tensor) -> Tensor:
    """Running sum of matrix products, without a second array of the size of the result.

    With one column in ``left`` this is causal linear attention.

    Parameters
    ----------
    left : Tensor, shape (time, batch, rows, inner)
    right : Tensor, shape (time, batch, inner, columns)
    first : Tensor, shape (batch, rows, columns)
        The sum before the first step.

    Returns
    -------
    Tensor, shape (time, batch, rows, columns)

    Examples
    --------
    >>> two = torch.full((3, 1, 1, 1), 2.0)
    >>> running_product(two, two, torch.ones(1, 1, 1)).flatten().tolist()
    [5.0, 9.0, 13.0]
    """
    return _RunningProduct.apply(left, right, first)


def leaky_sum(x: Tensor, log_decay: Tensor, first: Tensor | None = None, chunk: int = 64) -> Tensor:
    r"""Solve ``y[t] = exp(log_decay) y[t-1] + x[t]``, each channel with its own constant decay.

    Times ``1 - exp(log_decay)`` this is the exponential moving average. Chunks of time are
    products with a triangular matrix of non-negative powers, so nothing overflows however fast the decay.

    Parameters
    ----------
    x : Tensor, shape (time, batch, channel)
    log_decay : Tensor, shape (channel,)
        Per step, at most zero.
    first : Tensor, shape (batch, channel), optional
        ``y`` before the first step, default zero.
    chunk : int
        Steps per product.

    Returns
    -------
    Tensor, shape (time, batch, channel)

    Examples
    --------
    >>> x = torch.tensor([1.0, 0.0, 1.0])[:, None, None]
    >>> leaky_sum(x, torch.tensor([0.5]).log()).flatten()
    tensor([1.0000, 0.5000, 1.2500])
    """
    first = x.new_zeros(x.shape[1:]) if first is None else first
    step = torch.arange(min(chunk, len(x)), device=x.device, dtype=x.dtype)
    lag = step[:, None] - step
    log_decay = log_decay.clamp(min=torch.finfo(x.dtype).min / (chunk + 1))  # 0 * -inf would not be 0
    powers = torch.exp(log_decay[:, None, None] * lag.clamp(min=0)).tril()  # (channel, to, from)
    fades = torch.exp(log_decay * (step[:, None] + 1))  # of what a chunk starts with, (to, channel)
    parts = []
    for part in x.split(chunk):
        n = len(part)
        y = torch.bmm(powers[:, :n, :n], part.permute(2, 0, 1)).permute(1, 2, 0)
        parts.append(y + fades[:n, None] * first)
        first = parts[-1][-1]
    return torch.cat(parts)


def linear_recurrence(a: Tensor, b: Tensor, first: Tensor | None = None) -> Tensor:
    """Solve ``x[t] = a[t] x[t-1] + b[t]``, elementwise; real or complex.

    ``a[t] = 0`` starts anew at ``t``, so recurrences of different lengths may lie end to end.

    Parameters
    ----------
    a, b : Tensor, shape (time, ...)
        Broadcast against each other.
    first : Tensor, shape (...), optional
        ``x`` before the first step, default zero.

    Returns
    -------
    Tensor, shape (time, ...)

    References
    ----------
    .. [1] Blelloch (1990), "Prefix sums and their applications", CMU-CS-90-190.

    Examples
    --------
    >>> linear_recurrence(torch.tensor([9.0, 2.0, 0.5]), torch.tensor([1.0, 1.0, 1.0])).tolist()
    [1.0, 3.0, 2.5]
    """
    a, b = torch.broadcast_tensors(a, b)
    return _Linear.apply(a, b, _first(b, first))


def clipped_recurrence(a: Tensor, b: Tensor, lo: float, hi: float, first: Tensor | None = None) -> Tensor:
    """Solve ``x[t] = clip(a[t] x[t-1] + b[t], lo, hi)``, elementwise and exactly.

    Clipped affine maps compose to clipped affine maps: clipping does not force a loop.
    The gradient of the clip is that of ``torch.clamp``: one within the bounds and on them, else zero.

    Parameters
    ----------
    a, b : Tensor, shape (time, ...)
        Broadcast against each other. Slopes may have any sign and size.
    lo, hi : float
    first : Tensor, shape (...), optional
        ``x`` before the first step, default zero; need not lie within the bounds.

    Returns
    -------
    Tensor, shape (time, ...)

    Examples
    --------
    Up by 0.6 twice, which hits the ceiling, then turned round:

    >>> a, b = torch.tensor([1.0, 1.0, -1.0]), torch.tensor([0.6, 0.6, 0.0])
    >>> clipped_recurrence(a, b, -0.5, 1.0)
    tensor([ 0.6000,  1.0000, -0.5000])
    """
    a, b = torch.broadcast_tensors(a, b)
    return _Clipped.apply(a, b, _first(b, first), lo, hi)


def _first(b: Tensor, first: Tensor | None) -> Tensor:
    return b.new_zeros(b.shape[1:]) if first is None else first.expand(b.shape[1:])


def _sum_in_place(x: Tensor, backwards: bool) -> Tensor:
    if x.is_cuda:
        return x.copy_(x.flip(0).cumsum(0).flip(0) if backwards else x.cumsum(0))
    steps = range(len(x) - 2, -1, -1) if backwards else range(1, len(x))
    for t in steps:  # whole slabs; torch.cumsum strides through memory and is slower on a CPU
        x[t] += x[t + 1 if backwards else t - 1]
    return x


class _RunningSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, first):
        x = x.clone(memory_format=torch.contiguous_format)
        x[:1] += first
        return _sum_in_place(x, backwards=False)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        grad = _sum_in_place(grad.clone(memory_format=torch.contiguous_format), backwards=True)
        return grad, grad[:1].sum(0)


class _RunningProduct(torch.autograd.Function):
    """All steps at once on a GPU; one after the other on a CPU, whose cache holds a step."""

    @staticmethod
    def forward(ctx, left, right, first):
        ctx.save_for_backward(left, right)
        if left.is_cuda:
            total = left @ right
            total[:1] += first
            return _sum_in_place(total, backwards=False)
        total = first.new_empty(*left.shape[:-1], right.shape[-1])
        for t in range(len(left)):
            torch.baddbmm(total[t - 1] if t else first, left[t], right[t], out=total[t])
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        left, right = ctx.saved_tensors
        if left.is_cuda:
            grad = _sum_in_place(grad.clone(memory_format=torch.contiguous_format), backwards=True)
            return grad @ right.mT, left.mT @ grad, grad[:1].sum(0)
        total = torch.zeros_like(grad[0])
        g_left, g_right = torch.empty_like(left), torch.empty_like(right)
        for t in range(len(left) - 1, -1, -1):
            total = total + grad[t]
            torch.bmm(total, right[t].mT, out=g_left[t])
            torch.bmm(left[t].mT, total, out=g_right[t])
        return g_left, g_right, total


def _shifted(x: Tensor, first: Tensor) -> Tensor:
    """``x`` one step earlier."""
    return torch.cat([first[None], x[:-1]])


def _solve_linear(a: Tensor, b: Tensor, first: Tensor) -> Tensor:
    if len(a) <= 1:
        return a * first + b
    even, odd = slice(0, len(a) // 2 * 2, 2), slice(1, None, 2)
    later = _solve_linear(a[odd] * a[even], a[odd] * b[even] + b[odd], first)
    x = torch.empty_like(b)
    x[1::2] = later
    x[2::2] = a[2::2] * later[: (len(a) - 1) // 2] + b[2::2]
    x[0] = a[0] * first + b[0]
    return x


def _adjoint(slope: Tensor, grad: Tensor) -> Tensor:
    """Gradient reaching each step: ``g[t] = grad[t] + slope[t+1] g[t+1]``."""
    ahead = torch.cat([slope[1:], torch.zeros_like(slope[:1])]).conj()
    return _solve_linear(ahead.flip(0), grad.flip(0), torch.zeros_like(grad[0])).flip(0)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b, first):
        x = _solve_linear(a, b, first)
        ctx.save_for_backward(a, x, first)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, x, first = ctx.saved_tensors
        if not len(x):
            return grad, grad, torch.zeros_like(first)
        g = _adjoint(a, grad)
        return g * _shifted(x, first).conj(), g, a[0].conj() * g[0]


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b, first, lo, hi):
        ctx.bounds = lo, hi
        if not len(a):
            x = b.clone()
        else:  # the first step is done at once, so that all maps to be joined act within the bounds
            start = (a[0] * first + b[0]).clamp(lo, hi)[None]
            lows, highs = (a.new_tensor(bound).expand_as(a[1:]) for bound in (lo, hi))
            x = torch.cat([start, _solve_clipped((a[1:], b[1:], lows, highs), start[0], lo, hi)])
        ctx.save_for_backward(a, b, x, first)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        a, b, x, first = ctx.saved_tensors
        lo, hi = ctx.bounds
        if not len(x):
            return grad, grad, torch.zeros_like(first), None, None
        before = _shifted(x, first)
        free = a * before + b
        free = ((free >= lo) & (free <= hi)).to(a.dtype)
        g = _adjoint(a * free, grad) * free
        return g * before, g, a[0] * g[0], None, None


Maps = tuple[Tensor, Tensor, Tensor, Tensor]  # x -> clip(a x + b, low, high), per element


def _apply(maps: Maps, x: Tensor) -> Tensor:
    a, b, low, high = maps
    return torch.minimum(torch.maximum(a * x + b, low), high)


def _solve_clipped(maps: Maps, first: Tensor, lo: float, hi: float) -> Tensor:
    n = len(maps[0])
    if n <= 1:
        return _apply(maps, first)
    even, odd = slice(0, n // 2 * 2, 2), slice(1, None, 2)
    pairs = _join(tuple(m[even] for m in maps), tuple(m[odd] for m in maps), lo, hi)
    later = _solve_clipped(pairs, first, lo, hi)
    x = torch.empty_like(maps[0])
    x[1::2] = later
    x[2::2] = _apply(tuple(m[2::2] for m in maps), later[: (n - 1) // 2])
    x[0] = _apply(tuple(m[0] for m in maps), first)
    return x


def _join(one: Maps, two: Maps, lo: float, hi: float) -> Maps:
    """The map ``two`` after ``one``, for arguments from ``lo`` to ``hi``.

    Slopes multiply, and would overflow. A map that is constant between the bounds gets slope zero,
    which is exact. Any other beyond 1e16, or 1e151 in double precision, is a step narrower than the
    spacing of floats, unless it lies at zero: its slope is cut and its value at zero kept.
    """
    a, b = two[0] * one[0], two[0] * one[1] + two[1]
    ends = _apply(two, one[2]), _apply(two, one[3])
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    ends = _apply((a, b, low, high), a.new_tensor(lo)), _apply((a, b, low, high), a.new_tensor(hi))
    constant = ends[0] == ends[1]
    a, b = a.masked_fill(constant, 0), torch.where(constant, ends[0], b)
    ratio = torch.finfo(a.dtype).max ** 0.5 / 1e3 / a.abs()
    over, at_zero = ratio < 1, torch.minimum(torch.maximum(b, low), high)
    a, b = torch.where(over, a * ratio, a), torch.where(over, at_zero + ratio * (b - at_zero), b)
    return a, b, torch.minimum(*ends), torch.maximum(*ends)
