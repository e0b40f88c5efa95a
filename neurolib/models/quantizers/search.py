"""Nearest codes: vectors ``(n, dim)`` and a codebook ``(size, dim)`` in, the index of the nearest code out."""

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FEW_ROWS = 8  # up to here a call into torch costs more than the arithmetic
ONEDNN_ROWS = 256  # from here oneDNN gains more than its set-up costs
CHUNK = 1024  # rows whose vectors and scores stay in a core's cache
ONEDNN = torch.backends.mkldnn.is_available()


class Search:
    """A codebook made ready for searching.

    The nearest code has the highest ``<z, e> - |e|^2 / 2``: one matrix product and no square roots.

    Parameters
    ----------
    codebook : Tensor, shape (size, dim)

    Notes
    -----
    On AMD processors torch's own float32 product takes MKL's slow path; with oneDNN's the whole search
    is 1.5 times as fast there. NumPy's argmax along rows is eight times as fast as torch's.
    Products round differently, so a latent half way between two codes may change sides with the
    number of latents it comes with.

    Examples
    --------
    >>> Search(torch.tensor([[0.0], [1.0], [5.0]]))(torch.tensor([[0.7], [9.0]]))
    tensor([1, 2])
    """

    def __init__(self, codebook: Tensor):
        self.codebook = codebook
        self.offsets = codebook.square().sum(dim=-1) / -2
        on_cpu = codebook.device.type == "cpu" and codebook.dtype in (torch.float32, torch.float64)
        on_cpu &= not torch.compiler.is_compiling()
        self.arrays = (codebook.numpy(), self.offsets.numpy()) if on_cpu else None
        self._onednn: tuple[Tensor, Tensor] | None = None  # made when first needed

    def scores(self, rows: Tensor) -> Tensor:
        """``<z, e> - |e|^2 / 2`` of every vector and code, ``(n, size)``; the highest is the nearest."""
        with torch.autocast(rows.device.type, enabled=False):
            if not ONEDNN or self.arrays is None or len(rows) < ONEDNN_ROWS or rows.dtype != torch.float32:
                return nn.functional.linear(rows, self.codebook, self.offsets)
            if self._onednn is None:
                self._onednn = self.codebook.to_mkldnn(), self.offsets.to_mkldnn()
            return nn.functional.linear(rows.to_mkldnn(), *self._onednn).to_dense()

    def __call__(self, rows: Tensor) -> Tensor:
        """Index of the nearest code of each row, ``(n,)``; the first of equals."""
        return self.best(self.scores(rows))

    def best(self, scores: Tensor) -> Tensor:
        """Index of the highest score of each row, ``(n,)``."""
        if self.arrays is None:
            return scores.argmax(dim=1)
        return torch.from_numpy(scores.numpy().argmax(axis=1))

    def one(self, row: NDArray) -> int:
        """The same for one NumPy vector ``(dim,)`` without a call into torch; on the CPU only."""
        codes, offsets = self.arrays
        scores = codes.dot(row)
        scores += offsets
        return scores.argmax()
