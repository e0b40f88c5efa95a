r"""Centred kernel alignment: activations ``(stimulus, channel)`` in, similarity of all pairs of layers out.

.. math::
    \mathrm{CKA}(K, L) = \frac{H(K, L)}{\sqrt{H(K, K)\, H(L, L)}}, \qquad
    n(n-3)\, H(K, L) = \sum_{i \ne j} K_{ij} L_{ij} + \frac{s_K s_L}{(n-1)(n-2)} - \frac{2}{n-2}\, r_K^\top r_L

with :math:`r` the row sums of a Gram matrix without its diagonal and :math:`s` their sum: the unbiased estimator of
the Hilbert-Schmidt independence criterion. The biased one, of Gram matrices with their diagonal, tends to one for
independent layers with more channels than stimuli, and is offered for comparison with the literature alone.

References
----------
.. [1] Kornblith et al. (2019), "Similarity of neural network representations revisited", ICML, arXiv:1905.00414.
.. [2] Song et al. (2012), "Feature selection via dependence maximization", JMLR 13.
.. [3] Nguyen, Raghu & Kornblith (2021), "Do wide and deep networks learn the same things?", ICLR,
   arXiv:2010.15327.
.. [4] Murphy, Zylberberg & Fyshe (2024), "Correcting biased centered kernel alignment measures in biological and
   artificial neural networks", arXiv:2405.01012.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurolib.metrics.intervals import Interval

Layers = Sequence[ArrayLike | Tensor] | Mapping[str, ArrayLike | Tensor]
BLOCK = 128  # rows of Gram matrices held at a time
LEAST = 4  # stimuli that the unbiased estimator needs


def cka(x: ArrayLike | Tensor, y: ArrayLike | Tensor, debiased: bool = True) -> float:
    """Linear CKA of two layers that saw the same stimuli, row by row.

    Parameters
    ----------
    x, y : array, shape (n_stimuli, n_channels)
        Widths may differ.
    debiased : bool
        Whether independent layers have 0 on average; it can be negative then.

    Returns
    -------
    float
        NaN if a layer does not vary beyond what noise would give.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [0.5, 2.0]])
    >>> turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    >>> round(cka(x, 3 * x @ turn + 7), 6)
    1.0
    """
    return float(cka_matrix([x, y], debiased=debiased)[0, 1])


def cka_matrix(
    layers: Layers, others: Layers | None = None, debiased: bool = True, block: int = BLOCK
) -> NDArray:
    """CKA of every layer with every other, exact, in one pass over pairs of stimuli.

    Gram matrices of all layers are made block by block and multiplied with each other as one matrix product, so the
    work is ``L n^2 (d + L)`` where pairs of layers one by one take ``L^2 n d^2``.

    Parameters
    ----------
    layers : sequence or dict of array, shape (n_stimuli, n_channels)
        The same stimuli in all; widths may differ. Computed where the tensors are.
    others : sequence or dict of array, optional
        A second model; the result has its layers as columns.
    debiased : bool
    block : int
        Rows of Gram matrices held at a time; memory is ``L * block * n_stimuli`` single-precision numbers.

    Returns
    -------
    array, shape (n_layers, n_layers) or (n_layers, n_others)

    Raises
    ------
    ValueError
        If stimuli differ in number, are fewer than four, or a layer holds NaN; the message names the layer.
    """
    first = _centred(layers, "layer")
    second = [] if others is None else _centred(others, "other layer")
    _same_stimuli([*first, *second])
    hsic = _hsic(first + second, debiased, block)
    values = _normalised(hsic)
    return values if others is None else values[: len(first), len(first) :]


class MinibatchCKA:
    """CKA of layers that are seen a batch at a time: numerator and denominators are averaged, then divided.

    Parameters
    ----------
    debiased : bool
        Anything else depends on the size of the batches.

    References
    ----------
    .. [1] Nguyen, Raghu & Kornblith (2021), ICLR, arXiv:2010.15327.

    Examples
    --------
    >>> rng, meter = np.random.default_rng(0), MinibatchCKA()
    >>> for _ in range(3):
    ...     x = rng.normal(size=(20, 4))
    ...     meter.update([x, -2 * x])
    >>> meter.matrix().round(6).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, debiased: bool = True):
        self.debiased, self.total, self.n_batches = debiased, 0.0, 0

    def update(self, layers: Layers) -> None:
        """Add a batch: activations of all layers, ``(n_stimuli, n_channels)`` each, always in the same order."""
        parts = _centred(layers, "layer", scale=False)
        _same_stimuli(parts)
        hsic = _hsic(parts, self.debiased, BLOCK)
        if self.n_batches and hsic.shape != self.total.shape:
            raise ValueError(f"{len(hsic)} layers in this batch, {len(self.total)} in those before")
        self.total, self.n_batches = self.total + hsic, self.n_batches + 1

    def matrix(self) -> NDArray:
        """CKA of every layer with every other so far."""
        if not self.n_batches:
            raise ValueError("no batch was seen yet; call update first")
        return _normalised(self.total / self.n_batches)


def cka_interval(x: ArrayLike | Tensor, y: ArrayLike | Tensor, confidence: float = 0.95) -> Interval:
    """Debiased CKA of two layers with its jackknife interval over stimuli.

    All leave-one-out values come from one pair of Gram matrices. A bootstrap would draw a stimulus twice, and the
    pair of it with itself brings the bias back.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> interval = cka_interval(rng.normal(size=(60, 5)), rng.normal(size=(60, 400)))
    >>> interval.low < 0 < interval.high
    True
    """
    from scipy.stats import norm

    a, b = _centred([x, y], "layer")
    _same_stimuli([a, b])
    n = len(a)
    if n < LEAST + 2:
        raise ValueError(f"{n} stimuli are too few for leaving one out; {LEAST + 2} are needed")
    grams = [(part.double() @ part.double().T).fill_diagonal_(0) for part in (a, b)]
    left = torch.stack([_left_out(grams[i], grams[j]) for i, j in ((0, 1), (0, 0), (1, 1))]).cpu().numpy()
    values = left[0] / np.sqrt(np.where((left[1] > 0) & (left[2] > 0), left[1] * left[2], np.nan))
    estimate = cka(x, y)
    spread = math.sqrt((n - 1) / n * float(((values - values.mean()) ** 2).sum()))
    reach = float(norm.ppf((1 + confidence) / 2)) * spread
    return Interval(estimate, estimate - reach, estimate + reach, confidence, n)


def cka_p_value(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor, n_permutations: int = 1000, seed: int = 0
) -> float:
    """How often layers with their stimuli permuted are as similar: ``(1 + #) / (1 + n_permutations)``.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(30, 4))
    >>> cka_p_value(x, x[:, :2], 99)
    0.01
    """
    a, b = _centred([x, y], "layer")
    _same_stimuli([a, b])
    k, gram = ((part.double() @ part.double().T).fill_diagonal_(0) for part in (a, b))
    n, draw, above = len(a), np.random.default_rng(seed), 0
    observed = _pair_sum(k, gram)
    for _ in range(n_permutations):
        order = torch.from_numpy(draw.permutation(n)).to(k.device)
        above += bool(_pair_sum(k, gram[order][:, order]) >= observed)
    return (1 + above) / (1 + n_permutations)


def _pair_sum(k: Tensor, gram: Tensor) -> Tensor:
    """``n (n - 3) H`` of two Gram matrices without diagonals."""
    n, r, q = len(k), k.sum(1), gram.sum(1)
    return (k * gram).sum() + r.sum() * q.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (r @ q)


def _left_out(k: Tensor, gram: Tensor) -> Tensor:
    """``H`` without each stimulus in turn, up to what does not depend on which, ``(n,)``."""
    m = len(k) - 1
    r, q = k.sum(1), gram.sum(1)
    both = (k * gram).sum() - 2 * (k * gram).sum(1)
    sums = (r.sum() - 2 * r) * (q.sum() - 2 * q)
    # row sums lose one entry each, and the row itself goes
    rows = r @ q - r * q - k @ q - gram @ r + (k * gram).sum(1)
    return both + sums / ((m - 1) * (m - 2)) - 2 / (m - 2) * rows


def _hsic(parts: list[Tensor], debiased: bool, block: int) -> NDArray:
    """``H`` of every pair of centred layers, in double precision."""
    n = len(parts[0])
    if debiased and n < LEAST:
        raise ValueError(f"{n} stimuli; debiased CKA needs {LEAST}, and many more to say anything")
    products = torch.zeros(len(parts), len(parts), dtype=torch.float64, device=parts[0].device)
    for start in range(0, n, block):  # the upper triangle, whose other half is the same
        stop = min(start + block, n)
        # apart, so that neither is copied: the tile on the diagonal counts once, what lies beside it twice
        for columns, times in ((slice(start, stop), 1), (slice(stop, n), 2)):
            shape = (len(parts), stop - start, columns.stop - columns.start)
            gram = parts[0].new_empty(shape)
            for part, out in zip(parts, gram, strict=True):
                torch.mm(part[start:stop], part[columns].T, out=out)
            flat = gram.flatten(1)
            products += times * (flat @ flat.T).double()
    if not debiased:
        return products.cpu().numpy()
    diagonal = torch.stack([part.double().square().sum(1) for part in parts])
    alike = diagonal @ diagonal.T
    trace = diagonal.sum(
        1
    )  # rows of a centred Gram matrix sum to nothing, so without its diagonal to minus that
    hsic = products - alike + torch.outer(trace, trace) / ((n - 1) * (n - 2)) - 2 / (n - 2) * alike
    return (hsic / (n * (n - 3))).cpu().numpy()


def _normalised(hsic: NDArray) -> NDArray:
    own = np.diag(hsic)
    scale = np.sqrt(np.where(own > 0, own, np.nan))
    return hsic / np.outer(scale, scale)


def _centred(layers: Layers, name: str, scale: bool = True) -> list[Tensor]:
    """Layers centred, and of Frobenius norm one, so that single precision is enough."""
    named = layers.items() if isinstance(layers, Mapping) else enumerate(layers)
    parts = []
    for key, values in named:
        part = values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))
        if part.dim() != 2 or not part.shape[1]:
            raise ValueError(
                f"{name} {key} has shape {tuple(part.shape)}; want (stimulus, channel), flatten the rest"
            )
        part = part.detach()
        part = part if part.dtype in (torch.float32, torch.float64) else part.float()
        # a sum is ten times as fast as looking at each, and finite only if all are
        if not bool(part.sum().isfinite()) and not bool(part.isfinite().all()):
            bad = int((~part.isfinite()).any(1).sum())
            raise ValueError(f"{name} {key} holds NaN or infinity for {bad} of {len(part)} stimuli")
        part = part - part.mean(0, keepdim=True)
        norm = part.norm() if scale else 0
        parts.append(part.div_(norm) if norm > 0 else part)
    if not parts:
        raise ValueError(f"no {name} was given")
    if len({part.dtype for part in parts}) > 1:
        parts = [part.double() for part in parts]
    return parts


def _same_stimuli(parts: list[Tensor]) -> None:
    sizes = sorted({len(part) for part in parts})
    if len(sizes) > 1:
        raise ValueError(f"layers of {sizes} stimuli; rows must be the same stimuli in the same order")
