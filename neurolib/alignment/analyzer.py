"""One analyzer: models, stimuli and brains in; every measure of every model on the same stimuli out.

One forward pass gives the activations that all measures of similarity and geometry use, one backward pass the
gradients. What is measured by chance, and how sure it is, stands beside each number; measures of unlike units are
never averaged into one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from neurolib.alignment.captures import Capture, capture, shared_stimuli
from neurolib.alignment.measures import METRICS, trajectory
from neurolib.alignment.results import Result, Results
from neurolib.alignment.study import AnalyzerConfig, Neural, Study
from neurolib.interpret.activations import Run, call
from neurolib.models.sites import Site


class UnifiedModelAnalyzer:
    """Compares models with each other and with brains.

    Parameters
    ----------
    cfg : AnalyzerConfig, optional

    Raises
    ------
    ValueError
        If a metric is unknown.

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
        unknown = set(self.cfg.metrics or ()) - set(METRICS)
        if unknown:
            raise ValueError(f"no metric {sorted(unknown)[0]!r}; there are {', '.join(METRICS)}")

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
        return Results([*results, *trajectory(Study(self.cfg, tuple(found.values())), name, steps)])

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
