"""Units: activations ``(samples, units)`` of a model or a recording in; what single units and all of them code out.

All units are looked at, in blocks, with designs and nulls that are prepared once; rates of false findings
are held over all of them. How much of the analysis is reliable is known for units made by hand
(:mod:`neurolib.interpret.known_answers_units`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurolib.interpret.activations import call
from neurolib.interpret.unit_results import (
    MonosemanticUnits,
    PopulationGeometry,
    PredictiveUnits,
    UnitConfig,
    UnitInformation,
    UnitSelectivity,
)
from neurolib.interpret.unit_samples import UnitSamples, collect
from neurolib.metrics.calibration import value_bins
from neurolib.metrics.dimensionality import (
    components_for,
    effective_rank,
    intrinsic_dimension,
    participation_ratio,
)
from neurolib.metrics.dissimilarity import RDM, dissimilarity, silhouette, stratified_folds
from neurolib.metrics.information import information, information_null, is_discrete, screen, subsample
from neurolib.metrics.selectivity import Selectivity, SelectivityTest
from neurolib.metrics.shares import sums_by
from neurolib.metrics.statistics import benjamini_hochberg
from neurolib.metrics.tuning import TuningConfig, tuning_curve
from neurolib.metrics.unique_variance import (
    UniqueVariance,
    UniqueVarianceTest,
    design,
    semantics,
)
from neurolib.models.sites import Site, sites_of

Data = UnitSamples | ArrayLike | Iterable[Mapping[str, Any]]


@dataclass
class NeuronActivationAnalyzer:
    """What single units of a model, or of a recording, code.

    Every method takes samples: a table ``(samples, units)`` with variables and groups given beside it, a
    :class:`~neurolib.interpret.unit_samples.UnitSamples` that has them, or, with a model, batches that
    name them. Batches are run once, whatever is asked of them later.

    Parameters
    ----------
    model : nn.Module, optional
    device : str
        Where the model runs; units are analysed on the processor.
    site : str or Site, optional
        Where units are; may be left out for a model with one site.
    run : callable
        ``run(model, batch)``; by default the model is given the whole batch.
    config : UnitConfig, optional

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> speed, place = rng.normal(size=(2, 500))
    >>> units = np.column_stack([speed, place, speed + place, rng.normal(size=500)]) + 0.1 * rng.normal(size=(500, 4))
    >>> analyzer = NeuronActivationAnalyzer()
    >>> found = analyzer.find_monosemantic_neurons(units, {"speed": speed, "place": place})
    >>> found.units, found.semantics.kind
    (array([0, 1]), array(['mono', 'mono', 'poly', 'none'], dtype='<U5'))
    """

    model: nn.Module | None = None
    device: str = "cpu"
    site: str | Site | None = None
    run: Callable[[nn.Module, Any], Any] = call
    config: UnitConfig = field(default_factory=UnitConfig)
    _collected: dict = field(default_factory=dict, repr=False)

    def samples(
        self, data: Data, variables: Mapping[str, ArrayLike] | None = None, groups: ArrayLike | None = None
    ) -> UnitSamples:
        """Activations with their variables, from a table or from batches that are run if they have not been yet.

        Raises
        ------
        ValueError
            If batches come without a model, or the model has several sites and none is chosen.
        """
        if not isinstance(data, UnitSamples):
            table = hasattr(data, "shape") or (
                isinstance(data, Sequence) and not isinstance(data[0], Mapping)
            )
            data = UnitSamples(data) if table else self._run(data)
        if variables is not None:
            data = replace(data, variables={**data.variables, **variables})
        return data if groups is None else replace(data, groups=groups)

    def compute_neuron_selectivity(
        self,
        data: Data,
        variable: str | ArrayLike = "stimulus",
        neuron_id: int | None = None,
        groups: ArrayLike | None = None,
    ) -> UnitSelectivity:
        """How selective units are for a condition, or for bins of a number, and their tuning curves.

        Parameters
        ----------
        data : UnitSamples, table or batches
        variable : str or array_like, shape (n_samples,)
        neuron_id : int, optional
            Only this unit; all by default.
        groups : array_like, shape (n_samples,), optional

        Returns
        -------
        UnitSelectivity
            ``selectivity, tuning = result[:2]``.

        Raises
        ------
        ValueError
            If the variable is a vector: ask about its dimensions.
        """
        samples, values = self._with(data, variable, groups)
        if values.ndim != 1:
            raise ValueError(f"variable {values.shape} is a vector; choose one of its dimensions")
        if neuron_id is not None:
            samples = replace(samples, activations=samples.activations[:, [neuron_id]])
        name = variable if isinstance(variable, str) else ""
        labels, edges, conditions = self._conditions(values, name in self.config.circular)
        test = SelectivityTest(labels, samples.groups, self.config.selectivity)
        config = TuningConfig(
            self.config.n_bins, name in self.config.circular, 1, 1, level=1 - self.config.level
        )
        numbers = labels if edges is None else values
        edges = np.arange(len(conditions) + 1) - 0.5 if edges is None else edges
        config = replace(config, circular=config.circular and len(edges) == config.n_bins + 1)
        both = self._over_units(
            samples,
            lambda block: (test.measure(block), tuning_curve(block, numbers, samples.groups, config, edges)),
        )
        parts, curves = zip(*both, strict=True)
        found = Selectivity(*(np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)))
        found = found._replace(p_value=_adjusted(found.p_value))
        joined = (np.concatenate([getattr(c, k) for c in curves], axis=1) for k in ("mean", "low", "high"))
        curve = curves[0]._replace(**dict(zip(("mean", "low", "high"), joined, strict=True)))
        return UnitSelectivity(found, curve, conditions)

    def find_behavior_predictive_neurons(
        self,
        data: Data,
        behavior: str | ArrayLike = "behavior",
        top_k: int = 20,
        groups: ArrayLike | None = None,
    ) -> PredictiveUnits:
        """Units with the most information about a behaviour, in all its dimensions.

        All units are screened by ranks; the information of the best is estimated from neighbours, and that of
        the ``top_k`` among them again with the behaviour shifted.

        Parameters
        ----------
        data : UnitSamples, table or batches
        behavior : str or array_like, shape (n_samples,) or (n_samples, n_dims)
        top_k : int
            0 leaves the shifts out.
        groups : array_like, shape (n_samples,), optional

        Returns
        -------
        PredictiveUnits
        """
        samples, values = self._with(data, behavior, groups)
        names, columns = _columns(values)
        ranked = self._over_units(samples, self._screening(columns))
        return self._informative(samples, names, columns, ranked, top_k)

    def analyze_population_geometry(
        self, data: Data, conditions: str | ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> PopulationGeometry:
        """Dimensions of the population, and how it separates conditions.

        Parameters
        ----------
        data : UnitSamples, table or batches
        conditions : str or array_like, shape (n_samples,), optional
            Constant within trials, four trials or more of each.
        groups : array_like, shape (n_samples,), optional

        Returns
        -------
        PopulationGeometry
            Of at most ``geometry_samples`` samples. More units than samples are first turned into as many
            coordinates, which keeps all distances.
        """
        samples = self.samples(data, groups=groups)
        rows = subsample(len(samples), self.config.geometry_samples, self.config.seed)
        table = _coordinates(samples, rows, self.config.block)
        among = None if samples.groups is None else samples.groups[rows]
        scores, distances = {}, None
        if conditions is not None:
            _, labels = self._with(samples, conditions, None)
            scores = {m: silhouette(table, labels[rows], m, len(rows)) for m in ("euclidean", "cosine")}
            distances = self._distances(samples, labels)
        return PopulationGeometry(
            participation_ratio(table, groups=among),
            participation_ratio(table, debiased=False),
            effective_rank(table),
            effective_rank(table, "eigenvalues"),
            components_for(table),
            intrinsic_dimension(table),
            len(rows),
            samples.n_units,
            scores,
            distances,
        )

    def find_monosemantic_neurons(
        self,
        data: Data,
        variables: Mapping[str, ArrayLike] | Sequence[str],
        threshold: float | None = None,
        groups: ArrayLike | None = None,
        kinds: Mapping[str, str] | None = None,
    ) -> MonosemanticUnits:
        """Units that code one of several variables, by the variance that it alone explains.

        Parameters
        ----------
        data : UnitSamples, table or batches
        variables : mapping of str to array, or names
            Two or more.
        threshold : float, optional
            Least unique share instead of ``config.least``.
        groups : array_like, shape (n_samples,), optional
        kinds : mapping of str to str, optional
            Of variables, for :func:`neurolib.metrics.unique_variance.design`; those in ``config.circular`` are
            circular.

        Returns
        -------
        MonosemanticUnits
        """
        given = variables if isinstance(variables, Mapping) else None
        samples = self.samples(data, given, groups)
        test = self._variance_test(samples, list(variables), kinds)
        return self._meaning(self._over_units(samples, test.measure), threshold)

    def survey(
        self,
        data: Data,
        condition: str,
        variables: Sequence[str],
        behavior: str,
        top_k: int = 20,
        kinds: Mapping[str, str] | None = None,
    ) -> tuple[Selectivity, MonosemanticUnits, PredictiveUnits]:
        """Selectivity, meaning and information of all units from one reading of their activations.

        Parameters
        ----------
        data : UnitSamples, or batches
        condition, behavior : str
            Labels for selectivity, and what information is about.
        variables : sequence of str
            For unique variance.
        top_k : int
        kinds : mapping of str to str, optional

        Returns
        -------
        tuple
            As the three methods find it, without tuning curves.
        """
        samples = self.samples(data)
        labels, _, _ = self._conditions(samples.variable(condition), condition in self.config.circular)
        selective = SelectivityTest(labels, samples.groups, self.config.selectivity)
        variance = self._variance_test(samples, list(variables), kinds)
        names, columns = _columns(samples.variable(behavior))
        ranked = self._screening(columns)
        found = self._over_units(
            samples, lambda block: (selective.measure(block), variance.measure(block), ranked(block))
        )
        parts, unique, ranks = zip(*found, strict=True)
        found = Selectivity(*(np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)))
        found = found._replace(p_value=_adjusted(found.p_value))
        top = self._informative(samples, names, columns, ranks, top_k)
        return found, self._meaning(unique, None), top

    def _mapped(self, function: Callable[[slice], Any], blocks: list[slice]) -> list[Any]:
        if self.config.workers == 1:
            return [function(block) for block in blocks]
        with ThreadPoolExecutor(self.config.workers) as pool:
            return list(pool.map(function, blocks))

    def _over_units(self, samples: UnitSamples, function: Callable[[NDArray], Any]) -> list[Any]:
        """What a function of activations gives for each block of units."""
        return self._mapped(lambda units: function(samples.read(units)), samples.blocks(self.config.block))

    def _screening(self, columns: list[NDArray]) -> Callable[[NDArray], tuple[NDArray, NDArray]]:
        """Screening value of units, and the samples of them that their information will need."""
        cfg, flat = self.config, [column for column in columns if column.ndim == 1]
        rows = subsample(len(flat[0]), 2 * cfg.max_samples, cfg.seed)
        fewer = subsample(len(flat[0]), cfg.max_samples, cfg.seed)

        def ranked(block: NDArray) -> tuple[NDArray, NDArray]:
            each = [screen(block[rows], column[rows], cfg.n_bins) for column in flat]
            return np.max(each, axis=0), block[fewer]

        return ranked

    def _run(self, batches: Iterable[Mapping[str, Any]]) -> UnitSamples:
        if self.model is None:
            raise ValueError("batches need a model to run: NeuronActivationAnalyzer(model, site=...)")
        site = self.site
        if site is None:
            known = list(sites_of(self.model))
            if len(known) != 1:
                raise ValueError(f"which site? {type(self.model).__name__} has {', '.join(known) or 'none'}")
            site = known[0]
        key = (id(batches), site)
        if key not in self._collected:
            model = self.model.to(self.device)
            found = collect(model, batches, site, lambda m, batch: self.run(m, _moved(batch, self.device)))
            self._collected[key] = batches, found  # held, so that its id stays its own
        return self._collected[key][1]

    def _with(
        self, data: Data, variable: str | ArrayLike, groups: ArrayLike | None
    ) -> tuple[UnitSamples, NDArray]:
        samples = self.samples(data, groups=groups)
        values = samples.variable(variable) if isinstance(variable, str) else np.asarray(variable)
        if len(values) != len(samples):
            raise ValueError(f"a variable of {len(values)} for {len(samples)} samples of activations")
        return samples, values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values

    def _conditions(self, values: NDArray, circular: bool) -> tuple[NDArray, NDArray | None, NDArray]:
        """Condition number of each sample, edges if they are bins, and names."""
        if is_discrete(values):
            names, labels = np.unique(values, return_inverse=True)
            return labels, None, names
        if circular:
            edges = np.linspace(0, 2 * np.pi, self.config.n_bins + 1)
            labels = np.clip((np.mod(values, 2 * np.pi) / edges[1]).astype(int), 0, self.config.n_bins - 1)
        else:
            labels = value_bins(values, self.config.n_bins, equal_mass=True)
            used, labels = np.unique(labels, return_inverse=True)
            low = [values[labels == number].min() for number in range(len(used))]
            edges = np.array([*low, values.max()])
        return labels, edges, edges[:-1]

    def _variance_test(
        self, samples: UnitSamples, names: list[str], kinds: Mapping[str, str] | None
    ) -> UniqueVarianceTest:
        kinds = dict.fromkeys(self.config.circular, "circular") | dict(kinds or {})
        designs = {name: design(samples.variable(name), kinds.get(name)) for name in names}
        return UniqueVarianceTest(designs, samples.groups, self.config.unique)

    def _meaning(self, parts: list[UniqueVariance], threshold: float | None) -> MonosemanticUnits:
        found = UniqueVariance(
            parts[0].names, *(np.concatenate([part[i] for part in parts]) for i in range(1, 4))
        )
        least = self.config.least if threshold is None else threshold
        kinds = semantics(found, least, self.config.second, self.config.level)
        return MonosemanticUnits(np.flatnonzero(kinds.kind == "mono"), kinds, found)

    def _informative(
        self,
        samples: UnitSamples,
        names: tuple[str, ...],
        columns: list[NDArray],
        ranked: Sequence[tuple[NDArray, NDArray]],
        top_k: int,
    ) -> PredictiveUnits:
        cfg, screening = self.config, np.concatenate([values for values, _ in ranked])
        n_screened = max(1, min(samples.n_units, max(top_k, round(cfg.screened * samples.n_units))))
        units = np.sort(np.argsort(-screening, kind="stable")[:n_screened])
        rows = subsample(len(samples), cfg.max_samples, cfg.seed)
        table = np.hstack([kept for _, kept in ranked])[:, units]
        some = [column[rows] for column in columns]

        def informed(places: slice) -> list[list[float]]:
            return [[information(x, column, cfg.neighbours) for column in some] for x in table[:, places].T]

        parts = [slice(start, start + 64) for start in range(0, n_screened, 64)]
        bits = np.array(sum(self._mapped(informed, parts), []))
        order = np.argsort(-bits[:, -1], kind="stable")[:top_k]
        nulls = [
            information_null(
                np.asarray(samples.activations[:, unit], float),
                columns[-1],
                samples.groups,
                cfg.n_shifts,
                cfg.max_samples,
                cfg.neighbours,
                cfg.seed,
            )
            for unit in units[order]
        ]
        p, excess = np.array([null.p_value for null in nulls]), np.array([null.excess for null in nulls])
        adjusted = benjamini_hochberg(p, samples.n_units) if nulls else p
        return PredictiveUnits(
            units[order], UnitInformation(names, screening, units, bits, units[order], excess, p, adjusted)
        )

    def _distances(self, samples: UnitSamples, labels: NDArray) -> RDM:
        """Crossnobis of trial means; of more units than trials, in the span of the trials."""
        groups = np.arange(len(samples)) if samples.groups is None else samples.groups
        _, first, number, size = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
        if (labels != labels[first][number]).any():
            raise ValueError("conditions change within trials; distances need one condition per trial")
        sums = self._over_units(samples, lambda block: sums_by(block.astype(float), number))
        means = np.hstack(sums) / size[:, None]
        if means.shape[1] > len(means):
            means = _principal(means @ means.T)
        per_trial = labels[first]
        smallest = np.unique(per_trial, return_counts=True)[1].min()
        folds = stratified_folds(per_trial, min(5, smallest), self.config.seed)
        rdm = dissimilarity(means, per_trial, folds)
        return replace(rdm, values=rdm.values * rdm.n_units / samples.n_units, n_units=samples.n_units)


def _columns(values: NDArray) -> tuple[tuple[str, ...], list[NDArray]]:
    """Dimensions of a behaviour, and for a vector its first two principal components together."""
    if values.ndim == 1 or values.shape[1] == 1:
        return ("behaviour",), [values.ravel()]
    values = values.astype(float)
    centred = values - values.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    names = (*(str(number) for number in range(values.shape[1])), "joint")
    return names, [*values.T, centred @ axes.T]


def _coordinates(samples: UnitSamples, rows: NDArray, width: int) -> NDArray:
    """Activations of some samples; of more units than samples, coordinates with the same products."""
    if samples.n_units <= len(rows):
        return np.hstack([samples.read(units)[rows].astype(float) for units in samples.blocks(width)])
    gram = np.zeros((len(rows), len(rows)))
    for units in samples.blocks(width):
        part = samples.read(units)[rows]
        part = part - part.mean(axis=0, dtype=float).astype(part.dtype)
        gram += part @ part.T
    return _principal(gram)


def _principal(gram: NDArray) -> NDArray:
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-10 * values[-1]
    return vectors[:, kept] * np.sqrt(values[kept])


def _adjusted(p_values: NDArray) -> NDArray:
    return p_values if np.isnan(p_values).any() else benjamini_hochberg(p_values)


def _moved(batch: Mapping[str, Any], device: str) -> dict[str, Any]:
    return {name: v.to(device) if isinstance(v, Tensor) else v for name, v in batch.items()}
