"""Milestones: a model and the steps of its training to remember in, its weights at those steps out."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from neurolib.training.batches import Batch


class Milestones(nn.Module):
    """Stands for a model in :func:`~neurolib.training.loop.fit`, and keeps its weights on the way.

    Weights are copied as an update of that number begins, so 0 is the model as it was drawn, and a training of one step
    more than the last number is needed.

    Parameters
    ----------
    model : nn.Module
        With ``loss(batch)``; one process, no replicas.
    steps : iterable of int
        Updates that each milestone has seen.

    Attributes
    ----------
    kept : dict of dict
        State of the model by step.

    Examples
    --------
    >>> class Line(nn.Linear):
    ...     def loss(self, batch):
    ...         return (self(batch["x"]) - batch["y"]).square().mean()
    >>> from neurolib.training.loop import TrainConfig, fit
    >>> batch, line = {"x": torch.ones(4, 1), "y": torch.ones(4, 1)}, Line(1, 1)
    >>> watched = Milestones(line, [0, 2])
    >>> _ = fit(watched, batch, batch, TrainConfig(steps=3, batch_size=4, device="cpu"))
    >>> sorted(watched.kept), torch.equal(watched.kept[0]["weight"], watched.kept[2]["weight"])
    ([0, 2], False)
    """

    def __init__(self, model: nn.Module, steps: Iterable[int]):
        super().__init__()
        self.model, self.steps, self.seen = model, frozenset(steps), 0
        self.kept: dict[int, dict[str, Tensor]] = {}
        if min(self.steps, default=0) < 0:
            raise ValueError(f"steps {sorted(self.steps)} of a training begin at 0")
        for name in ("weight", "lr_factor", "no_decay"):
            if callable(given := getattr(model, name, None)):
                setattr(self, name, self._passed(given) if name != "weight" else given)

    def loss(self, batch: Batch) -> Tensor:
        """Loss of the model; in training, one more update is about to be made."""
        if self.training:
            if self.seen in self.steps:
                state = self.model.state_dict()
                self.kept[self.seen] = {name: value.detach().clone() for name, value in state.items()}
            self.seen += 1
        return self.model.loss(batch)

    def at(self, step: int) -> nn.Module:
        """The model itself, with the weights of a milestone."""
        if step not in self.kept:
            raise ValueError(f"no milestone at step {step}; there are {sorted(self.kept)}")
        self.model.load_state_dict(self.kept[step])
        return self.model.eval()

    @staticmethod
    def _passed(given):
        """A rule about parameters, which are called ``model.`` something here."""
        return lambda name: given(name.removeprefix("model."))


def log_steps(last: int, n: int = 12, first: int = 1) -> list[int]:
    """Different steps from ``first`` to ``last``, about evenly spaced on a logarithmic scale.

    Examples
    --------
    >>> log_steps(64, 7)
    [1, 2, 4, 8, 16, 32, 64]
    """
    if not 0 < first < last or n < 2:
        raise ValueError(f"{n} steps from {first} to {last}; want two or more, rising, from 1 at least")
    wanted = torch.logspace(0, 1, n, base=last / first, dtype=torch.float64) * first
    return sorted({round(float(step)) for step in wanted})
