"""How a model lies on the processes of a run: a model in, a loss to train and one to evaluate out.

``"ddp"`` keeps the whole model on every process. ``"fsdp"`` keeps one part of every parameter, of its
gradient and of the optimiser's state on each process, and puts a parameter together only where the
computation needs it. Both average gradients, so both train as one process does.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurolib.training.distributed import Group, LossModule

SHARDS = ("ddp", "fsdp")


class Spread:
    """A model on its processes.

    Parameters
    ----------
    model : nn.Module
        If it has ``sometimes_unused = True``, a batch may leave out some of its parameters. If it has
        ``shard_parts()``, those are its modules that "fsdp" puts together one at a time, such as the layers
        of a stack; their parameters must be used through their ``forward`` alone. Without it the whole
        model is one part.
    shard : str
        One of ``SHARDS``; in a single process they only differ in how checkpoints are kept.
    processes : Group
    device : torch.device

    Attributes
    ----------
    model : nn.Module
        What is trained: the model itself, or for "fsdp" a copy of it whose parameters are shards.
    loss, plain : nn.Module
        ``loss(batch)``; ``loss`` also averages gradients, ``plain`` is for evaluation.

    Raises
    ------
    ValueError
        If "fsdp" is asked of several seeds side by side, or of parameters that are sometimes unused
        by a torch that cannot.

    References
    ----------
    .. [1] Zhao et al. (2023), "PyTorch FSDP: experiences on scaling fully sharded data parallel", VLDB 16(12).
    """

    def __init__(self, model: nn.Module, shard: str, processes: Group, device: torch.device):
        self.original, self.device = model, device
        self.kept_in_parts = shard == "fsdp"
        self.sharded = self.kept_in_parts and processes.world > 1
        self.sometimes_unused = getattr(model, "sometimes_unused", False)
        if self.kept_in_parts and getattr(model, "n_replicas", 0):
            raise ValueError("shard='fsdp' with seeds side by side; train them one by one, or use 'ddp'")
        if self.sharded:  # the original waits where it is, so that no device holds it whole
            self.model = deepcopy(model).to(device)
            processes.equalise([*self.model.parameters(), *self.model.buffers()])
            self.plain = self.loss = self._in_shards(processes.world)
            return
        self.model = model.to(device)
        self.plain = self.loss = LossModule(model)
        if processes.world > 1:
            self.loss = DistributedDataParallel(self.plain, find_unused_parameters=self.sometimes_unused)

    def _in_shards(self, world: int) -> nn.Module:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(self.device.type, (world,))
        for part in self.model.shard_parts() if hasattr(self.model, "shard_parts") else ():
            fully_shard(part, mesh=mesh)
        loss = fully_shard(LossModule(self.model), mesh=mesh)
        if self.sometimes_unused:
            if not hasattr(loss, "set_reduce_scatter_unused_params"):
                raise ValueError(
                    f"shard='fsdp' with a model that is sometimes_unused needs torch 2.13, not {torch.__version__}"
                )
            loss.set_reduce_scatter_unused_params(True)
        return loss

    def rest(self) -> None:
        """Take parameters apart again after an evaluation, which no backward pass follows."""
        if self.sharded:
            for module in self.plain.modules():
                if hasattr(module, "reshard"):
                    module.reshard()

    def write_back(self) -> None:
        """Give the original model the trained weights, whole on every process."""
        if not self.sharded:
            return
        state = {name: whole(value) for name, value in self.model.state_dict().items()}
        self.original.to(self.device).load_state_dict(state)


def whole(value):
    """A tensor put together from its shards on all processes; anything else as it is."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def tensors_of(model: nn.Module, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """Tensors of a model and of its AdamW by name; reading into them changes both.

    The optimiser's state comes into being with the first gradient of a parameter; here it is made of
    zeros where it is missing, which is what that first gradient would find.
    """
    named = {f"model.{name}": v for name, v in model.state_dict().items() if isinstance(v, Tensor)}
    for name, param in model.named_parameters():
        if param.requires_grad:
            state = optimiser.state[param]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32)
                state["exp_avg"] = torch.zeros_like(param, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(param, memory_format=torch.preserve_format)
            named |= {f"optimiser.{name}.{key}": value for key, value in state.items()}
    return named
