"""An ensemble from one run: a model and data in, a copy of the model at the end of every cycle out."""

from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

from torch import nn

from neurolib.training.batches import Batch
from neurolib.training.loop import History, TrainConfig, fit


class Snapshot(NamedTuple):
    """A model as it was when a cycle had ended, and what happened in the cycle."""

    model: nn.Module
    history: History


def snapshots(
    model: nn.Module, train: Batch, valid: Batch, cfg: TrainConfig, n_cycles: int = 5
) -> list[Snapshot]:
    """Train in cycles with a cosine each, and keep a copy per cycle.

    A cycle starts from the weights that the last one kept, with a fresh optimiser, and keeps the weights
    of its own best evaluation. What a model counts itself, such as the steps of a warm-up, runs on.

    Parameters
    ----------
    model : nn.Module
        Trained in place; in the end it is as the last snapshot.
    train, valid : dict of Tensor, or Dataset of such dicts
    cfg : TrainConfig
        Its steps are shared among the cycles; its schedule must be "cyclic". Every cycle has its own
        order of batches, and its own checkpoint if there is one.
    n_cycles : int

    Raises
    ------
    ValueError
        If the schedule is another, or the steps cannot be shared evenly.

    References
    ----------
    .. [1] Huang et al. (2017), "Snapshot ensembles: train 1, get M for free", ICLR (which keeps
       the end of each cycle, not its best evaluation).
    """
    if cfg.schedule != "cyclic":
        raise ValueError(f"schedule={cfg.schedule!r}: snapshots are taken where a 'cyclic' one is at zero")
    if n_cycles < 1 or cfg.steps % n_cycles:
        raise ValueError(f"steps={cfg.steps} cannot be shared evenly by n_cycles={n_cycles}")
    kept = []
    for cycle in range(n_cycles):
        of_cycle = replace(
            cfg,
            steps=cfg.steps // n_cycles,
            schedule="cosine",
            seed=cfg.seed + cycle,
            checkpoint=cfg.checkpoint and f"{cfg.checkpoint}.{cycle}",
        )
        history = fit(model, train, valid, of_cycle)
        kept.append(Snapshot(deepcopy(model), history))
    return kept
