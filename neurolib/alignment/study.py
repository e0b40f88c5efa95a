"""What is analysed: layers of models and brains on the same stimuli, and how surely; what measures are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neurolib.alignment.captures import Capture, CaptureConfig, NeuralData
from neurolib.alignment.fisher import FisherConfig
from neurolib.alignment.predictivity import PredictivityConfig
from neurolib.alignment.results import Result
from neurolib.interpret.activations import Run, call


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
        Names in :data:`neurolib.alignment.measures.METRICS`; by default all that the material allows.
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
