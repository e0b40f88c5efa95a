"""Several networks as one: their fields in, one density out, each field with an exponent of its own.

A mixture of densities lets one model speak per focus. Where models know different things of a study,
its text and its foci, their evidence multiplies instead: logarithms add.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from neurolib.models.coordinates.density import NodeField
from neurolib.training.batches import Batch


class FieldPool(nn.Module):
    r"""Log-linear pool of networks around one base density.

    .. math:: \log p(v \mid s) = \log p_\mathrm{base}(v)
        + \sum_k (a_k + b_k \log\tfrac{1 + n_s}{10}) f_k(v \mid s) - \log Z_s

    Here :math:`n_s` is the number of seen foci: the more are seen, the more a network that reads
    them may be believed. With one exponent of 1 and the others 0 it is that network.

    Parameters
    ----------
    field : NodeField
    networks : sequence of nn.Module
        With ``fields(batch) -> (batch, n_nodes)``, trained; their mean is taken where one of the
        entries is a list.

    References
    ----------
    .. [1] Genest & Zidek (1986). Combining probability distributions: a critique and an annotated
       bibliography. Statistical Science 1, 114-135.
    """

    def __init__(self, field: NodeField, networks: Sequence[nn.Module | Sequence[nn.Module]]):
        super().__init__()
        if not networks:
            raise ValueError("no networks to pool")
        self.field = field
        groups = [[entry] if isinstance(entry, nn.Module) else list(entry) for entry in networks]
        self.groups = nn.ModuleList(nn.ModuleList(group) for group in groups)
        start = torch.zeros(len(groups), 2)
        start[:, 0] = 1 / len(groups)
        self.exponents = nn.Parameter(start)

    @torch.no_grad()
    def parts(self, batch: Batch, block: int = 256) -> Tensor:
        """Fields of all networks, ``(n_networks, batch, n_nodes)``."""
        self.eval()
        out = []
        for start in range(0, len(batch["mask"]), block):
            rows = {key: value[start : start + block] for key, value in batch.items()}
            out.append(torch.stack([torch.stack([n.fields(rows) for n in g]).mean(0) for g in self.groups]))
        return torch.cat(out, 1)

    def log_densities(self, parts: Tensor, batch: Batch) -> Tensor:
        """Log densities ``(batch, n_voxels)`` from fields ``(n_networks, batch, n_nodes)``."""
        size = torch.log((1 + batch["seen"].sum(1)) / 10)
        scale = self.exponents[:, :1] + self.exponents[:, 1:] * size  # (network, batch)
        return self.field(torch.einsum("kb,kbn->bn", scale, parts))

    def fit(self, batch: Batch, n_iterations: int = 10, block: int = 64) -> "FieldPool":
        """Choose the exponents under which the hidden foci of valid studies are most probable.

        The problem is convex. A batch without seen foci leaves the slopes where they are.
        """
        parts = self.parts(batch)
        hidden = batch["mask"] & ~batch["seen"]
        n_hidden = hidden.sum()
        if not n_hidden:
            raise ValueError("no hidden focus to fit exponents to; are these training tensors?")
        free = torch.ones_like(self.exponents)
        free[:, 1] = float(batch["seen"].any())
        optimiser = torch.optim.LBFGS([self.exponents], max_iter=n_iterations, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            total = torch.zeros(())
            for start in range(0, len(hidden), block):
                rows = slice(start, start + block)
                cut = {key: value[rows] for key, value in batch.items()}
                log_p = self.log_densities(parts[:, rows], cut).gather(1, cut["voxels"])[hidden[rows]]
                share = -log_p.sum() / n_hidden
                share.backward()
                total = total + share.detach()
            self.exponents.grad.mul_(free)
            return total

        optimiser.step(loss)
        return self

    @torch.no_grad()
    def densities(self, batch: Batch, block: int = 64) -> Iterator[Tensor]:
        """Densities ``(block, n_voxels)``, block after block of studies."""
        for start in range(0, len(batch["mask"]), block):
            rows = {key: value[start : start + block] for key, value in batch.items()}
            yield self.log_densities(self.parts(rows), rows).exp()

    def weights(self) -> list[float]:
        """Exponents at nine seen foci, one per network."""
        return np.round(self.exponents[:, 0].tolist(), 4).tolist()
