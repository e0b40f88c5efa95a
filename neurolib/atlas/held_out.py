"""How well models predict foci they have not seen: three tasks, many models, one table of probabilities.

``half`` hides a random half of a study's foci, ``table`` a whole table, ``text`` all of them. What
is chosen (shares of the global density, weights of a mixture) is chosen on valid studies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurolib.atlas.corpus import AtlasCorpus
from neurolib.data.coordinate_splits import HoldOut, hide_all, hide_half, hide_table
from neurolib.metrics.density_gain import Gain, gain
from neurolib.models.coordinates.density_model import DensityModel
from neurolib.models.coordinates.stacking import Stack, study_features

TASKS = {"half": hide_half, "table": hide_table, "text": hide_all}
PARTS = ("valid", "test")


@dataclass(eq=False)
class HeldOut:
    """Probabilities of hidden foci under many models.

    Parameters
    ----------
    hold_outs : dict of HoldOut
        By task and part, ``"half valid"``.
    base : dict of array
        Probability of each hidden focus under the global density, by the same names.
    features : dict of array
        What the mixture's weights may depend on, per study.
    probabilities : dict of array, shape (n_hidden,)
        By task, part and model, ``"half valid topics"``.
    """

    hold_outs: dict[str, HoldOut]
    base: dict[str, NDArray]
    features: dict[str, NDArray]
    probabilities: dict[str, NDArray] = field(default_factory=dict)
    fitted: dict = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, corpus: AtlasCorpus, tasks: Iterable[str] = TASKS) -> "HeldOut":
        """The hold-outs of a corpus, before any model."""
        hold_outs = {
            f"{task} {part}": TASKS[task](corpus.corpus, getattr(corpus.split, part))
            for task in tasks
            for part in PARTS
        }
        base = {name: corpus.base[corpus.voxels[h.hidden]] for name, h in hold_outs.items()}
        features = {name: study_features(corpus.corpus, h) for name, h in hold_outs.items()}
        return cls(hold_outs, base, features)

    @property
    def tasks(self) -> list[str]:
        """Tasks, in order."""
        return list(dict.fromkeys(name.split()[0] for name in self.hold_outs))

    def models(self, task: str) -> list[str]:
        """Names of the models that were scored on a task."""
        start = f"{task} test "
        return [name[len(start) :] for name in self.probabilities if name.startswith(start)]

    def add(self, name: str, model: DensityModel, corpus: AtlasCorpus, tasks: Iterable[str] = ()) -> None:
        """Score a trained model on some tasks, by default all."""
        for task in tasks or self.tasks:
            for part in PARTS:
                hold_out = self.hold_outs[f"{task} {part}"]
                found = model.hidden(corpus.corpus, corpus.voxels, hold_out)
                self.probabilities[f"{task} {part} {name}"] = found.astype(np.float32)

    def mixed(self, task: str, names: str | Iterable[str], gated: bool = False) -> NDArray:
        """Log probability of the test foci under the mixture of the global density and some models.

        Parameters
        ----------
        task : str
        names : str or list of str
            Models; the global density is always among them.
        gated : bool
            Let weights depend on the study, see :class:`~neurolib.models.coordinates.stacking.Stack`.

        Returns
        -------
        array, shape (n_hidden,)
        """
        names = (names,) if isinstance(names, str) else tuple(names)
        key = (task, names, gated)
        if key not in self.fitted:
            stack = Stack(dict.fromkeys(("global", *names)))
            valid, test = (self._stacked(f"{task} {part}", names) for part in PARTS)
            told = [
                (self.features[f"{task} {part}"], self.hold_outs[f"{task} {part}"].hidden_of)
                for part in PARTS
            ]
            stack.fit(valid, *(told[0] if gated else ()))
            self.fitted[key] = stack, np.log(stack.combine(test, *(told[1] if gated else ())))
        return self.fitted[key][1]

    def weights(self, task: str, names: Iterable[str]) -> dict[str, float]:
        """Weights of a mixture that is the same for all studies."""
        self.mixed(task, tuple(names))
        stack = self.fitted[(task, tuple(names), False)][0]
        return dict(zip(stack.names, stack.constant.tolist(), strict=True))

    def gain(self, task: str, names: str | Iterable[str], gated: bool = False) -> Gain:
        """Nats per test focus over the global density."""
        return self.compare(self.mixed(task, names, gated), np.log(self.base[f"{task} test"]), task)

    def compare(self, log_p: NDArray, log_other: NDArray, task: str) -> Gain:
        """Nats per test focus of one over another, paired, with a bootstrap over studies."""
        return gain(log_p, log_other, self.hold_outs[f"{task} test"].hidden_of)

    def _stacked(self, name: str, models: tuple[str, ...]) -> NDArray:
        missing = [m for m in models if f"{name} {m}" not in self.probabilities]
        if missing:
            raise ValueError(
                f"{missing[0]!r} was not scored on {name!r}; scored are {self.models(name.split()[0])}"
            )
        rows = [self.probabilities[f"{name} {m}"].astype(float) for m in models]
        return np.stack([self.base[name].astype(float), *rows])

    def save(self, path: Path) -> None:
        """Write the probabilities as an ``.npz`` without pickles; hold-outs are made again from the corpus."""
        np.savez(path, **self.probabilities)

    def restore(self, path: Path) -> "HeldOut":
        """Read the probabilities that :meth:`save` wrote for the same corpus.

        Raises
        ------
        ValueError
            If they are of other hold-outs.
        """
        with np.load(path, allow_pickle=False) as file:
            values: Mapping[str, NDArray] = {name: file[name] for name in file.files}
        for name, value in values.items():
            task = " ".join(name.split()[:2])
            if task not in self.base or value.shape != self.base[task].shape:
                raise ValueError(
                    f"{path}: {name!r} holds {value.shape} probabilities, of another corpus or split"
                )
        self.probabilities.update(values)
        return self
