"""A trained network in the frame of the classical models: a hold-out in, densities out."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neurolib.data.brain import Grid
from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates
from neurolib.models.coordinates.batches import hold_out_tensors
from neurolib.models.coordinates.density_model import DensityModel


class NetworkDensity(DensityModel):
    """Predictive densities of one network, or the mean of several, already trained.

    Parameters
    ----------
    grid : Grid
    networks : nn.Module or sequence of nn.Module
        With ``densities(batch)``, which yields ``(block, n_voxels)`` after ``(block, n_voxels)``.
    base : array, shape (n_voxels,)
        Density of all training foci.
    description : array, shape (n_studies, n_numbers), optional
        What conditional networks are told about each study.
    global_share : float
        Share of the base in every density, so that no focus is nearly impossible.
    """

    def __init__(
        self,
        grid: Grid,
        networks: nn.Module | list[nn.Module],
        base: NDArray,
        description: ArrayLike | None = None,
        global_share: float = 0.01,
    ):
        super().__init__(grid, global_share)
        self.networks = [networks] if isinstance(networks, nn.Module) else list(networks)
        if not self.networks:
            raise ValueError("no network to take densities of")
        self.base, self.description = np.asarray(base), description

    def _fit(self, corpus: Coordinates, voxels: NDArray, studies: NDArray) -> None:
        raise ValueError("the network is trained by neurolib.training.loop.fit, not here")

    def _densities(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        batch = hold_out_tensors(corpus, voxels, hold_out, self.description)
        total = 0.0
        for network in self.networks:
            device = next(network.parameters()).device
            moved = {key: value.to(device) for key, value in batch.items()}
            total = total + torch.cat([density.cpu() for density in network.densities(moved)]).double()
        return (total / len(self.networks)).numpy()
