"""Results about units: what an analysis is asked for, and what it found, unit by unit."""

from dataclasses import dataclass
from typing import NamedTuple

from numpy.typing import NDArray

from neurolib.metrics.dimensionality import IntrinsicDimension
from neurolib.metrics.dissimilarity import RDM
from neurolib.metrics.selectivity import Selectivity, SelectivityConfig
from neurolib.metrics.tuning import TuningCurve
from neurolib.metrics.unique_variance import Semantics, UniqueVariance, UniqueVarianceConfig


@dataclass(frozen=True)
class UnitConfig:
    """How to analyse units.

    Parameters
    ----------
    level : float
        Rate of false findings over units, and 1 - coverage of intervals.
    n_permutations : int
        Of selectivity and unique variance.
    tail : {"count", "beta"}
        See :class:`neurolib.metrics.selectivity.SelectivityConfig`.
    n_bins : int
        Bins of a continuous variable, for selectivity, tuning and screening.
    circular : tuple of str
        Variables that are angles in radians.
    n_folds : int
        For unique variance.
    least, second : float
        See :func:`neurolib.metrics.unique_variance.semantics`.
    screened : float
        Share of units whose information is estimated, those with the largest screening value.
    max_samples : int
        Samples for information.
    n_shifts : int
        Shifts behind the information of each unit that is returned.
    neighbours : int
        Of the estimator of information.
    geometry_samples : int
        Samples for dimensions and silhouettes.
    block : int
        Units at a time.
    workers : int
        Threads that take blocks of units; with several, let the linear algebra library use one.
    seed : int
    """

    level: float = 0.05
    n_permutations: int = 200
    tail: str = "beta"
    n_bins: int = 10
    circular: tuple[str, ...] = ()
    n_folds: int = 5
    least: float = 0.05
    second: float = 1 / 3
    screened: float = 0.1
    max_samples: int = 1000
    n_shifts: int = 200
    neighbours: int = 3
    geometry_samples: int = 2000
    block: int = 1024
    workers: int = 1
    seed: int = 0

    def __post_init__(self):
        if not (0 < self.level < 1 and 0 < self.screened <= 1):
            raise ValueError(f"level={self.level} and screened={self.screened} must be shares")
        if (
            min(self.n_bins, self.max_samples, self.geometry_samples) < 4
            or min(self.block, self.n_shifts, self.workers) < 1
        ):
            raise ValueError(
                f"n_bins={self.n_bins}, max_samples={self.max_samples} and geometry_samples={self.geometry_samples} "
                f"must be 4 or more, block={self.block}, n_shifts={self.n_shifts} and workers={self.workers} positive"
            )

    @property
    def selectivity(self) -> SelectivityConfig:
        """Settings of the test of conditions."""
        return SelectivityConfig(self.n_permutations, self.tail, self.seed)

    @property
    def unique(self) -> UniqueVarianceConfig:
        """Settings of the test of variables."""
        return UniqueVarianceConfig(self.n_folds, self.n_permutations, self.tail, seed=self.seed)


class UnitSelectivity(NamedTuple):
    """What :meth:`NeuronActivationAnalyzer.compute_neuron_selectivity` found.

    Parameters
    ----------
    selectivity : Selectivity
        ``p_value`` adjusted over all units (Benjamini and Hochberg).
    tuning : TuningCurve
        Bin ``i`` is condition ``i`` of ``conditions``, if the variable is one of labels.
    conditions : array
        Labels, or lower edges of bins of equal count.
    """

    selectivity: Selectivity
    tuning: TuningCurve
    conditions: NDArray


class UnitInformation(NamedTuple):
    """Information of screened units about a behaviour.

    Parameters
    ----------
    names : tuple of str
        Dimensions of the behaviour, and ``"joint"`` for a vector (its first two principal components).
    screening : array, shape (n_units,)
        Of all units.
    units : array of int, shape (n_screened,)
        Those whose information was estimated.
    bits : array, shape (n_screened, n_names)
    top : array of int, shape (n_top,)
        The most informative of them, about the joint behaviour if there is one.
    excess : array, shape (n_top,)
        Their bits above the mean of shifted behaviour.
    p_value : array, shape (n_top,)
        Of each unit by itself, as if it had not been chosen; never below ``1 / (n_shifts + 1)``.
    p_adjusted : array, shape (n_top,)
        For the choice among all units (Benjamini and Hochberg, those not returned counting as 1). Of many
        units, only as many shifts as units let a few of them be significant.
    """

    names: tuple[str, ...]
    screening: NDArray
    units: NDArray
    bits: NDArray
    top: NDArray
    excess: NDArray
    p_value: NDArray
    p_adjusted: NDArray


class PredictiveUnits(NamedTuple):
    """What :meth:`NeuronActivationAnalyzer.find_behavior_predictive_neurons` found.

    Parameters
    ----------
    units : array of int
        The most informative first.
    information : UnitInformation
    """

    units: NDArray
    information: UnitInformation


class PopulationGeometry(NamedTuple):
    """What :meth:`NeuronActivationAnalyzer.analyze_population_geometry` found.

    Parameters
    ----------
    participation_ratio : float
        Debiased, between trials if they are known.
    naive_participation_ratio : float
    effective_rank : float
        Of singular values (Roy and Vetterli).
    eigenvalue_rank : float
        The same of eigenvalues.
    n90 : int
        Principal components with 90 % of the variance.
    intrinsic : IntrinsicDimension
    n_samples, n_units : int
        All of these depend on them.
    silhouette_score : dict of str to float
        By metric; empty without conditions.
    distances : RDM, optional
        Crossnobis distances of conditions, from means of trials.
    """

    participation_ratio: float
    naive_participation_ratio: float
    effective_rank: float
    eigenvalue_rank: float
    n90: int
    intrinsic: IntrinsicDimension
    n_samples: int
    n_units: int
    silhouette_score: dict[str, float]
    distances: RDM | None


class MonosemanticUnits(NamedTuple):
    """What :meth:`NeuronActivationAnalyzer.find_monosemantic_neurons` found.

    Parameters
    ----------
    units : array of int
        Those of one variable.
    semantics : Semantics
        Of all units.
    variance : UniqueVariance
    """

    units: NDArray
    semantics: Semantics
    variance: UniqueVariance
