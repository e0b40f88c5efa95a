"""Between latents ``(n, dim)`` and the few axes ``(n, n_axes)`` along which a fixed grid quantizes them."""

import torch
from torch import Tensor, nn


class Projection(nn.Module):
    """A linear map to the axes and one back; neither where there are as many axes as channels.

    Parameters
    ----------
    dim, n_axes : int
    """

    def __init__(self, dim: int, n_axes: int):
        super().__init__()
        self.enter, self.leave = nn.Identity(), nn.Identity()
        if dim != n_axes:
            self.enter, self.leave = nn.Linear(dim, n_axes), nn.Linear(n_axes, dim)

    @torch.no_grad()
    def fit(self, z: Tensor, on_grid) -> None:
        """Enter along the principal axes, each with variance 1; leave by least squares from the grid.

        Parameters
        ----------
        z : Tensor, shape (n, dim)
        on_grid : callable
            Takes entered latents ``(n, n_axes)`` to points of the grid.

        Raises
        ------
        ValueError
            If the latents are not finite or vary along fewer directions than there are axes.
        """
        if not z.isfinite().all():
            raise ValueError("latents hold NaN or infinity; did training diverge?")
        if isinstance(self.enter, nn.Identity):
            return
        n_axes, dim = self.enter.weight.shape
        values = z.detach().double()
        mean = values.mean(dim=0)
        _, singular, axes = torch.linalg.svd(values - mean, full_matrices=False)
        varied = int((singular > 1e-6 * values.abs().max() * len(z) ** 0.5).sum())
        if varied < n_axes:
            raise ValueError(
                f"{len(z)} latents of {dim} channels vary along {varied} directions, the grid has {n_axes} axes; "
                "are channels constant, or copies of each other?"
            )
        weight = axes[:n_axes] * (len(z) ** 0.5 / singular[:n_axes, None])
        self.enter.weight.copy_(weight)
        self.enter.bias.copy_(-weight @ mean)
        points = on_grid(self.enter(z.to(self.enter.weight))).double()
        points = torch.cat([points, points.new_ones(len(z), 1)], dim=1)
        solution = torch.linalg.lstsq(
            points, values, driver="gelsd" if z.device.type == "cpu" else None
        ).solution
        self.leave.weight.copy_(solution[:-1].T)
        self.leave.bias.copy_(solution[-1])
