"""Several seeds of one experiment: one after the other, or side by side in one batched run.

Small models leave a GPU idle; stacking the parameters of all seeds on a first axis fills it.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from neurolib.training.batches import Batch
from neurolib.training.distributed import LossModule
from neurolib.training.loop import History, TrainConfig, fit


class Replicas(nn.Module):
    """Models of one shape with their parameters stacked; its loss is one number per model.

    Parameters
    ----------
    models : sequence of nn.Module
        Alike in everything but their values. Their buffers must not change in training, and
        their ``loss`` must consist of operations that :func:`torch.func.vmap` can batch (fused
        recurrent kernels are not among them).
    """

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        params, buffers = stack_module_state(list(models))
        self.n_replicas = len(models)
        # names with dots are no attribute names; the order is the template's own
        self.names = list(params)
        self.stacked = nn.ParameterList([nn.Parameter(params[name].detach()) for name in self.names])
        self.buffer_names = list(buffers)
        for i, name in enumerate(self.buffer_names):
            self.register_buffer(f"stacked_buffer_{i}", buffers[name])
        self.template = [LossModule(deepcopy(models[0]))]  # in a list, so that its parameters are not ours
        if hasattr(models[0], "weight"):
            self.weight = models[0].weight

    def loss(self, batch: Batch) -> Tensor:
        """Losses ``(n_replicas,)`` of a batch whose tensors have a leading replica axis."""
        template = self.template[0].train(self.training)

        def one(params, buffers, batch):
            return functional_call(template, (params, buffers), (batch,))

        params = {f"model.{name}": value for name, value in zip(self.names, self.stacked, strict=True)}
        buffers = {
            f"model.{name}": getattr(self, f"stacked_buffer_{i}") for i, name in enumerate(self.buffer_names)
        }
        return torch.vmap(one, randomness="different")(params, buffers, batch)

    def write_to(self, models: Sequence[nn.Module]) -> None:
        """Copy the trained values back into the single models."""
        with torch.no_grad():
            for i, model in enumerate(models):
                own = dict(model.named_parameters())
                for name, value in zip(self.names, self.stacked, strict=True):
                    own[name].copy_(value[i])


def fit_seeds(
    make_model: Callable[[], nn.Module],
    train: Batch,
    valid: Batch,
    cfg: TrainConfig,
    seeds: Sequence[int],
    together: bool = False,
) -> list[tuple[nn.Module, History]]:
    """Train one model per seed; the seed decides its initial values and its order of batches.

    Parameters
    ----------
    make_model : callable
        Builds an untrained model; called once per seed after ``torch.manual_seed(seed)``.
    together : bool
        Train all seeds side by side. The result is that of one by one up to rounding, except
        that dropout draws other masks.

    Returns
    -------
    list of (model, History)
        In the order of ``seeds``.
    """
    models = []
    for seed in seeds:
        torch.manual_seed(seed)
        models.append(make_model())
    if not together or len(models) == 1:
        return [
            (model, fit(model, train, valid, _of_seed(cfg, seed)))
            for seed, model in zip(seeds, models, strict=True)
        ]
    if getattr(getattr(models[0], "cfg", None), "fused", False):
        raise ValueError(
            "torch.func cannot batch a fused kernel over seeds; build the model with fused=False"
        )
    replicas = Replicas(models)
    history = fit(replicas, train, valid, replace(cfg, seed=seeds[0]), seeds=seeds)
    for model in models:
        model.to(replicas.stacked[0].device)
    replicas.write_to(models)
    return [(model.eval(), history.of_replica(i)) for i, model in enumerate(models)]


def _of_seed(cfg: TrainConfig, seed: int) -> TrainConfig:
    """The config of one seed, with a checkpoint of its own."""
    return replace(cfg, seed=seed, checkpoint=f"{cfg.checkpoint}.seed{seed}" if cfg.checkpoint else "")
