"""What an attribution starts from: inputs of any nesting in, inputs of the same nesting without the signal out.

A baseline is a question: zeros ask what the numbers do, the session mean what their changes do, scrambled phases
what their timing does, and another trial what sets this trial apart from it.
"""

import torch
from torch import Tensor

from neurolib.interpret.attribution.tree import Inputs, leaves, rebuilt, signals


def zeros(inputs: Inputs) -> Inputs:
    """Every signal zero.

    Examples
    --------
    >>> zeros({"x": torch.ones(1, 2), "id": torch.tensor([3])})
    {'x': tensor([[0., 0.]]), 'id': tensor([3])}
    """
    return rebuilt(inputs, {name: torch.zeros_like(value) for name, value in signals(inputs).items()})


def session_mean(inputs: Inputs, reference: Inputs) -> Inputs:
    """Every signal at the mean of its channel over all rows and samples of a reference, such as the training trials.

    Where the reference has a mask beside its values (``"emg/mask"``), hidden samples do not count.

    Examples
    --------
    >>> session_mean(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [3.0]], [[3.0], [5.0]]])).flatten().tolist()
    [3.0, 3.0]
    """
    there, made = leaves(reference), {}
    for name, value in signals(inputs).items():
        known = there[name].detach()
        seen = _seen(there, name)
        if seen is not None and known.dim() > 2:
            weight = seen[..., None].expand_as(known).to(known)
            mean = (known * weight).flatten(0, -2).sum(0) / weight.flatten(0, -2).sum(0).clamp(min=1)
        else:
            mean = known.flatten(0, -2).mean(0)
        made[name] = mean.to(value).expand_as(value)
    return rebuilt(inputs, made)


def phase_scrambled(inputs: Inputs, seed: int = 0, least: float | None = None) -> Inputs:
    """Every signal ``(B, T, C)`` with random phases in time: the power of each frequency stays, when it comes does not.

    Channels of a row get the same turn at each frequency, so that what they have in common stays, too; means stay.
    Counts come out as any number, also below zero; ``least=0`` clips them, at the price of some power.

    References
    ----------
    .. [1] Prichard & Theiler (1994), "Generating surrogate data for time series with several simultaneously
       measured variables", Phys. Rev. Lett. 73, 951.

    Examples
    --------
    >>> x = torch.randn(2, 16, 3)
    >>> y = phase_scrambled(x)
    >>> power = [torch.fft.rfft(z, dim=1).abs() for z in (x, y)]
    >>> bool(torch.allclose(*power, atol=1e-4)), bool(torch.allclose(x, y, atol=0.1))
    (True, False)
    """
    draw, there, made = torch.Generator().manual_seed(seed), leaves(inputs), {}
    for name, value in signals(inputs).items():
        if value.dim() < 3:
            raise ValueError(
                f"{name!r} has shape {tuple(value.shape)}, no axis of time between batch and channel"
            )
        seen, out = _seen(there, name), value.detach().clone()
        for row in range(len(value)):
            where = slice(None) if seen is None else seen[row].nonzero().flatten()
            if len(out[row, where]):
                out[row, where] = _scrambled(out[row, where], draw)
        made[name] = out if least is None else out.clamp(min=least)
    return rebuilt(inputs, made)


def other_rows(n: int, seed: int = 0, labels: Tensor | None = None) -> Tensor:
    """For each of ``n`` rows another one, of the same label if there are labels; each is taken once.

    Raises
    ------
    ValueError
        If a label has a single row.

    Examples
    --------
    >>> other_rows(4, labels=torch.tensor([0, 1, 1, 0])).tolist()
    [3, 2, 1, 0]
    """
    draw = torch.Generator().manual_seed(seed)
    labels = torch.zeros(n, dtype=torch.int64) if labels is None else torch.as_tensor(labels)
    chosen = torch.empty(n, dtype=torch.int64)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise ValueError(f"label {label.item()} has one row, so there is no other of its kind")
        members = members[torch.randperm(len(members), generator=draw)]
        chosen[members] = members.roll(1)  # one circle, so that nobody gets themselves
    return chosen


def matched_trial(inputs: Inputs, pool: Inputs, rows: Tensor) -> Inputs:
    """Every signal as in another trial: row ``i`` from row ``rows[i]`` of ``pool``; hidden samples there are zero.

    Examples
    --------
    >>> x = torch.tensor([[1.0], [2.0]])
    >>> matched_trial(x, x, other_rows(2)).flatten().tolist()
    [2.0, 1.0]
    """
    there, made = leaves(pool), {}
    for name, value in signals(inputs).items():
        taken, seen = there[name].detach()[rows], _seen(there, name)
        if taken.shape != value.shape:
            raise ValueError(
                f"{name!r} is {tuple(value.shape)} here and {tuple(taken.shape)} in the other trials; cut them alike"
            )
        if seen is not None:
            taken = torch.where(seen[rows][..., None], taken, 0)
        made[name] = taken.to(value)
    return rebuilt(inputs, made)


def _seen(there: dict[str, Tensor], name: str) -> Tensor | None:
    """The mask in time that stands beside values."""
    stem, slash, last = name.rpartition("/")
    if last != "values" and slash:
        return None
    mask = there.get(f"{stem}/mask" if slash else "mask")
    return mask if mask is not None and mask.dtype == torch.bool and mask.dim() == 2 else None


def _scrambled(x: Tensor, draw: torch.Generator) -> Tensor:
    """Samples ``(T, C)`` with one random turn per frequency."""
    spectrum = torch.fft.rfft(x.double(), dim=0)
    turn = 2 * torch.pi * torch.rand(len(spectrum), generator=draw, dtype=torch.float64).to(x.device)
    turn[0] = 0.0
    if len(x) % 2 == 0:
        turn[-1] = 0.0  # the highest frequency has no phase
    return torch.fft.irfft(spectrum * torch.polar(torch.ones_like(turn), turn)[:, None], n=len(x), dim=0).to(
        x
    )
