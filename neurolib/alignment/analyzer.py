"""One analyzer: models, stimuli and brains in; every measure of every model on the same stimuli out.

One forward pass gives the activations that all measures of similarity and geometry use, one backward pass the
gradients. What is measured by chance, and how sure it is, stands beside each number; measures of unlike units are
never averaged into one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from neurolib.alignment.captures import Capture, CaptureConfig, NeuralData, capture, shared_stimuli
from neurolib.alignment.fisher import FisherConfig, unit_fisher
from neurolib.alignment.predictivity import PredictivityConfig
from neurolib.alignment.results import Result, Results, interval_arrays
from neurolib.interpret.activations import Run, call
from neurolib.metrics.block_gap import block_gap
from neurolib.metrics.dimensionality import effective_rank, intrinsic_dimension, participation_ratio
from neurolib.metrics.dissimilarity import dissimilarity
from neurolib.metrics.eigenspectrum import eigenspectrum, spectral_exponent
from neurolib.metrics.fibre_test import fibre_test
from neurolib.metrics.kernel_alignment import cka_interval, cka_matrix
from neurolib.metrics.rdm_comparison import noise_ceiling
from neurolib.metrics.rdm_inference import LEAST, bootstrap_rdms, permutation_null
from neurolib.metrics.shape_distance import shape_distances
from neurolib.metrics.sparsity import dead_units, sparsity
from neurolib.metrics.trajectory import path
from neurolib.models.sites import Site

RANKS = (5, 50)  # of the spectral exponent: one range for all layers, or they cannot be compared
POINTS = 1000  # stimuli that a test of local dimension needs


@dataclass(frozen=True)
class NeuralRDMs:
    """Subjects of whom dissimilarities are known, and no responses.

    Parameters
    ----------
    name : str
    values : array, shape (n_subjects, n_pairs)
        Upper triangles, row by row.
    stimuli : tuple of str
    """

    name: str
    values: NDArray
    stimuli: tuple[str, ...]

    def __post_init__(self):
        values = np.atleast_2d(np.asarray(self.values, float))
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "stimuli", tuple(str(name) for name in self.stimuli))
        n = len(self.stimuli)
        if values.shape[1] != n * (n - 1) // 2:
            raise ValueError(f"{self.name}: {values.shape[1]} dissimilarities for the pairs of {n} stimuli")

    def select(self, stimuli: Sequence[str]) -> "NeuralRDMs":
        """Those of some stimuli, in that order."""
        missing = [name for name in stimuli if name not in self.stimuli]
        if missing:
            raise ValueError(
                f"{self.name} lacks {len(missing)} of {len(stimuli)} stimuli, first {missing[0]}"
            )
        rows = np.array([self.stimuli.index(name) for name in stimuli])
        square = np.zeros((len(self.values), len(self.stimuli), len(self.stimuli)))
        upper = np.triu_indices(len(self.stimuli), 1)
        square[:, *upper] = self.values
        square += square.transpose(0, 2, 1)
        return NeuralRDMs(
            self.name, square[:, rows][:, :, rows][:, *np.triu_indices(len(rows), 1)], tuple(stimuli)
        )


Neural = NeuralData | NeuralRDMs


@dataclass(frozen=True)
class AnalyzerConfig:
    """What is measured, and how surely.

    Parameters
    ----------
    metrics : tuple of str, optional
        Names in :data:`METRICS`; by default all that the material allows.
    capture : CaptureConfig
    predictivity : PredictivityConfig
    fisher : FisherConfig, optional
        What the models' outputs are; without it there is no ``unit_fisher``.
    comparator : str
        Of dissimilarities.
    n_resamples, n_permutations : int
        Behind intervals and chance.
    seed : int
    """

    metrics: tuple[str, ...] | None = None
    capture: CaptureConfig = field(default_factory=CaptureConfig)
    predictivity: PredictivityConfig = field(default_factory=PredictivityConfig)
    fisher: FisherConfig | None = None
    comparator: str = "rho_a"
    n_resamples: int = 500
    n_permutations: int = 500
    seed: int = 0

    def __post_init__(self):
        unknown = set(self.metrics or ()) - set(METRICS)
        if unknown:
            raise ValueError(f"no metric {sorted(unknown)[0]!r}; there are {', '.join(METRICS)}")
        if self.n_resamples < 1 or self.n_permutations < 1:
            raise ValueError(
                f"n_resamples={self.n_resamples}, n_permutations={self.n_permutations} must be positive"
            )


@dataclass(frozen=True)
class Study:
    """Everything that a metric may look at: rows of all captures and brains are the same stimuli."""

    cfg: AnalyzerConfig
    captures: tuple[Capture, ...]
    brains: tuple[Neural, ...] = ()
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    stimuli: Any = None
    run: Run = call
    baselines: Mapping[str, Capture] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Stimuli."""
        return len(self.captures[0].stimuli)

    def result(
        self, source: Capture, metric: str, values: Any, dims: tuple[str, ...] = ("layer",), **more
    ) -> Result:
        """A result of one model, with its layers and provenance filled in, and constant layers as NaN with a reason."""
        coords = {"layer": tuple(source.layers)} | more.pop("coords", {})
        values, warnings = np.array(values, float), list(more.pop("warnings", ()))
        for name in source.constant():
            if "layer" in dims:
                at = [slice(None)] * values.ndim
                at[dims.index("layer")] = list(source.layers).index(name)
                values[tuple(at)] = np.nan
            warnings.append(f"layer {name} is the same for every stimulus")
        used = {axis: coords[axis] for axis in dims}
        provenance = dict(source.provenance) | {"analysis_seed": self.cfg.seed}
        return Result(
            source.model,
            metric,
            values,
            dims,
            used,
            n=self.n,
            warnings=tuple(warnings),
            provenance=provenance,
            **more,
        )


class UnifiedModelAnalyzer:
    """Compares models with each other and with brains.

    Parameters
    ----------
    cfg : AnalyzerConfig, optional

    Examples
    --------
    >>> import torch
    >>> nets = {name: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)) for name in ("a", "b")}
    >>> analyzer = UnifiedModelAnalyzer(AnalyzerConfig(metrics=("cka", "participation_ratio")))
    >>> results = analyzer.analyze_models(nets, torch.randn(30, 6))
    >>> results.metrics, results["a", "cka", "b"].values.shape
    (('cka', 'participation_ratio'), (3, 3))
    """

    def __init__(self, cfg: AnalyzerConfig | None = None):
        self.cfg = cfg or AnalyzerConfig()

    def analyze_models(
        self,
        models: Mapping[str, nn.Module | Capture] | Sequence[nn.Module | Capture],
        stimuli: Any = None,
        neural: Neural | Sequence[Neural] | None = None,
        *,
        names: Iterable[str] | None = None,
        layers: Iterable[str | Site] | None = None,
        baselines: Mapping[str, nn.Module | Capture] | None = None,
        run: Run = call,
    ) -> Results:
        """Measure everything.

        Parameters
        ----------
        models : dict or sequence of nn.Module or Capture
            A :class:`~neurolib.alignment.captures.Capture` is taken as it is; modules are run on the stimuli.
        stimuli : Tensor, array, or mapping of them, ``(n_stimuli, ...)``
        neural : NeuralData, NeuralRDMs or several of them, optional
        names : iterable of str, optional
            Of the stimuli, as the brains call them.
        layers : iterable of str or Site, optional
            The same for all modules; all of their sites by default.
        baselines : dict of nn.Module or Capture, optional
            For predictivity: ``"pixels"``, ``"random_weights"`` and others.
        run : callable
            ``run(model, batch)``.

        Returns
        -------
        Results

        Raises
        ------
        ValueError
            If fewer than four stimuli are shared, or what was asked for cannot be measured; the message says why.
        """
        named = dict(models) if isinstance(models, Mapping) else _named(models)
        if not named:
            raise ValueError("no model was given")
        names = None if names is None else [str(name) for name in names]
        brains = () if neural is None else (neural,) if isinstance(neural, Neural) else tuple(neural)

        def seen(name: str, model: nn.Module | Capture) -> Capture:
            if isinstance(model, Capture):
                return replace(model, model=name)
            if stimuli is None:
                raise ValueError(f"model {name!r} must be run, and there are no stimuli")
            return capture(model, stimuli, names, layers, self.cfg.capture, model_name=name, run=run)

        captures = [seen(name, model) for name, model in named.items()]
        beside = {name: seen(name, model) for name, model in (baselines or {}).items()}
        shared = shared_stimuli(*captures, *beside.values(), *brains)
        study = Study(
            self.cfg,
            tuple(one.select(shared) for one in captures),
            tuple(one.select(shared) for one in brains),
            {name: model for name, model in named.items() if isinstance(model, nn.Module)},
            stimuli,
            run,
            {name: one.select(shared) for name, one in beside.items()},
        )
        return self.measure(study)

    def analyze_checkpoints(
        self,
        model: nn.Module,
        checkpoints: Mapping[int, Mapping[str, Tensor]],
        stimuli: Any,
        neural: Neural | Sequence[Neural] | None = None,
        *,
        name: str = "model",
        names: Iterable[str] | None = None,
        layers: Iterable[str | Site] | None = None,
        run: Run = call,
    ) -> Results:
        """Measure a model along its training, all checkpoints on the same stimuli.

        Parameters
        ----------
        model : nn.Module
            Its weights are put back afterwards.
        checkpoints : dict of int to state dict
            By the number of training steps, which must rise from 1 or more.
        stimuli, neural, names, layers, run
            As for :meth:`analyze_models`.
        name : str
            Checkpoints are called ``"name@step"``.

        Returns
        -------
        Results
            Those of every checkpoint, and of the whole training ``"trajectory_to_final"``, debiased CKA of each
            checkpoint with the last ``(checkpoint, layer)``, ``"trajectory_length"`` and
            ``"trajectory_straightness"`` of each layer by shape distance.
        """
        steps = sorted(checkpoints)
        if len(steps) < 2 or steps[0] < 1:
            raise ValueError(f"checkpoints at steps {steps}; want two or more, at step 1 or later")
        before = {key: value.detach().clone() for key, value in model.state_dict().items()}
        names, found = None if names is None else list(names), {}
        try:
            for step in steps:
                model.load_state_dict(checkpoints[step])
                found[f"{name}@{step}"] = capture(
                    model, stimuli, names, layers, self.cfg.capture, model_name=f"{name}@{step}", run=run
                )
        finally:
            model.load_state_dict(before)
        results = self.analyze_models(found, neural=neural)
        return Results([*results, *_trajectory(Study(self.cfg, tuple(found.values())), name, steps)])

    def measure(self, study: Study) -> Results:
        """All metrics of a study; those not asked for by name are left out where the material does not allow them."""
        found: list[Result] = []
        for name, metric in METRICS.items():
            if self.cfg.metrics is None or name in self.cfg.metrics:
                lacks = metric.lacks(study)
                if lacks and self.cfg.metrics is not None:
                    raise ValueError(f"{name} cannot be measured: {lacks}")
                if not lacks:
                    found += metric.measure(study)
        return Results(found)


@dataclass(frozen=True)
class Metric:
    """A measure, and what it needs that may not be there."""

    measure: Callable[[Study], list[Result]]
    lacks: Callable[[Study], str] = lambda study: ""


def similarity(study: Study) -> list[Result]:
    """Debiased CKA of all layers of all models with each other, and with responses."""
    found, all_layers = [], [layer for one in study.captures for layer in one.layers.values()]
    table, at = cka_matrix(all_layers), np.cumsum([0, *(len(one.layers) for one in study.captures)])
    for i, one in enumerate(study.captures):
        for j, other in enumerate(study.captures):
            part = table[at[i] : at[i + 1], at[j] : at[j + 1]]
            against = "" if i == j else other.model
            coords = {"other_layer": tuple(other.layers)}
            more = {"against": against, "chance": 0.0, "coords": coords, "params": {"debiased": True}}
            found.append(study.result(one, "cka", part, ("layer", "other_layer"), **more))
        for brain in _responses(study):
            ends = interval_arrays([cka_interval(layer, brain.mean) for layer in one.layers.values()])
            more = {
                "low": ends[1],
                "high": ends[2],
                "chance": 0.0,
                "params": {"interval": "jackknife over stimuli"},
            }
            found.append(study.result(one, "cka", ends[0], against=brain.name, **more))
    return found


def rsa(study: Study) -> list[Result]:
    """Agreement of dissimilarities with those of brains, with ceilings of the subjects' own agreement."""
    found, comparator = [], study.cfg.comparator
    for one in study.captures:
        rows = _layer_rdms(one)
        usable = [name for name in one.layers if np.ptp(rows[name]) > 0]
        for brain in study.brains:
            subjects = brain.values if isinstance(brain, NeuralRDMs) else _response_rdm(brain)[None]
            models = np.stack([rows[name] for name in usable]) if usable else np.zeros((0, subjects.shape[1]))
            values = np.full((3, len(one.layers)), np.nan)
            warnings = []
            if usable:
                where = [list(one.layers).index(name) for name in usable]
                values[:, where] = _scores(models, subjects, usable, study, warnings)
            params = {"comparator": comparator, "p_value": _p_values(models, subjects, usable, study)}
            if len(subjects) > 1:
                ceiling = noise_ceiling(subjects, comparator)
                params |= {"ceiling_lower": float(ceiling.lower), "ceiling_upper": float(ceiling.upper)}
            else:
                warnings.append(f"{brain.name} is one subject, so there is no ceiling")
            more = {
                "low": values[1],
                "high": values[2],
                "chance": 0.0,
                "params": params,
                "warnings": warnings,
            }
            found.append(study.result(one, "rsa", values[0], against=brain.name, **more))
    return found


def procrustes(study: Study) -> list[Result]:
    """Angular shape distance of all layers of all models; no similarity, 0 is the same."""
    found = []
    for one in study.captures:
        for other in study.captures:
            table = shape_distances(list(one.layers.values()), list(other.layers.values()))
            against = "" if one is other else other.model
            coords = {"other_layer": tuple(other.layers)}
            more = {"against": against, "coords": coords, "unit": "rad"}
            found.append(study.result(one, "procrustes", table, ("layer", "other_layer"), **more))
    return found


def geometry(
    name: str, measure: Callable[[NDArray], float], unit: str = ""
) -> Callable[[Study], list[Result]]:
    """A number per layer."""

    def each(study: Study) -> list[Result]:
        found = []
        for one in study.captures:
            constant = one.constant()
            values = [np.nan if key in constant else measure(layer) for key, layer in one.layers.items()]
            bounds = [min(study.n - 1, layer.shape[1]) for layer in one.layers.values()]
            found.append(study.result(one, name, values, params={"bound": bounds}, unit=unit))
        return found

    return each


def lifetime_sparsity(study: Study) -> list[Result]:
    """Mean sparsity of units over stimuli, for layers without negative responses."""
    found = []
    for one in study.captures:
        values, warnings = [], []
        for name, layer in one.layers.items():
            if layer.min() < 0:
                values.append(np.nan)
                warnings.append(f"layer {name} has negative responses; rectify it and say so")
            else:
                each = sparsity(layer)
                values.append(float(np.nanmean(each)) if np.isfinite(each).any() else np.nan)
                dead = int(dead_units(layer).sum())
                if dead:
                    warnings.append(f"{dead} of {layer.shape[1]} units of layer {name} respond to nothing")
        found.append(
            study.result(one, "sparsity", values, warnings=warnings, params={"measure": "vinje_gallant"})
        )
    return found


def predictivity(study: Study) -> list[Result]:
    """Held-out prediction of responses, with the layer chosen on inner folds and baselines beside it."""
    scorer, subjects, found = study.cfg.predictivity.build(), _responses(study), []
    for one in study.captures:
        scored = scorer.score(one, subjects, study.baselines)
        rows = tuple(scored.scores)
        ends = interval_arrays([scored.scores[row].interval() for row in rows])
        more = {"low": ends[1], "high": ends[2], "chance": scored.chance.estimate, "coords": {"row": rows}}
        more |= {"against": ", ".join(brain.name for brain in subjects), "warnings": scored.warnings}
        found.append(study.result(one, "neural_predictivity", ends[0], ("row",), **more))
    return found


def information(study: Study) -> list[Result]:
    """Fisher information of each unit's gate: what a model's answers depend on."""
    found = []
    for one in study.captures:
        if one.model not in study.modules:
            continue
        for layer, values in one.layers.items():
            units = unit_fisher(
                study.modules[one.model], study.stimuli, layer, study.cfg.fisher, run=study.run
            )
            coords = {"unit": tuple(range(len(units)))}
            params = {"layer": layer, "channels": values.shape[1], "answers": study.cfg.fisher.answers}
            more = {"coords": coords, "params": params, "against": layer}
            found.append(study.result(one, "unit_fisher", units.cpu().numpy(), ("unit",), **more))
    return found


def block_cka_gap(study: Study) -> list[Result]:
    """How much more alike layers are within blocks than between them, beside what fading with depth gives."""
    found = []
    for one in study.captures:
        table = cka_matrix([layer for key, layer in one.layers.items() if key not in one.constant()])
        gap = block_gap(table)
        params = {"blocks": gap.blocks.tolist(), "p_value": gap.p_value}
        found.append(study.result(one, "block_cka_gap", gap.gap, (), chance=gap.expected, params=params))
    return found


def irregularity(study: Study) -> list[Result]:
    """Share of stimuli around which the dimension of a layer changes with the radius, calibrated and adjusted."""
    found = []
    for one in study.captures:
        values, warnings = [], []
        for name, layer in one.layers.items():
            values.append(
                np.nan if name in one.constant() else float((fibre_test(layer).q_value < 0.05).mean())
            )
        more = {"chance": 0.0, "params": {"level": 0.05}, "warnings": warnings}
        found.append(study.result(one, "robinson_fiber_test", values, unit="share of stimuli", **more))
    return found


def _trajectory(study: Study, name: str, steps: Sequence[int]) -> list[Result]:
    """Results of a whole training."""
    last = study.captures[-1]
    layers = tuple(last.layers)
    final, length, straight = [], [], []
    for layer in layers:
        series = [one.layers[layer] for one in study.captures]
        if any(layer in one.constant() for one in study.captures):
            final.append([np.nan] * len(steps))
            length.append(np.nan)
            straight.append(np.nan)
            continue
        final.append(cka_matrix(series)[-1])
        way = path(shape_distances(series), steps)
        length.append(way.length)
        straight.append(way.straightness)
    whole = replace(last, model=name)
    coords = {"checkpoint": tuple(steps)}
    return [
        study.result(
            whole,
            "trajectory_to_final",
            np.array(final).T,
            ("checkpoint", "layer"),
            coords=coords,
            chance=0.0,
        ),
        study.result(whole, "trajectory_length", length, unit="rad"),
        study.result(whole, "trajectory_straightness", straight),
    ]


def _no_brain(study: Study) -> str:
    return "" if study.brains else "there are no brains to compare with; give neural="


def _too_narrow(study: Study) -> str:
    least = min(layer.shape[1] for one in study.captures for layer in one.layers.values())
    return (
        ""
        if least >= RANKS[1]
        else f"a layer has {least} channels; the slope is fitted up to rank {RANKS[1]}"
    )


def _no_responses(study: Study) -> str:
    return "" if _responses(study) else "it needs responses, as NeuralData"


def _no_gradients(study: Study) -> str:
    if study.cfg.fisher is None:
        return "it needs fisher=FisherConfig(...), which says what the output is"
    return "" if study.modules else "it needs modules, not captures, for their gradients"


METRICS: Mapping[str, Metric] = {
    "cka": Metric(similarity),
    "rsa": Metric(rsa, _no_brain),
    "procrustes": Metric(procrustes),
    "participation_ratio": Metric(geometry("participation_ratio", participation_ratio, "dimensions")),
    "effective_rank": Metric(geometry("effective_rank", effective_rank, "dimensions")),
    "intrinsic_dimension": Metric(
        geometry("intrinsic_dimension", lambda x: intrinsic_dimension(x).two_nn, "dimensions, a lower bound"),
        lambda study: (
            ""
            if study.n > 2 * LEAST
            else f"{study.n} stimuli are too few neighbours; more than {2 * LEAST} are needed"
        ),
    ),
    "spectral_exponent": Metric(
        geometry("spectral_exponent", lambda x: spectral_exponent(eigenspectrum(x), RANKS).exponent),
        lambda study: (
            _too_narrow(study) or ("" if study.n > RANKS[1] else f"{study.n} stimuli for {RANKS[1]} ranks")
        ),
    ),
    "block_cka_gap": Metric(
        block_cka_gap,
        lambda study: (
            "" if min(len(one.layers) for one in study.captures) >= 4 else "it needs four layers or more"
        ),
    ),
    "robinson_fiber_test": Metric(
        irregularity,
        lambda study: "" if study.n >= POINTS else f"{study.n} stimuli are too few; {POINTS} at least",
    ),
    "sparsity": Metric(lifetime_sparsity),
    "neural_predictivity": Metric(predictivity, _no_responses),
    "unit_fisher": Metric(information, _no_gradients),
}


def _responses(study: Study) -> list[NeuralData]:
    return [brain for brain in study.brains if isinstance(brain, NeuralData)]


def _layer_rdms(one: Capture) -> dict[str, NDArray]:
    names = np.arange(len(one.stimuli))
    return {
        key: dissimilarity(layer, names, measure="sqeuclidean").values for key, layer in one.layers.items()
    }


def _response_rdm(brain: NeuralData) -> NDArray:
    """Cross-validated over repeats where there are any, else plain."""
    n = len(brain.stimuli)
    if brain.n_repeats == 1:
        return dissimilarity(brain.mean, np.arange(n), measure="sqeuclidean").values
    rows = brain.responses.reshape(-1, brain.responses.shape[-1])
    folds = np.repeat(np.arange(brain.n_repeats), n)
    return dissimilarity(rows, np.tile(np.arange(n), brain.n_repeats), folds).values


def _scores(
    models: NDArray, subjects: NDArray, names: list[str], study: Study, warnings: list[str]
) -> NDArray:
    """Estimates and interval ends, ``(3, n_layers)``."""
    cfg = study.cfg
    if study.n < LEAST:
        warnings.append(f"{study.n} stimuli are too few for intervals over stimuli; {LEAST} at least")
        null = permutation_null(models, subjects, cfg.comparator, 1, cfg.seed)
        return np.stack([null.scores, np.full_like(null.scores, np.nan), np.full_like(null.scores, np.nan)])
    over = "both" if len(subjects) > 2 else "stimuli"
    if over == "stimuli":
        warnings.append("the interval is over stimuli, for these subjects")
    spread = bootstrap_rdms(
        dict(zip(names, models, strict=True)), subjects, cfg.comparator, over, cfg.n_resamples, cfg.seed
    )
    return np.array(interval_arrays([spread.interval(name) for name in names]))


def _p_values(models: NDArray, subjects: NDArray, names: list[str], study: Study) -> dict[str, float]:
    if not names:
        return {}
    null = permutation_null(models, subjects, study.cfg.comparator, study.cfg.n_permutations, study.cfg.seed)
    return dict(zip(names, null.p_values.tolist(), strict=True))


def _named(models: Sequence[nn.Module | Capture]) -> dict[str, nn.Module | Capture]:
    """Models by their name or class, numbered where that is not enough."""
    found: dict[str, nn.Module | Capture] = {}
    for model in models:
        base = model.model if isinstance(model, Capture) else type(model).__name__
        name, number = base, 2
        while name in found:
            name, number = f"{base} {number}", number + 1
        found[name] = model
    return found
