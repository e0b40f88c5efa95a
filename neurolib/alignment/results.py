"""What an analysis found: named numbers ``(layer, ...)`` with interval, chance and provenance in, answers out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Result:
    """One measure of one model, or of a model and something else.

    Parameters
    ----------
    model, metric : str
    values : array
        NaN where nothing is defined; ``warnings`` say why.
    dims : tuple of str
        Names of the axes of ``values``.
    coords : dict of sequence
        What the entries of each axis are called.
    against : str
        What the model is compared with: another model, a subject, a model of dissimilarities; empty for none.
    low, high : array, optional
        Interval of each value.
    chance : float or array, optional
        What there would be to find if nothing were there.
    n : int
        Stimuli behind each value.
    params : dict
        Settings of the measure.
    unit : str
    warnings : tuple of str
    provenance : dict
        Hashes of weights and inputs, seeds.

    Raises
    ------
    ValueError
        If the axes do not fit the values.

    Examples
    --------
    >>> found = Result("net", "participation_ratio", [3.0, 9.0], ("layer",), {"layer": ("conv", "fc")}, chance=1.0)
    >>> found["fc"]
    9.0
    """

    model: str
    metric: str
    values: NDArray
    dims: tuple[str, ...] = ()
    coords: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    against: str = ""
    low: NDArray | None = None
    high: NDArray | None = None
    chance: Any = None
    n: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    unit: str = ""
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("values", "low", "high"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value, float))
        where = f"{self.metric} of {self.model}"
        if self.values.ndim != len(self.dims):
            raise ValueError(f"{where}: values {self.values.shape} for the axes {self.dims}")
        for axis, size in zip(self.dims, self.values.shape, strict=True):
            if len(self.coords.get(axis, ())) != size:
                raise ValueError(
                    f"{where}: axis {axis!r} has {size} entries and {len(self.coords.get(axis, ()))} names"
                )
        for name in ("low", "high"):
            edge = getattr(self, name)
            if edge is not None and edge.shape != self.values.shape:
                raise ValueError(f"{where}: {name} {edge.shape} for values {self.values.shape}")

    def __getitem__(self, names: Any) -> Any:
        """The value, or the rest of the axes, at an entry of each axis by name."""
        names = names if isinstance(names, tuple) else (names,)
        at = []
        for axis, name in zip(self.dims, names, strict=False):
            known = list(self.coords[axis])
            if name not in known:
                raise KeyError(f"no {axis} {name!r} in {self.metric} of {self.model}; there are {known}")
            at.append(known.index(name))
        found = self.values[tuple(at)]
        return float(found) if np.ndim(found) == 0 else found

    def best(self) -> tuple[Any, ...]:
        """Names of the largest entry; chosen and judged on the same data, so no estimate of what it is worth."""
        if np.isnan(self.values).all():
            raise ValueError(
                f"{self.metric} of {self.model} is not defined anywhere: {'; '.join(self.warnings)}"
            )
        at = np.unravel_index(np.nanargmax(self.values), self.values.shape)
        return tuple(self.coords[axis][i] for axis, i in zip(self.dims, at, strict=True))


class Results:
    """All that an analysis found.

    Examples
    --------
    >>> found = Results([Result("net", "cka", 0.5, against="brain")])
    >>> found.get("cka").values.item(), found["net", "cka"].against
    (0.5, 'brain')
    """

    def __init__(self, results: Iterable[Result]):
        self.results = tuple(results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in their order."""
        return tuple(dict.fromkeys(result.model for result in self))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the measures, in their order."""
        return tuple(dict.fromkeys(result.metric for result in self))

    def get(self, metric: str, model: str | None = None, against: str | None = None) -> Result:
        """The one result of a measure.

        Raises
        ------
        KeyError
            If there is none, or several; the message says what there is.
        """
        found = [
            result
            for result in self
            if result.metric == metric
            and (model is None or result.model == model)
            and (against is None or result.against == against)
        ]
        if len(found) == 1:
            return found[0]
        if not found:
            raise KeyError(
                f"no {metric!r}" + (f" of {model!r}" if model else "") + (f" against {against!r}" if against else "")
                + f"; there are {', '.join(self.metrics)} of {', '.join(self.models)}"
            )  # fmt: skip
        names = ", ".join(f"{r.model}" + (f" against {r.against}" if r.against else "") for r in found)
        raise KeyError(f"{metric!r} was measured {len(found)} times ({names}); say model= and against=")

    def __getitem__(self, key: tuple[str, ...]) -> Result:
        """``results[model, metric]`` or ``results[model, metric, against]``."""
        if not isinstance(key, tuple) or len(key) not in (2, 3):
            raise KeyError(f"{key!r}: want results[model, metric] or results[model, metric, against]")
        return self.get(key[1], key[0], key[2] if len(key) == 3 else None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing any of it."""
        return tuple(
            dict.fromkeys(f"{r.model}, {r.metric}: {warning}" for r in self for warning in r.warnings)
        )

    def summary(self) -> str:
        """One line per result with a single number or a layer axis: the range, and chance."""
        lines = []
        for result in self:
            name = f"{result.model}  {result.metric}" + (
                f"  against {result.against}" if result.against else ""
            )
            low, high = (
                edge(result.values) if np.isfinite(result.values).any() else np.nan
                for edge in (np.nanmin, np.nanmax)
            )
            text = f"{low:.3g}" if result.values.ndim == 0 else f"{low:.3g} to {high:.3g}"
            chance = "" if result.chance is None else f", chance {np.mean(result.chance):.3g}"
            lines.append(f"{name}: {text}{chance}")
        return "\n".join(lines)


def merged(parts: Iterable[Iterable[Result]]) -> Results:
    """Results of several analyses in one."""
    return Results(result for part in parts for result in part)


def interval_arrays(intervals: Sequence[Any]) -> tuple[NDArray, NDArray, NDArray]:
    """Estimates, lower and upper ends of a sequence of intervals.

    Examples
    --------
    >>> interval_arrays([(1.0, 0.5, 1.5), (2.0, 1.0, 3.0)])[1].tolist()
    [0.5, 1.0]
    """
    table: ArrayLike = [tuple(interval)[:3] for interval in intervals]
    estimate, low, high = np.asarray(table, float).reshape(-1, 3).T
    return estimate, low, high
