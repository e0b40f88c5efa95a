"""Simple maps that any other has to beat: gradients, their product with the input, and blocks taken away one by one."""

from collections.abc import Mapping

import torch
from torch import Tensor

from neurolib.interpret.attribution.integrated_gradients import Score, starting_point
from neurolib.interpret.attribution.maps import Attribution
from neurolib.interpret.attribution.tree import Inputs, all_rows, axes_of, rebuilt, rows, scores, signals

Blocks = Mapping[str, tuple[int, ...]]  # sizes of a block along all axes but the batch, by path


def gradient(score: Score, inputs: Inputs) -> Attribution:
    """Slope of the score at the input; zero for what it does not use.

    Examples
    --------
    >>> gradient(lambda x: x.square().sum(1), torch.tensor([[1.0, 3.0]])).values["input"].tolist()
    [[2.0, 6.0]]
    """
    live = {name: value.detach().clone().requires_grad_() for name, value in signals(inputs).items()}
    n = len(next(iter(live.values())))
    with torch.enable_grad():
        said = scores(score, rebuilt(inputs, live), n)
    slopes = [None] * len(live)
    if said.requires_grad:
        slopes = torch.autograd.grad(said.sum(), list(live.values()), allow_unused=True)
    found = {
        name: torch.zeros_like(value) if slope is None else slope
        for (name, value), slope in zip(live.items(), slopes, strict=True)
    }
    found = {name: value.detach() for name, value in found.items()}
    return Attribution(found, {name: axes_of(value) for name, value in found.items()}, method="gradient")


def input_x_gradient(score: Score, inputs: Inputs, baseline: Inputs | None = None) -> Attribution:
    """Slope at the input times its distance from a baseline: one step of the integral instead of many.

    Examples
    --------
    >>> input_x_gradient(lambda x: x.square().sum(1), torch.tensor([[1.0, 3.0]])).values["input"].tolist()
    [[2.0, 18.0]]
    """
    slope, top = gradient(score, inputs), signals(inputs)
    low = starting_point(top, baseline)
    found = {name: (top[name].detach() - low[name]) * slope.values[name] for name in top}
    return Attribution(found, slope.axes, method="input x gradient")


def block_index(shape: tuple[int, ...], sizes: tuple[int, ...] | None) -> Tensor:
    """Number of the block that each element of one row belongs to; blocks at the ends may be smaller.

    Examples
    --------
    >>> block_index((3, 2), (2, 1)).tolist()
    [[0, 1], [0, 1], [2, 3]]
    """
    sizes = sizes or (1,) * len(shape)
    if len(sizes) != len(shape) or min(sizes) < 1:
        raise ValueError(
            f"blocks of {sizes} for rows of shape {tuple(shape)}; one size of 1 or more per axis"
        )
    number = torch.zeros((), dtype=torch.int64)
    for length, size in zip(shape, sizes, strict=True):
        step = torch.arange(length) // size
        number = number[..., None] * (int(step[-1]) + 1) + step
    return number


def occlusion(
    score: Score,
    inputs: Inputs,
    baseline: Inputs | None = None,
    blocks: Blocks | None = None,
    n_rows: int = 256,
) -> Attribution:
    """What the score loses when a block of one tensor is replaced by the baseline, shared out over its elements.

    Parameters
    ----------
    score : callable
    inputs : Inputs
    baseline : Inputs, optional
        Zeros by default.
    blocks : dict of tuple of int, optional
        Sizes of a block by path, such as ``{"emg/values": (50, 1)}``: 50 samples of one electrode; single
        elements by default, which costs as many runs.
    n_rows : int
        Rows in one pass of the model.

    References
    ----------
    .. [1] Zeiler & Fergus (2014), "Visualizing and understanding convolutional networks", ECCV.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> occlusion(lambda x: x.square().sum(1), x).values["input"].tolist()
    [[1.0, 9.0]]
    """
    top = {name: value.detach() for name, value in signals(inputs).items()}
    low, first = starting_point(top, baseline), next(iter(top.values()))
    n, found = len(first), {}
    with torch.no_grad():
        whole = torch.cat(
            [scores(score, rows(inputs, at, n), len(at)) for at in all_rows(first).split(n_rows)]
        )
        for name, value in top.items():
            index = block_index(tuple(value.shape[1:]), (blocks or {}).get(name)).to(value.device)
            count = int(index.max()) + 1
            lost = value.new_zeros(n, count)
            for pairs in torch.arange(n * count, device=value.device).split(n_rows):
                block, row = pairs // n, pairs % n
                gone = index == block.view(-1, *[1] * index.dim())
                changed = {other: part[row] for other, part in top.items()}
                changed[name] = torch.where(gone, low[name][row], value[row])
                said = scores(score, rebuilt(rows(inputs, row, n), changed), len(row))
                lost[row, block] = (whole[row] - said).to(lost.dtype)
            found[name] = lost[:, index] / index.flatten().bincount().to(lost)[index]
    return Attribution(found, {name: axes_of(value) for name, value in found.items()}, method="occlusion")
