"""Inputs of any nesting in, their tensors by path out, and back: ``{"emg": ModalityInput}`` has ``"emg/values"``.

The first axis of a tensor is the batch. Tensors of another length there, and whatever is no tensor, belong to
all rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

Inputs = Any  # a tensor, tuple, list, mapping or dataclass of such
ALONE = "input"  # path of a tensor that is all there is
FIXED = ("time", "coords", "event_time", "mask")  # last parts of paths that are no signal


def leaves(inputs: Inputs, path: str = "") -> dict[str, Tensor]:
    """Tensors by path.

    Examples
    --------
    >>> list(leaves((torch.zeros(1), {"a": torch.zeros(2), "b": None})))
    ['0', '1/a']
    """
    if isinstance(inputs, Tensor):
        return {path or ALONE: inputs}
    found = {}
    for name, part in _parts(inputs):
        found |= leaves(part, f"{path}/{name}" if path else name)
    return found


def rebuilt(inputs: Inputs, changed: Mapping[str, Tensor], path: str = "") -> Inputs:
    """The same nesting with other tensors at some paths.

    Examples
    --------
    >>> rebuilt({"a": torch.zeros(1), "b": [torch.ones(1)]}, {"b/0": torch.tensor([5.0])})
    {'a': tensor([0.]), 'b': [tensor([5.])]}
    """
    if isinstance(inputs, Tensor):
        return changed.get(path or ALONE, inputs)
    parts = {
        name: rebuilt(part, changed, f"{path}/{name}" if path else name) for name, part in _parts(inputs)
    }
    if not parts:
        return inputs
    if is_dataclass(inputs):
        return replace(inputs, **parts)
    if isinstance(inputs, Mapping):
        return {key: parts[str(key)] for key in inputs}
    return type(inputs)(*parts.values()) if hasattr(inputs, "_fields") else type(inputs)(parts.values())


def rows(inputs: Inputs, index: Tensor, n_rows: int) -> Inputs:
    """Some rows of a batch, any number of times; tensors without a row each stay as they are.

    Examples
    --------
    >>> rows((torch.tensor([1, 2]), torch.zeros(3)), torch.tensor([1, 1]), n_rows=2)
    (tensor([2, 2]), tensor([0., 0., 0.]))
    """
    taken = {
        name: tensor[index.to(tensor.device)]
        for name, tensor in leaves(inputs).items()
        if tensor.dim() and len(tensor) == n_rows
    }
    return rebuilt(inputs, taken)


def signals(inputs: Inputs, names: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Tensors that an answer may be attributed to: floating ones, but no clocks and positions.

    Parameters
    ----------
    inputs : Inputs
    names : sequence of str, optional
        Paths; by default all that float and whose last part is not in ``FIXED``.

    Raises
    ------
    ValueError
        If a path is unknown or does not float, if nothing is left, or if batches differ in size.

    Examples
    --------
    >>> list(signals({"emg/values": torch.zeros(2, 3), "emg/time": torch.zeros(2, 3), "id": torch.arange(2)}))
    ['emg/values']
    """
    every = leaves(inputs)
    if names is None:
        names = [n for n, t in every.items() if t.is_floating_point() and n.split("/")[-1] not in FIXED]
    for name in names:
        if name not in every or not every[name].is_floating_point():
            raise ValueError(
                f"no floating tensor at {name!r}; the inputs have {', '.join(every) or 'none'}. Ids and times "
                "are attributed where they are embedded: layer_integrated_gradients at that site"
            )
    if not names:
        raise ValueError(
            f"nothing to attribute to among {', '.join(every) or 'no tensors'}; events and ids have no "
            "gradient: use layer_integrated_gradients at the site where they are embedded"
        )
    sizes = {name: len(every[name]) for name in names}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"batches differ in size: {sizes}; the first axis is the batch everywhere")
    return {name: every[name] for name in names}


def axes_of(tensor: Tensor) -> tuple[str, ...]:
    """Names of axes by the custom of this package: batch first, channel last, time between."""
    known = {1: ("batch",), 2: ("batch", "channel"), 3: ("batch", "time", "channel")}
    return known.get(tensor.dim()) or ("batch", *(f"axis{k}" for k in range(1, tensor.dim())))


def _parts(inputs: Inputs) -> list[tuple[str, Any]]:
    if isinstance(inputs, Mapping):
        return [(str(key), value) for key, value in inputs.items()]
    if isinstance(inputs, tuple | list):
        return [(str(number), value) for number, value in enumerate(inputs)]
    if is_dataclass(inputs) and not isinstance(inputs, type):
        return [(f.name, getattr(inputs, f.name)) for f in fields(inputs)]
    return []


def n_rows(inputs: Inputs) -> int:
    """Rows of the batch.

    Examples
    --------
    >>> n_rows({"a": torch.zeros(4, 2)})
    4
    """
    return len(next(iter(signals(inputs).values())))


def scores(score, inputs: Inputs, n: int) -> Tensor:
    """One number per row, checked; mean a loss away before, not after.

    Raises
    ------
    ValueError
        If ``score`` gives anything but one number per row.
    """
    given = score(inputs)
    if not isinstance(given, Tensor) or given.shape != (n,):
        what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(
            f"score gave {what} for {n} rows; it must give one number per row, shape ({n},): pick one output"
        )
    return given


def all_rows(tensor: Tensor) -> Tensor:
    """Index of every row."""
    return torch.arange(len(tensor), device=tensor.device)
