"""Selective scan of Mamba-2 (SSD): ``x (batch, time, head, channel)`` in, as much out, and the last state.

All channels of a head decay together, so a stretch of time is a product with a triangular matrix, and
only stretches follow each other in a loop.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

BACKENDS = ("auto", "chunk", "reference", "mamba_ssm")
BLOCK_ELEMENTS = 2**18  # of x worked on at once on a CPU, whose cache holds what a block needs


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    rate: Tensor,
    b: Tensor,
    c: Tensor,
    state: Tensor | None = None,
    backend: str = "auto",
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Solve the recurrence of Mamba-2, any length, with gradients through both ends.

    .. math::
        h_t = e^{\Delta_t A} h_{t-1} + \Delta_t\, x_t \otimes B_t, \qquad y_t = h_t C_t

    A step of ``dt = 0`` changes nothing, so sequences may be padded with it. Everything is computed in
    float32 at least, also under autocast: states add up over many steps.

    Parameters
    ----------
    x : Tensor, shape (B, L, H, P)
    dt : Tensor, shape (B, L, H)
        Steps, at least zero.
    rate : Tensor, shape (H,)
        ``A``, negative.
    b, c : Tensor, shape (B, L, N)
        What is written to and read from the state, the same for all heads.
    state : Tensor, shape (B, H, P, N), optional
        ``h`` before the first step, default zero.
    backend : str
        ``"chunk"`` products of matrices; ``"reference"`` a loop over time, the definition; ``"mamba_ssm"``
        the kernels of that package, on a GPU; ``"auto"`` those if they are there, else ``"chunk"``.
    chunk : int, optional
        Steps per product; by default 32 on a CPU and 64 on a GPU.

    Returns
    -------
    y : Tensor, shape (B, L, H, P)
        In the type of ``x``.
    state : Tensor, shape (B, H, P, N)
        After the last step.

    Raises
    ------
    ValueError
        If shapes disagree, or a backend is unknown or not available here.

    References
    ----------
    .. [1] Dao & Gu (2024), "Transformers are SSMs: generalized models and efficient algorithms through
       structured state space duality", ICML, arXiv:2405.21060.

    Examples
    --------
    A decay by half per step, and one written each time:

    >>> one = torch.ones(1, 3, 1)
    >>> y, state = ssd_scan(one[..., None], one, torch.tensor([0.5]).log(), one, one)
    >>> y.flatten(), state.item()
    (tensor([1.0000, 1.5000, 1.7500]), 1.75)
    """
    _check(x, dt, rate, b, c, state)
    chunk = (64 if x.is_cuda else 32) if chunk is None else chunk
    if backend not in BACKENDS or chunk < 1:
        raise ValueError(
            f"backend={backend!r}, chunk={chunk}; backends are {BACKENDS}, chunks have 1 step or more"
        )
    kernel = mamba_kernel("ops.triton.ssd_combined", "mamba_chunk_scan_combined", x, backend)
    with torch.autocast(x.device.type, enabled=False):
        if kernel is not None:
            y, last = kernel(
                *(x, dt.to(x.dtype), rate.float(), b[:, :, None].to(x.dtype), c[:, :, None].to(x.dtype)),
                **{"chunk_size": chunk, "initial_states": state, "return_final_states": True},
            )
            return y, last
        dtype = torch.promote_types(x.dtype, torch.float32)
        parts = [part.to(dtype) for part in (x, dt, rate, b, c)]
        h = x.new_zeros(*shape_of_state(x, b), dtype=dtype) if state is None else state.to(dtype)
        if not x.shape[1]:
            return x, h
        if backend == "reference" or x.shape[1] == 1:
            y, h = loop(*parts, h)
        else:
            y, h = chunked(*parts, h, chunk)
    return y.to(x.dtype), h


def shape_of_state(x: Tensor, b: Tensor) -> tuple[int, int, int, int]:
    """Shape of the state, ``(B, H, P, N)``."""
    return x.shape[0], x.shape[2], x.shape[3], b.shape[2]


def loop(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, step by step; arguments as in :func:`ssd_scan`."""
    outputs = []
    for keep, dx, enter, leave in zip(
        (dt * rate).exp().unbind(1), (dt[..., None] * x).unbind(1), b.unbind(1), c.unbind(1), strict=True
    ):
        h = keep[..., None, None] * h + dx[..., None] * enter[:, None, None]
        outputs.append(torch.einsum("bhpn,bn->bhp", h, leave))
    return torch.stack(outputs, 1), h


def chunked(
    x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, h: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Chunks as products, several at a time; arguments as in :func:`ssd_scan`."""
    length = x.shape[1]
    chunk = min(chunk, length)
    n_chunks = -(-length // chunk)
    if short := n_chunks * chunk - length:
        x = F.pad(x, (0, 0, 0, 0, 0, short))
        dt, b, c = (F.pad(part, (0, 0, 0, short)) for part in (dt, b, c))
    x, dt, b, c = (part.unflatten(1, (n_chunks, chunk)) for part in (x, dt, b, c))
    y, h = _Chunked.apply(x, dt, rate, b, c, h)
    return y.flatten(1, 2)[:, :length], h


class _Chunked(torch.autograd.Function):
    """``x (B, K, Q, H, P)``, ``dt (B, K, Q, H)``, ``b, c (B, K, Q, N)``: K chunks of Q steps.

    Only the states between chunks are kept; decays are computed again for the gradient.
    """

    @staticmethod
    def forward(ctx, x, dt, rate, b, c, h):
        y, states = torch.empty_like(x), h.new_empty(len(x), x.shape[1] + 1, *h.shape[1:])
        states[:, 0] = h
        for part in _blocks(x):
            block = _Block(x[:, part], dt[:, part], rate, b[:, part], c[:, part])
            written = (block.dx * block.until).flatten(3).mT @ block.b  # (B, K, H P, N)
            for k, at in enumerate(range(part.start, part.stop)):
                torch.addcmul(
                    written[:, k].view_as(h), states[:, at], block.kept[:, k], out=states[:, at + 1]
                )
            carried = block.c @ states[:, part].flatten(2, 3).mT  # (B, K, Q, H P)
            inside = ((block.scores * block.decay) @ block.dx_head).transpose(2, 3)
            torch.addcmul(inside, carried.view_as(block.dx), block.since, out=y[:, part])
        ctx.save_for_backward(x, dt, rate, b, c, y, states)
        return y, states[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, g_y, g_h):
        with torch.autocast(g_y.device.type, enabled=False):
            return _Chunked.adjoint(*ctx.saved_tensors, g_y, g_h)

    @staticmethod
    def adjoint(x, dt, rate, b, c, y, states, g_y, g_h):
        g_x, g_dt, g_b, g_c = (torch.empty_like(part) for part in (x, dt, b, c))
        g_rate, g_h = torch.zeros_like(rate), g_h.clone()
        for part in reversed(_blocks(x)):
            block = _Block(x[:, part], dt[:, part], rate, b[:, part], c[:, part])
            above = g_y[:, part]
            # What is read from the states before, and what they pass on to earlier ones.
            faded = (above * block.since).flatten(3)  # (B, K, Q, H P)
            g_states = (faded.mT @ block.c).view_as(states[:, part])
            after = torch.empty_like(g_states)
            for k in range(part.stop - part.start - 1, -1, -1):
                after[:, k] = g_h
                g_h = torch.addcmul(g_states[:, k], g_h, block.kept[:, k])
            after_flat = after.flatten(2, 3)  # (B, K, H P, N)
            above_head = above.transpose(2, 3).contiguous()
            g_dx = ((block.scores * block.decay).mT @ above_head).transpose(2, 3)
            g_dx = g_dx.addcmul((block.b @ after_flat.mT).view_as(block.dx), block.until)
            g_scores = (above_head @ block.dx_head.mT).mul_(block.decay).sum(2)
            g_c[:, part] = faded @ states[:, part].flatten(2, 3) + g_scores @ block.b
            g_b[:, part] = (block.dx * block.until).flatten(3) @ after_flat + g_scores.mT @ block.c
            # An output grows with the log decay up to its own step, an input shrinks with it.
            g_total = (above * y[:, part]).sum(-1) - (block.dx * g_dx).sum(-1)  # (B, K, Q, H)
            g_total[:, :, -1] += (after * states[:, part.start + 1 : part.stop + 1]).sum((-1, -2))
            g_log = g_total.flip(2).cumsum(2).flip(2)
            g_rate += (g_log * dt[:, part]).sum((0, 1, 2))
            torch.mul(g_dx, dt[:, part, :, :, None], out=g_x[:, part])
            g_dt[:, part] = (g_dx * x[:, part]).sum(-1).addcmul_(g_log, rate)
        return g_x, g_dt, g_rate, g_b, g_c, g_h


class _Block:
    """What both directions need of a few chunks."""

    def __init__(self, x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor):
        steps = x.shape[2]
        total = (dt * rate).transpose(2, 3).cumsum(-1)  # (B, K, H, Q), log decay since the chunk began
        later = torch.ones(steps, steps, dtype=torch.bool, device=x.device).triu(1)
        gap = total[..., :, None] - total[..., None, :]
        self.decay = gap.masked_fill_(later, -torch.inf).exp_()  # masked before exp, which may overflow
        self.b, self.c, self.dx = b, c, x * dt[..., None]
        self.dx_head = self.dx.transpose(2, 3).contiguous()
        self.scores = (c @ b.mT)[:, :, None]  # (B, K, 1, Q, Q), shared by the heads
        self.since = total.mT.exp()[..., None]  # (B, K, Q, H, 1), from before the chunk to a step
        self.until = self.decay[..., -1, :].mT[..., None]  # from a step to the end of the chunk
        self.kept = self.since[:, :, -1, :, None]  # (B, K, H, 1, 1)


def _blocks(x: Tensor) -> list[slice]:
    """Chunks to do at once: all on a GPU, what fits the cache on a CPU."""
    n_chunks = x.shape[1]
    size = n_chunks if x.is_cuda else max(1, BLOCK_ELEMENTS * n_chunks // x.numel())
    return [slice(k, min(k + size, n_chunks)) for k in range(0, n_chunks, size)]


def mamba_kernel(module: str, name: str, x: Tensor, backend: str):
    """A kernel of ``mamba_ssm``, or None where it is not asked for, or not there and not needed."""
    if backend not in ("auto", "mamba_ssm") or (backend == "auto" and not x.is_cuda):
        return None
    if not x.is_cuda:
        raise ValueError(f"backend='mamba_ssm' runs on a GPU only, and x is on {x.device}; use 'auto'")
    from importlib import import_module

    try:
        return getattr(import_module(f"mamba_ssm.{module}"), name)
    except ImportError as error:
        if backend == "auto":
            return None
        raise ValueError(
            f"backend='mamba_ssm', but that package does not import ({error}); use 'auto'"
        ) from error


def _check(x: Tensor, dt: Tensor, rate: Tensor, b: Tensor, c: Tensor, state: Tensor | None) -> None:
    if x.dim() != 4 or dt.shape != x.shape[:3] or rate.shape != x.shape[2:3]:
        raise ValueError(
            f"x {tuple(x.shape)}, dt {tuple(dt.shape)}, rate {tuple(rate.shape)}; they are (B, L, H, P), (B, L, H) "
            "and (H,)"
        )
    if b.dim() != 3 or b.shape[:2] != x.shape[:2] or c.shape != b.shape:
        raise ValueError(
            f"b {tuple(b.shape)} and c {tuple(c.shape)} must both be (B, L, N), x is {tuple(x.shape)}"
        )
    if state is not None and state.shape != shape_of_state(x, b):
        raise ValueError(
            f"state {tuple(state.shape)} must be {shape_of_state(x, b)}; is it of another batch?"
        )
