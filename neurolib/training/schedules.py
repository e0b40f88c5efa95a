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


SCHEDULES = {"constant": constant, "cosine": cosine}
