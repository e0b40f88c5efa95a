"""The measures of the analyzer: a study in, named results with interval and chance out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.fisher import unit_fisher
from neurolib.alignment.results import Result, interval_arrays
from neurolib.alignment.study import NeuralRDMs, Study
from neurolib.metrics.block_gap import LEAST_LAYERS, block_gap
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

RANKS = (5, 50)  # of the spectral exponent: one range for all layers, or they cannot be compared
POINTS = 1000  # stimuli that a test of local dimension needs


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


def trajectory(study: Study, name: str, steps: Sequence[int]) -> list[Result]:
    """Results of a whole training, from captures in the order of its steps."""
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


def _too_shallow(study: Study) -> str:
    least = min(len(one.layers) - len(one.constant()) for one in study.captures)
    return "" if least >= LEAST_LAYERS else f"{least} layers that vary; blocks need {LEAST_LAYERS}"


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
    "block_cka_gap": Metric(block_cka_gap, _too_shallow),
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
