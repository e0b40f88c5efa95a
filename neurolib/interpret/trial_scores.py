"""What a run of a model is judged by: its output in, one signed number per trial out, higher is better."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

TrialScore = Callable[[Any], Tensor]  # output -> (trial,)


def minus_squared_error(
    target: Tensor, mask: Tensor | None = None, scale: Tensor | float = 1.0
) -> TrialScore:
    """Minus the mean squared error of each trial.

    Parameters
    ----------
    target : Tensor, shape (trial, time, output)
    mask : Tensor of bool, shape (trial, time), optional
        Bins that exist.
    scale : Tensor, shape (output,), or float
        Unit of each output, such as its standard deviation.

    Notes
    -----
    At its best a model has no gradient here, so that attribution at the clean input alone finds nothing;
    integrate along a path, or ask :func:`towards`.

    Examples
    --------
    >>> import torch
    >>> score = minus_squared_error(torch.zeros(1, 2, 1), torch.tensor([[True, False]]))
    >>> score(torch.tensor([[[3.0], [100.0]]]))
    tensor([-9.])
    """

    def score(output: Tensor) -> Tensor:
        _check(output, target)
        return -_mean(((output - target) / scale).square().mean(-1), mask)

    return score


def towards(target: Tensor, other: Tensor, mask: Tensor | None = None) -> TrialScore:
    r"""Which of two trials the output looks like: 1 for ``target``, 0 for ``other``, linear in between.

    What the difference of two logits is to a classifier:
    :math:`\langle \hat y - y', y - y' \rangle / \lVert y - y' \rVert^2` over the bins of a trial.

    Examples
    --------
    >>> import torch
    >>> score = towards(torch.tensor([[[2.0]]]), torch.tensor([[[0.0]]]))
    >>> score(torch.tensor([[[0.5]]]))
    tensor([0.2500])
    """
    apart = target - other
    if mask is not None:
        apart = apart * mask[..., None]
    norm = apart.square().sum((1, 2))
    if not (norm > 0).all():
        raise ValueError(
            f"trial {int(norm.argmin())} and its partner have the same target; pair it with another"
        )

    def score(output: Tensor) -> Tensor:
        _check(output, target)
        return ((output - other) * apart).sum((1, 2)) / norm

    return score


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.mean(1)
    there = mask.to(values.dtype)
    return (values * there).sum(1) / there.sum(1)


def _check(output: Tensor, target: Tensor) -> None:
    if not isinstance(output, Tensor) or output.shape != target.shape:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"output {found} for a target {tuple(target.shape)}; pick the tensor in run=lambda model, inputs: ..."
        )
