"""What models with latents are asked: a batch of studies in, densities, held-out scores and evidence out.

A model says how latents come from foci (`infer`) and what density they make (`decode`); the rest,
which is alike for all, stands here.
"""

import math
from collections.abc import Iterator

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurolib.training.batches import Batch


class LatentDensity(nn.Module):
    """Base of models whose density over the voxels is made from Gaussian latents.

    A batch is a dict: ``voxels (batch, n)`` padded with anything, ``mask (batch, n)`` true for foci,
    ``seen (batch, n)`` true for those that may be looked at in evaluation, ``condition (batch, c)``, and
    possibly ``table (batch, n)``, from which whole tables are hidden in training.

    Attributes
    ----------
    n_latent : int
        Numbers of standard noise that one draw takes.
    n_condition : int
        How many of the condition's numbers the model reads; 0 if none.
    """

    n_latent: int
    n_condition: int

    def infer(self, batch: Batch, visible: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents of studies, given the foci under a mask.

        Parameters
        ----------
        batch : dict of Tensor
        visible : Tensor of bool, shape (batch, n)
        noise : Tensor, shape (batch, n_latent), optional
            Standard normal; without it the latents are the posterior's mean.

        Returns
        -------
        z : Tensor, shape (batch, n_latent)
        log_ratio : Tensor, shape (batch,)
            Log of the prior's density over the posterior's at ``z``, nats.
        """
        raise NotImplementedError

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Log density of every voxel, ``(batch, n_voxels)``."""
        raise NotImplementedError

    def from_prior(self, noise: Tensor) -> Tensor:
        """Latents of the prior from standard noise ``(n, n_latent)``."""
        return noise

    def told(self, batch: Batch) -> Tensor | None:
        """The first ``n_condition`` numbers of the condition of a batch, for models that take any."""
        return batch["condition"][:, : self.n_condition] if self.n_condition else None

    def hidden_loss(self, batch: Batch) -> Tensor:
        """Mean negative log probability per hidden focus, at the posterior's mean given the seen ones."""
        z, _ = self.infer(batch, batch["seen"])
        hidden = batch["mask"] & ~batch["seen"]
        if not hidden.any():
            raise ValueError(
                f"no hidden focus in {len(hidden)} studies: 'seen' is as wide as 'mask'; "
                "are these training tensors, given to evaluate on?"
            )
        return -self.decode(z, self.told(batch)).gather(1, batch["voxels"])[hidden].mean()

    def weight(self, batch: Batch) -> Tensor:
        """The number behind the mean of the loss: studies in training, hidden foci in evaluation."""
        if self.training:
            return torch.tensor(float(len(batch["mask"])))
        return (batch["mask"] & ~batch["seen"]).sum().float()

    @torch.no_grad()
    def densities(
        self, batch: Batch, n_samples: int = 16, seed: int = 0, block: int = 64
    ) -> Iterator[Tensor]:
        """Predictive densities ``(block, n_voxels)`` given the seen foci, block after block of studies.

        Probabilities are averaged over ``n_samples`` draws from the posterior; with 0, the
        posterior's mean is decoded instead.
        """
        self.eval()
        generator = torch.Generator().manual_seed(seed)
        for rows in _blocks(batch, block):
            total = 0.0
            for _ in range(max(n_samples, 1)):
                noise = self._noise(len(rows["mask"]), generator) if n_samples else None
                total = total + self.decode(self.infer(rows, rows["seen"], noise)[0], self.told(rows)).exp()
            yield total / max(n_samples, 1)

    @torch.no_grad()
    def prior(
        self, condition: Tensor | None = None, n: int = 1, n_samples: int = 32, seed: int = 0
    ) -> Tensor:
        """Density ``(n, n_voxels)`` before any focus is seen, averaged over draws from the prior."""
        self.eval()
        n = n if condition is None else len(condition)
        generator, total = torch.Generator().manual_seed(seed), 0.0
        for _ in range(n_samples):
            total = total + self.decode(self.from_prior(self._noise(n, generator)), condition).exp()
        return total / n_samples

    @torch.no_grad()
    def evidence(self, batch: Batch, n_samples: int = 64, seed: int = 0, block: int = 64) -> NDArray:
        """Importance-weighted bound on the log probability of all foci of each study, shape (batch,).

        References
        ----------
        .. [1] Burda, Grosse & Salakhutdinov (2016), "Importance weighted autoencoders", ICLR.
        """
        self.eval()
        generator, out = torch.Generator().manual_seed(seed), []
        for rows in _blocks(batch, block):
            weights = []
            for _ in range(n_samples):
                z, log_ratio = self.infer(rows, rows["mask"], self._noise(len(rows["mask"]), generator))
                at_foci = self.decode(z, self.told(rows)).gather(1, rows["voxels"])
                weights.append(torch.where(rows["mask"], at_foci, 0).sum(1) + log_ratio)
            out.append(torch.logsumexp(torch.stack(weights), 0) - math.log(n_samples))
        return torch.cat(out).double().cpu().numpy()

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, self.n_latent, generator=generator).to(next(self.parameters()))


def shown(
    mask: Tensor, table: Tensor | None = None, keep: tuple[float, float] = (0.3, 0.8), hide_table: float = 0.5
) -> Tensor:
    """Draw which foci an encoder sees in training: a share of each study's, or all tables but one.

    Parameters
    ----------
    mask : Tensor of bool, shape (batch, n)
    table : Tensor of int, shape (batch, n), optional
        Numbers from 0 in each study. Without them foci are always drawn one by one.
    keep : tuple of float
        The share is drawn between these two.
    hide_table : float
        Share of the studies with several tables that lose a whole one.

    Examples
    --------
    >>> mask, table = torch.tensor([[True, True, True, False]]), torch.tensor([[0, 0, 1, 0]])
    >>> shown(mask, table, hide_table=1.0).tolist() in ([[1, 1, 0, 0]], [[0, 0, 1, 0]])
    True
    """
    n, device = len(mask), mask.device
    share = torch.empty(n, 1, device=device).uniform_(*keep)
    some = mask & (torch.rand(mask.shape, device=device) < share)
    if table is None:
        return some
    n_tables = table.masked_fill(~mask, 0).amax(1, keepdim=True) + 1
    out = (torch.rand(n, 1, device=device) * n_tables).long()
    whole = (torch.rand(n, 1, device=device) < hide_table) & (n_tables > 1)
    return torch.where(whole, mask & (table != out), some)


def _blocks(batch: Batch, block: int) -> Iterator[Batch]:
    for start in range(0, len(batch["mask"]), block):
        yield {key: value[start : start + block] for key, value in batch.items()}
