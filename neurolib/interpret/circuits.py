"""Circuits of units under the names of the source: a model and two batches in, what its units carry out.

The calls are those of the source, whose patches never reached the model: patching a whole layer recovered 0, its
least circuit had no units, and its path patching compared two means. Here every call runs the
model with values exchanged. More is in :mod:`~neurolib.interpret.patching` and :mod:`~neurolib.interpret.edges`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.interpret.activations import Patch, Run, call, patch, record
from neurolib.interpret.corruption import n_rows, partners, take
from neurolib.interpret.faithfulness import ends
from neurolib.interpret.patching import (
    Unit,
    UnitRuns,
    activation_patching,
    plain,
    scored,
    single_effects,
    units_of,
)
from neurolib.interpret.recovery import recovery
from neurolib.interpret.trial_scores import TrialScore, minus_squared_error, towards
from neurolib.metrics.intervals import Interval
from neurolib.models.sites import Site, sites_of

SEARCHES = ("greedy", "ranked", "random")


class CircuitDiscovery:
    """Patching, paths and least circuits of a model's units.

    Parameters
    ----------
    model : nn.Module
    output : str, optional
        Which entry counts where the model gives a mapping; ``"decoder"`` in the source.
    run : callable, optional
        ``run(model, inputs)`` gives the output as one tensor ``(trial, time, output)``, for all other models.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    >>> clean, corrupted = torch.randn(8, 5, 3), torch.randn(8, 5, 3)
    >>> found = CircuitDiscovery(model).activation_patching(clean, corrupted, "0")
    >>> f"{found:.2f}"
    '1.00 [1.00, 1.00]'
    """

    def __init__(self, model: nn.Module, output: str = "decoder", run: Run = call):
        self.model, self.output = model, output
        self.run = lambda model, inputs: self._tensor(run(model, inputs))

    def activation_patching(
        self,
        clean_input: Any,
        corrupted_input: Any,
        layer_name: str,
        neuron_indices: Sequence[int] | None = None,
        target_output_fn: TrialScore | None = None,
    ) -> Interval:
        """How much of the clean score comes back when units of the corrupt run are taken from the clean one.

        Parameters
        ----------
        clean_input, corrupted_input : batches of as many trials
        layer_name : str
            A site that the model declares, or the path of a submodule.
        neuron_indices : sequence of int, optional
            Entries of its last axis; all by default.
        target_output_fn : TrialScore, optional
            From the output to one number per trial; by default how far it is on the way from the corrupt run's
            output to the clean one's.

        Returns
        -------
        Interval
            1 if they carry everything, 0 if nothing.
        """
        site, _ = self._site(layer_name, clean_input)
        index = {} if neuron_indices is None else {site.axes[-1]: list(neuron_indices)}
        score = target_output_fn or towards(
            plain(self.model, clean_input, self.run), plain(self.model, corrupted_input, self.run)
        )
        unit = Unit(layer_name, site, index)
        return activation_patching(
            self.model, clean_input, corrupted_input, score, [unit], "denoise", self.run
        )[0]

    def discover_minimal_circuit(
        self,
        input_data: Any,
        target_behavior: Tensor,
        layer_names: Sequence[str],
        search_method: str = "greedy",
        threshold: float = 0.9,
        corrupted_input: Any = None,
        seed: int = 0,
    ) -> dict[str, list[int]]:
        """A small set of units that is enough, in runs with all other units of these layers exchanged.

        Parameters
        ----------
        input_data : batch
        target_behavior : Tensor, shape (trial, time, output)
        layer_names : sequence of str
        search_method : {"greedy", "ranked", "random"}
            Units are tried in the order of what they do alone, the least first, and dropped if enough is left;
            or the strongest that are enough together are kept; or they are tried in any order.
        threshold : float
            Share of the difference between the clean and the corrupt run that must be left.
        corrupted_input : batch, optional
            By default every trial has another trial's place.
        seed : int

        Returns
        -------
        dict of str to list of int
            Units by layer. Its faithfulness must be measured on other trials.
        """
        if search_method not in SEARCHES:
            raise ValueError(f"search_method={search_method!r} must be one of {SEARCHES}")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold} is a share of the difference, between 0 and 1")
        if corrupted_input is None:
            corrupted_input = take(input_data, partners(n_rows(input_data), seed=seed))
        units = []
        for name in layer_names:
            site, size = self._site(name, input_data)
            units += [
                (name, i, unit) for i, unit in enumerate(units_of(self.model, site, size, site.axes[-1]))
            ]
        runs = UnitRuns(
            self.model,
            [unit for *_, unit in units],
            input_data,
            corrupted_input,
            minus_squared_error(target_behavior),
            run=self.run,
        )
        keep = self._least(runs, threshold, search_method, seed)
        kept = {name: [] for name in layer_names}
        for (name, i, _), stays in zip(units, keep.tolist(), strict=True):
            if stays:
                kept[name].append(i)
        return kept

    def path_patching(
        self,
        clean_input: Any,
        corrupted_input: Any,
        source_layer: str,
        target_layer: str,
        hold: Sequence[str] = (),
        target_output_fn: TrialScore | None = None,
    ) -> Interval:
        """How much of the difference one layer sends through what another one reads.

        The source is taken from the corrupt run and what the target then reads is noted, with the layers of
        ``hold`` kept at the clean run; then the clean run gets that at the target's input.

        Returns
        -------
        Interval
            Share of the clean score that is lost.
        """
        target = Site(f"{target_layer} in", target_layer, side="input")
        clean_output, corrupt_output = (
            plain(self.model, batch, self.run) for batch in (clean_input, corrupted_input)
        )
        score = target_output_fn or towards(clean_output, corrupt_output)
        held = record(self.model, clean_input, hold, run=self.run) if hold else {}
        sent = record(self.model, corrupted_input, [source_layer], run=self.run)
        changes = [Patch(source_layer, sent[source_layer]), *(Patch(name, held[name]) for name in hold)]
        with torch.no_grad(), patch(self.model, changes):
            read = record(self.model, clean_input, [target], run=self.run)[target.name]
        with torch.no_grad(), patch(self.model, [Patch(target, read)]):
            output = self.run(self.model, clean_input)
        n = n_rows(clean_input)
        scores = (scored(score, each, n).cpu() for each in (output, clean_output, corrupt_output))
        left = recovery(*scores)[0]
        return Interval(1 - left.estimate, 1 - left.high, 1 - left.low, left.level, left.n)

    def _least(self, runs: UnitRuns, threshold: float, search_method: str, seed: int) -> Tensor:
        whole, none = (float(part.mean()) for part in ends(runs))
        enough = none + threshold * (whole - none)
        n, draw = len(runs.names), np.random.default_rng(seed)
        order = draw.permutation(n)
        if search_method != "random":
            order = (
                single_effects(runs).mean(1).argsort(descending=True).numpy()
            )  # the most negative matters most
        keep = torch.ones(n, dtype=torch.bool)
        if search_method == "ranked":
            tails = torch.ones(n, n, dtype=torch.bool)
            for number in range(n):
                tails[number, order[:number]] = False
            fits = runs.measure(tails).mean(1) >= enough
            return tails[int(fits.nonzero().max())]
        for number in order:
            without = keep.clone()
            without[number] = False
            if float(runs.measure(without[None]).mean()) >= enough:
                keep = without
        return keep

    def _site(self, name: str, inputs: Any) -> tuple[Site, int]:
        """A site with its axes named, and the size of the last."""
        site = sites_of(self.model).get(name) or Site(name)
        values = record(self.model, inputs, [site], run=self.run)
        axes = values.axes[name]
        return Site(name, site.module, axes, site.side, site.pick, site.call), values[name].shape[-1]

    def _tensor(self, output: Any) -> Tensor:
        if isinstance(output, dict):
            output = output[self.output]
        if not isinstance(output, Tensor):
            raise ValueError(
                f"the model gives a {type(output).__name__}; pick a tensor with run=lambda model, inputs: ..."
            )
        return output
