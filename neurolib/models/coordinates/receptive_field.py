"""How much of a volume one output sees: a module in, its extent out, in voxels by the graph or in mm by gradients.

The first is what a net could see, the second what it does see.
"""

import inspect
import math
import operator
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, fx, nn

KERNELS = tuple(getattr(nn, f"{kind}{d}d") for kind in ("Conv", "MaxPool", "AvgPool") for d in (1, 2, 3))
POINTWISE = (nn.SiLU, nn.ReLU, nn.GELU, nn.LeakyReLU, nn.Tanh, nn.Identity, nn.Dropout, nn.Dropout3d)
NORMS = (nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm3d)
GLOBAL = (nn.Linear, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d)
POINTWISE_CALLS = {operator.add, operator.mul, operator.sub, torch.add, torch.mul, torch.cat}
POINTWISE_CALLS |= {nn.functional.silu, nn.functional.relu, nn.functional.gelu}
GLOBAL_CALLS = {"mean", "amax", "sum", "flatten", torch.mean, torch.amax, torch.sum, torch.flatten}


def receptive_field(module: nn.Module) -> tuple[float, ...]:
    r"""Receptive field of one output of a convolutional module, in voxels of its first input, per axis.

    The module is traced, and along every path of its graph

    .. math:: R \leftarrow R + (k - 1)\, d\, J, \qquad J \leftarrow s J, \qquad R_0 = J_0 = 1

    for a kernel of width k, stride s and dilation d; where paths meet, the widest counts. Pooling over
    the whole volume, or a linear layer, makes it infinite. Normalisation is left out: its statistics
    are of the whole volume, but two numbers per group.

    Parameters
    ----------
    module : nn.Module
        Arguments with a default are left at it.

    Returns
    -------
    tuple of float
        Per axis of the kernels; of one number if there is no kernel.

    Raises
    ------
    ValueError
        If the graph holds an operation whose reach is unknown here.

    References
    ----------
    .. [1] Araujo, Norris & Sim (2019), "Computing receptive fields of convolutional neural networks",
       Distill, doi 10.23915/distill.00021.

    Examples
    --------
    >>> receptive_field(nn.Sequential(nn.Conv1d(1, 1, 3, stride=2), nn.Conv1d(1, 1, 3)))  # 3 + 2 * 2
    (7.0,)
    """
    given = {
        name: p.default
        for name, p in inspect.signature(module.forward).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    graph = fx.Tracer().trace(module, concrete_args=given or None)
    modules = dict(module.named_modules())
    fields: dict[fx.Node, tuple] = {}
    for node in graph.nodes:
        if node.op == "placeholder" and not fields:
            fields[node] = (np.ones(1), np.ones(1))
        below = [fields[n] for n in node.all_input_nodes if n in fields]
        if node.op == "output":
            if not below:
                raise ValueError(f"no output of {type(module).__name__} depends on its first input")
            return tuple(_meet(below, node)[0].tolist())
        if below:
            fields[node] = _through(node, modules, _meet(below, node))


def effective_radius_mm(
    encode: Callable[[Tensor], Tensor], maps: Tensor, voxel_mm: float, share: float = 0.9
) -> float:
    """Radius of the ball that holds most of an encoder's sensitivity, in mm.

    The sensitivity of a voxel is the mean over studies and outputs of the absolute gradient, summed
    over channels; the ball is about its centre of mass.

    Parameters
    ----------
    encode : callable
        Maps ``(batch, channel, X, Y, Z)`` to outputs ``(batch, output)``.
    maps : Tensor
    voxel_mm : float
    share : float
        Of the sensitivity.

    Raises
    ------
    ValueError
        If the outputs do not depend on the maps.

    References
    ----------
    .. [1] Luo et al. (2016), "Understanding the effective receptive field in deep convolutional neural
       networks", NeurIPS.

    Examples
    --------
    >>> maps = torch.zeros(1, 1, 9, 9, 9)
    >>> effective_radius_mm(lambda x: x[:, 0, 4, 4, 3:6].sum(-1, keepdim=True), maps, voxel_mm=8.0)
    8.0
    """
    maps = maps.detach().requires_grad_(True)
    with torch.enable_grad():
        outputs = encode(maps)
        total = outputs.sum(0)
        if not total.requires_grad:
            raise ValueError("the outputs do not depend on the maps; were they detached?")
        weight = torch.zeros(maps.shape[2:], dtype=torch.float64)
        for value in total:
            (gradient,) = torch.autograd.grad(value, maps, retain_graph=True)
            weight += gradient.abs().double().sum((0, 1)).cpu()
    weight = weight.numpy()
    if not weight.sum() > 0:
        raise ValueError("every gradient is 0; an encoder whose last layer is still at zero?")
    at = np.stack(np.meshgrid(*map(np.arange, weight.shape), indexing="ij"), axis=-1).reshape(-1, weight.ndim)
    mass = weight.ravel() / weight.sum()
    distance = np.sqrt(((at - mass @ at) ** 2).sum(axis=1)) * voxel_mm
    order = np.argsort(distance, kind="stable")
    reached = np.searchsorted(np.cumsum(mass[order]), share)
    return float(distance[order][min(reached, len(order) - 1)])


def _meet(fields: list[tuple], node: fx.Node) -> tuple:
    """Field and stride where several paths meet."""
    size, jump = fields[0]
    for other, stride in fields[1:]:
        if np.isfinite(size * other).all() and (jump != stride).any():
            raise ValueError(f"paths of strides {jump} and {stride} meet in {node}")
        size, jump = np.maximum(size, other), np.maximum(jump, stride)
    return size, jump


def _through(node: fx.Node, modules: dict[str, nn.Module], field: tuple) -> tuple:
    """Field and stride after one operation."""
    size, jump = field
    layer = modules[node.target] if node.op == "call_module" else None
    if isinstance(layer, KERNELS):
        kernel, stride, dilation = (
            np.array(value, dtype=float)
            for value in (layer.kernel_size, layer.stride, getattr(layer, "dilation", 1))
        )
        return size + (kernel - 1) * dilation * jump, jump * stride
    if isinstance(layer, POINTWISE + NORMS):
        return field
    if isinstance(layer, GLOBAL) or node.target in GLOBAL_CALLS:
        return np.full_like(size, math.inf), jump
    if node.target in POINTWISE_CALLS:
        return field
    raise ValueError(f"{node.target} ({type(layer).__name__}): how far it reaches is not known here")
