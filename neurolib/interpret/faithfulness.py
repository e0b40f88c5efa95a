r"""Whether a circuit does what the model does: runs with components kept or exchanged in, shares with intervals out.

With the score :math:`m` of a circuit ``C``, of all components and of none,

.. math::
    \text{sufficiency} = \frac{m_C - m_\emptyset}{m_\text{all} - m_\emptyset}, \qquad
    \text{necessity} = \frac{m_\text{all} - m_{\neg C}}{m_\text{all} - m_\emptyset}

None is clamped. Find a circuit on some trials and measure it on others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurolib.interpret.graph import Graph, strongest
from neurolib.interpret.patching import Runs, checked
from neurolib.interpret.recovery import Recovery, recovery
from neurolib.metrics.intervals import Interval

SUFFICIENT, NECESSARY, PERCENTILE = 0.8, 0.5, 95.0  # what a circuit must reach to count


@dataclass(frozen=True)
class Faithfulness:
    """How a circuit did.

    Parameters
    ----------
    size : int
        Components kept.
    of : int
        Components there are.
    sufficiency, necessity : Interval
        Over trials.
    percentile : float
        Of the sufficiency among that of random circuits; ties count half.
    random : array
        Sufficiency of the random circuits.
    """

    size: int
    of: int
    sufficiency: Interval
    necessity: Interval
    percentile: float
    random: NDArray

    @property
    def passes(self) -> bool:
        """Sufficiency 0.8, necessity 0.5 and percentile 95 at least; that it replicates is for a second seed to say."""
        return bool(
            self.sufficiency.estimate >= SUFFICIENT
            and self.necessity.estimate >= NECESSARY
            and self.percentile >= PERCENTILE
        )


def faithfulness(
    runs: Runs,
    keep: Tensor,
    controls: Tensor | int = 200,
    seed: int = 0,
    n_resamples: int = 2000,
    spared: Tensor | None = None,
) -> Faithfulness:
    """Sufficiency, necessity and rank among random circuits.

    Parameters
    ----------
    runs : Runs
        On trials that the circuit was not chosen on.
    keep : Tensor of bool, shape (component,)
    controls : int, or Tensor of bool, shape (control, component)
        Random circuits of the same size, or those that are to stand beside it, see :func:`random_circuits`.
    seed, n_resamples : int
    spared : Tensor of bool, shape (component,), optional
        Components that are kept when the circuit is exchanged, such as ``graph.bottlenecks``: with one of those
        in the circuit necessity is 1 whatever else is.

    Raises
    ------
    ValueError
        If the runs with all and with no component differ by less than three standard errors.
    """
    (keep,) = checked(keep, len(runs.names))
    if isinstance(controls, int):
        controls = random_circuits(len(keep), int(keep.sum()), controls, seed)
    whole, none = ends(runs)
    shares = recovery(
        runs.measure(torch.cat([torch.stack([keep, _rest(keep, spared)]), checked(controls, len(keep))])),
        whole,
        none,
        n_resamples,
        seed,
    )
    sufficiency, left = shares[0], shares[1]
    necessity = Interval(1 - left.estimate, 1 - left.high, 1 - left.low, left.level, left.n)
    random = shares.estimate[2:]
    rank = ((random < sufficiency.estimate).mean() + (random <= sufficiency.estimate).mean()) / 2
    return Faithfulness(int(keep.sum()), len(keep), sufficiency, necessity, 100 * float(rank), random)


def _rest(keep: Tensor, spared: Tensor | None) -> Tensor:
    return ~keep if spared is None else ~keep | spared


def ends(runs: Runs) -> tuple[NDArray, NDArray]:
    """Scores ``(trial,)`` with all components and with none."""
    n = len(runs.names)
    both = runs.measure(torch.stack([torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)]))
    return both[0].numpy(), both[1].numpy()


def random_circuits(n: int, size: int, count: int, seed: int = 0, graph: Graph | None = None) -> Tensor:
    """Random circuits ``(count, n)`` of ``size`` components; with a graph, of whole ways through it, of that size at most.

    Examples
    --------
    >>> random_circuits(5, 2, 3).sum(1).tolist()
    [2, 2, 2]
    """
    draw = np.random.default_rng(seed)
    if graph is not None:
        return torch.stack([graph.random_paths(size, draw) for _ in range(count)])
    ranks = draw.random((count, n)).argsort(axis=1)
    return torch.from_numpy(ranks < size)


@dataclass(frozen=True)
class SizeCurve:
    """Faithfulness of circuits of growing size.

    Parameters
    ----------
    sizes : array of int
    of : int
        Components there are.
    sufficiency, necessity : Recovery
        One share per size.
    circuits : Tensor of bool, shape (size, component)
    """

    sizes: NDArray
    of: int
    sufficiency: Recovery
    necessity: Recovery
    circuits: Tensor

    @property
    def area(self) -> float:
        """Mean sufficiency over all shares of components, with none at 0 and all at 1; not clamped."""
        return curve_area(self.sizes, self.sufficiency.estimate, self.of)

    def smallest(self, sufficiency: float = SUFFICIENT, necessity: float = NECESSARY) -> int | None:
        """Least size that reaches both, or None."""
        fits = (self.sufficiency.estimate >= sufficiency) & (self.necessity.estimate >= necessity)
        return int(self.sizes[fits].min()) if fits.any() else None


def size_curve(
    runs: Runs,
    scores: Tensor,
    sizes: Sequence[int],
    choose: Callable[[Tensor, int], Tensor] = strongest,
    spared: Tensor | None = None,
    **options: Any,
) -> SizeCurve:
    """Sufficiency and necessity of the circuits of the highest scores, by size.

    Parameters
    ----------
    runs : Runs
    scores : Tensor, shape (component,)
    sizes : sequence of int
    choose : callable
        ``choose(scores, size)`` gives a circuit; ``graph.grown`` is another.
    spared : Tensor of bool, shape (component,), optional
        As in :func:`faithfulness`.
    **options
        Of :func:`~neurolib.interpret.patching.recovery`.
    """
    circuits = torch.stack([choose(scores, int(size)) for size in sizes])
    whole, none = ends(runs)
    enough = recovery(runs.measure(circuits), whole, none, **options)
    left = recovery(runs.measure(_rest(circuits, spared)), whole, none, **options)
    lost = Recovery(1 - left.estimate, 1 - left.high, 1 - left.low, 1 - left.per_trial, left.level)
    return SizeCurve(np.asarray(sizes), len(runs.names), enough, lost, circuits)


def curve_area(sizes: ArrayLike, values: ArrayLike, n: int) -> float:
    """Area under values at ``sizes`` of ``n`` components, over the share from 0 (value 0) to 1 (value 1).

    Examples
    --------
    >>> curve_area([2], [1.0], 4)  # up to 1 at half of the components, then level
    0.75
    """
    known = {0: 0.0} | {int(s): float(v) for s, v in zip(sizes, values, strict=True)} | {n: 1.0}
    at = sorted(known)
    return float(np.trapezoid([known[size] for size in at], np.array(at) / n))


class FunctionRuns:
    """Runs of anything: a function from circuits ``(circuit, component)`` to scores ``(circuit, trial)``.

    Examples
    --------
    >>> runs = FunctionRuns(("a", "b"), lambda keep: keep.float() @ torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> runs.measure(torch.tensor([[True, False]])).tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, names: Sequence[str], function: Callable[[Tensor], Tensor]):
        self.names, self.function = tuple(names), function

    @torch.no_grad()
    def measure(self, keep: Tensor) -> Tensor:
        """Scores of circuits."""
        return self.function(checked(keep, len(self.names)))
