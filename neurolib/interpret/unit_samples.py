"""Samples of units: a model and batches, or a table ``(samples, units)``, in; activations and what went with them out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from neurolib.interpret.activations import call, record
from neurolib.models.sites import Site


@dataclass(frozen=True, eq=False)
class UnitSamples:
    """Activations of all units, taken once, with the variables and trials of their samples.

    Parameters
    ----------
    activations : array, shape (n_samples, n_units)
        Also a memory-mapped or HDF5 one, which is read in blocks of units. Samples in the order of time.
    variables : mapping of str to array, shape (n_samples,) or (n_samples, n_dims)
    groups : array, shape (n_samples,), optional
        Trial of each sample; ``np.arange(n_samples)`` if they are independent. Without any, samples are one
        recording, and nulls shift it.

    Raises
    ------
    ValueError
        If rows do not match.

    Examples
    --------
    >>> samples = UnitSamples(np.eye(4), {"speed": [1.0, 2.0, 3.0, 4.0]}, groups=[0, 0, 1, 1])
    >>> [samples.read(units).shape for units in samples.blocks(3)]
    [(4, 3), (4, 1)]
    """

    activations: Any
    variables: Mapping[str, NDArray] = field(default_factory=dict)
    groups: NDArray | None = None

    def __post_init__(self):
        activations = self.activations
        if isinstance(activations, Tensor):
            activations = activations.detach().cpu().numpy()
        elif not hasattr(activations, "shape"):
            activations = np.asarray(activations)
        if len(activations.shape) != 2:
            raise ValueError(
                f"activations {tuple(activations.shape)} must be (samples, units); put all axes but the last into one"
            )
        object.__setattr__(self, "activations", activations)
        object.__setattr__(self, "variables", {name: _array(v) for name, v in self.variables.items()})
        if self.groups is not None:
            object.__setattr__(self, "groups", _array(self.groups))
        rows = self.variables if self.groups is None else {**self.variables, "groups": self.groups}
        wrong = {name: v.shape for name, v in rows.items() if len(v) != len(self)}
        if wrong:
            raise ValueError(f"{wrong} do not match {len(self)} samples of activations")

    def __len__(self) -> int:
        return self.activations.shape[0]

    @property
    def n_units(self) -> int:
        """Columns."""
        return self.activations.shape[1]

    def variable(self, name: str) -> NDArray:
        """One variable.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        if name not in self.variables:
            raise KeyError(f"no variable {name!r}; there are {sorted(self.variables)}")
        return self.variables[name]

    def blocks(self, width: int) -> list[slice]:
        """Numbers of units, so many at a time."""
        return [slice(start, min(start + width, self.n_units)) for start in range(0, self.n_units, width)]

    def read(self, units: slice) -> NDArray:
        """Activations of some units, as float32 or float64.

        Raises
        ------
        ValueError
            If an activation is not finite.
        """
        block = np.ascontiguousarray(self.activations[:, units])
        if block.dtype not in (np.float32, np.float64):
            block = block.astype(np.float32 if block.dtype.itemsize < 4 else float)
        if not np.isfinite(block).all():
            bad = units.start + np.flatnonzero(~np.isfinite(block).all(axis=0))[0]
            raise ValueError(f"activations of unit {bad} are not finite; drop those samples, or the unit")
        return block


def collect(
    model: nn.Module,
    batches: Iterable[Any],
    site: str | Site,
    run: Callable[[nn.Module, Any], Any] = call,
    groups: str = "trial",
    mask: str = "mask",
) -> UnitSamples:
    """Run a model over batches once and keep one site's activations with what each batch says about its samples.

    Parameters
    ----------
    model : nn.Module
    batches : iterable of mappings
        Entries of shape ``(batch, time, ...)`` like the site's, or ``(batch,)`` and then repeated over time,
        become variables, unless they have more than one further axis.
    site : str or Site
        Of axes ``(batch, ..., channel)``.
    run : callable
        ``run(model, batch)``; by default the model is given the whole mapping.
    groups : str
        Entry with the number of each row's trial; every row is a trial of its own if there is none.
    mask : str
        Entry that is True at samples to keep, such as those that do not only fill a short trial.

    Returns
    -------
    UnitSamples

    Raises
    ------
    ValueError
        If there is no batch, or one is no mapping.

    Examples
    --------
    >>> import torch
    >>> batch = {"x": torch.ones(2, 5, 3), "target": torch.tensor([0, 1])}
    >>> samples = collect(nn.Sequential(nn.Linear(3, 4)), [batch], "0", run=lambda model, batch: model(batch["x"]))
    >>> samples.activations.shape, samples.variable("target").tolist()
    ((10, 4), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    tables, entries, trials, n_rows = [], [], [], 0
    for batch in batches:
        if not isinstance(batch, Mapping):
            raise ValueError(
                f"a batch is a {type(batch).__name__}; units need a mapping with their variables"
            )
        acts = record(model, batch, [site], run=run)
        value = acts[next(iter(acts))].detach().cpu().numpy()
        leading = value.shape[:-1]
        aligned = {name: _aligned(entry, leading) for name, entry in batch.items()}
        kept = _array(batch[mask]).astype(bool) if mask in batch else np.ones(leading, bool)
        if kept.shape != leading:
            raise ValueError(f"{mask!r} {kept.shape} does not fit the site's {leading}")
        trial = aligned.pop(groups, None)
        trial = _repeated(np.arange(n_rows, n_rows + leading[0]), leading) if trial is None else trial
        n_rows += leading[0]
        tables.append(value[kept])
        trials.append(trial[kept])
        entries.append({name: entry[kept] for name, entry in aligned.items() if entry is not None})
    if not tables:
        raise ValueError("no batch to run the model on; is the loader used up?")
    names = [name for name in entries[0] if name != mask and all(name in others for others in entries)]
    variables = {name: np.concatenate([part[name] for part in entries]) for name in names}
    return UnitSamples(np.concatenate(tables), variables, np.concatenate(trials))


def _aligned(entry: Any, leading: tuple[int, ...]) -> NDArray | None:
    """An entry per sample, or None if it is nothing of the kind."""
    if not isinstance(entry, Tensor | np.ndarray | list | tuple):
        return None
    try:
        value = _array(entry)
    except (TypeError, ValueError):
        return None
    if value.shape[: len(leading)] == leading and value.ndim <= len(leading) + 1:
        return value
    return _repeated(value, leading) if value.shape == leading[:1] else None


def _repeated(value: NDArray, leading: tuple[int, ...]) -> NDArray:
    return np.broadcast_to(value.reshape(-1, *[1] * (len(leading) - 1)), leading)


def _array(values: Any) -> NDArray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
