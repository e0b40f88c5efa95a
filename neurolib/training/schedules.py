"""Learning-rate schedules: step in, factor on the base rate out."""

import math


def constant(step: int, steps: int, warmup: int = 0) -> float:
    """Full rate after a linear warm-up."""
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def cosine(step: int, steps: int, warmup: int = 0) -> float:
    """Linear warm-up, then half a cosine down to zero at ``steps``.

    Examples
    --------
    >>> [round(cosine(s, 4), 3) for s in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def cyclic(step: int, steps: int, warmup: int = 0, cycles: int = 5) -> float:
    """Several cosines one after the other, each from the full rate down to zero.

    The warm-up comes once; the cycles share the steps after it evenly.

    References
    ----------
    .. [1] Loshchilov & Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", ICLR.

    Examples
    --------
    >>> [round(cyclic(s, 8, cycles=2), 3) for s in range(8)]
    [1.0, 0.854, 0.5, 0.146, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) * cycles / max(steps - warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * (done % 1.0 if done < cycles else 1.0)))


SCHEDULES = {"constant": constant, "cosine": cosine, "cyclic": cyclic}
