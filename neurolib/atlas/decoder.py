"""A trained decoder as plain arrays: latents ``(n, latent)`` in, maps in nats ``(n, voxel)`` out.

The same sums are written in ``book/_static/atlas.js``, which reads the bytes that :meth:`Decoder.pack`
makes; a test holds the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurolib.data.brain import Grid

EPS = 1e-5  # torch's LayerNorm
INTEGERS = {"int8": 127, "int16": 32767}


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear map, and the layer norm and SiLU that follow it unless it is the last."""

    weight: NDArray
    bias: NDArray
    norm: tuple[NDArray, NDArray] | None = None  # weight and bias

    def __call__(self, x: NDArray) -> NDArray:
        """Rows ``(n, in)`` to rows ``(n, out)``."""
        x = x @ self.weight.T + self.bias
        if self.norm is None:
            return x
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + EPS)
        x = x * self.norm[0] + self.norm[1]
        return x / (1 + np.exp(-x))


@dataclass(frozen=True, eq=False)
class Decoder:
    r"""Latents to log densities, as differences from the density of all foci.

    The layers end in a field :math:`f` on nodes of twice the voxel's width, and the map is
    :math:`\log p(v|z) - \log p(v) = f(v) - \log \sum_u p(u)\,e^{f(u)}`.

    Parameters
    ----------
    layers : tuple of Layer
    grid : Grid
    log_base : array, shape (n_voxels,)
        :math:`\log p(v)`, normalised.
    n_latent : int
        Inputs of the first layer that are latents; those after them are a condition.

    Raises
    ------
    ValueError
        If the decoder was never trained, or shapes do not fit.

    Examples
    --------
    A decoder with one layer, whose field is the latent at every node:

    >>> cube = Grid(np.ones((3, 3, 3), bool), 4.0)
    >>> flat = Decoder((Layer(np.ones((8, 1)), np.zeros(8)),), cube, np.full(27, -np.log(27)), 1)
    >>> np.abs(flat([[2.0]])).max().round(12)  # the same everywhere is no change
    np.float64(0.0)
    """

    layers: tuple[Layer, ...]
    grid: Grid
    log_base: NDArray
    n_latent: int = 32

    @classmethod
    def from_state(
        cls, state: Mapping[str, ArrayLike], grid: Grid, log_base: ArrayLike, n_latent: int = 32
    ) -> "Decoder":
        """Read the state dict of ``Sequential(Linear, LayerNorm, SiLU, ..., Linear)``.

        Of a density autoencoder these are the entries that begin with ``decoder.`` or ``out.``.

        Parameters
        ----------
        state : mapping of str to array
            In the order of the layers, with names that end in ``weight`` and ``bias``. A weight with
            two axes is a linear layer, one with one axis the norm of the layer before it.
        grid : Grid
        log_base : array, shape (n_voxels,)
        n_latent : int
        """
        arrays = {name: np.asarray(value, np.float32) for name, value in state.items()}
        layers: list[Layer] = []
        for name, weight in arrays.items():
            stem, _, part = name.rpartition(".")
            if part != "weight":
                continue
            bias = arrays.get(f"{stem}.bias")
            if bias is None:
                raise ValueError(
                    f"{name} has no {stem}.bias; give the decoder's part of the state dict alone"
                )
            if weight.ndim == 2:
                layers.append(Layer(weight, bias))
            else:
                layers[-1] = Layer(layers[-1].weight, layers[-1].bias, (weight, bias))
        return cls(tuple(layers), grid, np.asarray(log_base, np.float32), n_latent)

    def __post_init__(self):
        if not self.layers or self.layers[-1].norm or not all(layer.norm for layer in self.layers[:-1]):
            raise ValueError("a decoder is linear layers with a layer norm after each but the last")
        last = self.layers[-1]
        if not (last.weight.any() or last.bias.any()):
            raise ValueError(
                "the last layer is all zeros, so every map is empty: this decoder was never trained. "
                "Was its checkpoint loaded?"
            )
        widths = [layer.weight.shape for layer in self.layers]
        for (out, _), (_, into) in pairwise(widths):
            if out != into:
                raise ValueError(f"layers {widths} do not follow each other; are they in order?")
        if len(last.bias) != len(self.nodes):
            raise ValueError(f"{len(last.bias)} outputs for {len(self.nodes)} nodes; is this another grid?")
        if self.log_base.shape != (self.grid.n_voxels,):
            raise ValueError(f"log_base {self.log_base.shape} for {self.grid.n_voxels} voxels")
        if abs(np.log(np.exp(self.log_base.astype(float)).sum())) > 1e-3:
            raise ValueError("log_base does not sum to one; is it a density and not its logarithm?")
        if not 0 < self.n_latent <= widths[0][1]:
            raise ValueError(f"n_latent={self.n_latent} for a first layer with {widths[0][1]} inputs")

    @property
    def n_condition(self) -> int:
        """Inputs after the latents."""
        return self.layers[0].weight.shape[1] - self.n_latent

    @cached_property
    def _corners(self) -> NDArray:
        """Node indices around each voxel, ``(n_voxels, 8, 3)``; a voxel on a node has it repeated.

        Nodes lie on every other voxel, so the mean over these eight is the trilinear interpolation.
        """
        steps = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
        near, part = np.divmod(self.grid.voxels, 2)
        return near[:, None] + steps * part[:, None]

    @property
    def node_shape(self) -> tuple[int, int, int]:
        """Nodes along x, y and z."""
        return tuple(n // 2 + 1 for n in self.grid.shape)

    @cached_property
    def nodes(self) -> NDArray:
        """Flat indices of the nodes that a voxel of the brain needs, in order, shape (n_nodes,)."""
        return np.unique(np.ravel_multi_index(tuple(self._corners.reshape(-1, 3).T), self.node_shape))

    @cached_property
    def _near(self) -> NDArray:
        flat = np.ravel_multi_index(tuple(self._corners.reshape(-1, 3).T), self.node_shape)
        return np.searchsorted(self.nodes, flat).reshape(-1, 8)

    def __call__(self, z: ArrayLike, condition: ArrayLike | None = None) -> NDArray:
        """Maps of latents ``(n, n_latent)`` under conditions ``(n_condition,)`` or ``(n, n_condition)``.

        Returns
        -------
        array, shape (n, n_voxels)
            Nats above the density of all foci.
        """
        x = np.atleast_2d(np.asarray(z, float))
        if x.shape[1] != self.n_latent or (condition is None) != (self.n_condition == 0):
            raise ValueError(
                f"z {x.shape} and condition {np.shape(condition)} for a decoder of {self.n_latent} latents "
                f"and {self.n_condition} conditions"
            )
        if condition is not None:
            more = np.broadcast_to(np.asarray(condition, float), (len(x), self.n_condition))
            x = np.concatenate([x, more], axis=1)
        for layer in self.layers:
            x = layer(x)
        field = x[:, self._near].mean(-1)
        return field - np.log(np.exp(self.log_base + field).sum(1, keepdims=True))

    def quantised(self, dtype: str) -> "Decoder":
        """The decoder whose weights are integers times one scale a row; what a browser computes with."""
        layers = []
        for layer in self.layers:
            codes, scale = _integers(layer.weight, dtype)
            layers.append(Layer(codes * scale[:, None], layer.bias, layer.norm))
        return Decoder(tuple(layers), self.grid, self.log_base, self.n_latent)

    def error(self, dtype: str, condition: ArrayLike | None = None, n: int = 12, seed: int = 0) -> float:
        """Root mean square error in nats of quantised maps, over latents drawn from the prior."""
        z = np.random.default_rng(seed).standard_normal((n, self.n_latent))
        difference = self.quantised(dtype)(z, condition) - self(z, condition)
        return float(np.sqrt(np.mean(difference**2)))

    def pack(
        self, tolerance_nats: float = 0.02, condition: ArrayLike | None = None
    ) -> tuple[bytes, dict[str, object]]:
        """Bytes for the browser and a manifest of what lies where.

        Weights take one byte if maps then err by no more than ``tolerance_nats``, else two.

        Returns
        -------
        data : bytes
            Little endian; every array begins at a multiple of four.
        manifest : dict
            Widths, grid, and for each array its name, type, place and length.
        """
        dtype = "int8" if self.error("int8", condition) <= tolerance_nats else "int16"
        arrays = {
            "mask": np.packbits(self.grid.mask),
            "nodes": self.nodes.astype("<u2" if np.prod(self.node_shape) < 2**16 else "<u4"),
            "log_base": self.log_base.astype("<f4"),
        }
        for i, layer in enumerate(self.layers):
            codes, scale = _integers(layer.weight, dtype)
            named = {"weight": codes, "scale": scale, "bias": layer.bias}
            if layer.norm:
                named |= {"gain": layer.norm[0], "shift": layer.norm[1]}
            arrays |= {
                f"{i}.{key}": value if key == "weight" else value.astype("<f4")
                for key, value in named.items()
            }
        data, places = bytearray(), {}
        for name, array in arrays.items():
            data += bytes(-len(data) % 4)
            places[name] = {"dtype": array.dtype.name, "at": len(data), "n": array.size}
            data += np.ascontiguousarray(array).tobytes()
        manifest = {
            "widths": [self.layers[0].weight.shape[1], *(len(layer.bias) for layer in self.layers)],
            "n_latent": self.n_latent,
            "n_condition": self.n_condition,
            "eps": EPS,
            "shape": list(self.grid.shape),
            "node_shape": list(self.node_shape),
            "voxel_mm": self.grid.voxel_mm,
            "origin_mm": list(self.grid.origin_mm),
            "dtype": dtype,
            "error_nats": round(self.error(dtype, condition), 6),
            "arrays": places,
        }
        return bytes(data), manifest


def _integers(weight: NDArray, dtype: str) -> tuple[NDArray, NDArray]:
    """Integer codes of a matrix and the scale of each of its rows."""
    if dtype not in INTEGERS:
        raise ValueError(f"dtype={dtype!r} must be one of {sorted(INTEGERS)}")
    scale = np.abs(weight).max(axis=1) / INTEGERS[dtype]
    codes = np.rint(weight / np.where(scale, scale, 1)[:, None])
    return codes.astype("<i1" if dtype == "int8" else "<i2"), scale.astype(np.float32)
