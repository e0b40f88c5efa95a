"""How good a sparse dictionary is: an autoencoder and held-out vectors ``(n, channel)`` in, scores out.

A dictionary explains variance, so does PCA, and any large enough set of random atoms: :func:`pca_explained`
and :func:`pursuit` over random atoms give what stands beside it, at as many numbers per vector.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from neurolib.interpret.activations import Run, call, patch
from neurolib.interpret.dictionaries.autoencoder import SparseAutoencoderBase
from neurolib.interpret.dictionaries.topk import TopKConfig
from neurolib.interpret.dictionaries.training import DictionaryTraining, train_dictionary

CERTAIN = 3  # standard errors that the cost of an ablation must be above for a share of it to mean anything


class Quality(NamedTuple):
    """Scores of a dictionary on vectors it was not trained on.

    Parameters
    ----------
    l0 : float
        Mean number of active features.
    explained : float
        Share of all variance, 1 - sum |x - x'|² / sum |x - mean|²; 1 is perfect, below 0 is worse than the mean.
    explained_per_channel : array, shape (n_channels,)
    dead : float
        Share of features that are active on none of the vectors.
    shrinkage : float
        <x, x'> / |x'|², summed over centred vectors: by how much reconstructions should grow; 1 is right.
    density : array, shape (n_features,)
        Share of the vectors on which each feature is active.
    nearest : array, shape (n_features,)
        Largest cosine of each atom to another: near 1 are duplicates.
    """

    l0: float
    explained: float
    explained_per_channel: NDArray
    dead: float
    shrinkage: float
    density: NDArray
    nearest: NDArray


class Recovered(NamedTuple):
    """What of a model's task survives when a site passes through a dictionary.

    Parameters
    ----------
    original, rebuilt, ablated : float
        The metric of the model as it is, with reconstructions at the site, and with the training mean there.
    recovered : float
        (ablated - rebuilt) / (ablated - original): 1 if the task notices nothing, 0 if the mean does as well.
    """

    original: float
    rebuilt: float
    ablated: float
    recovered: float


class SweepRow(NamedTuple):
    """One ``k`` of :func:`sweep_k`: scores on valid vectors, and the mean max cosine to the truth if known."""

    k: int
    l0: float
    explained: float
    pca: float
    dead: float
    mmcs: float


@torch.no_grad()
def quality(dictionary: SparseAutoencoderBase, vectors: Tensor) -> Quality:
    """Score a dictionary.

    Parameters
    ----------
    dictionary : SparseAutoencoderBase
    vectors : Tensor, shape (n, n_channels)
        Held out: of other trials, or another session.
    """
    features = dictionary.encode(vectors)
    rebuilt = dictionary.decode(features)
    active = features > 0
    centre = vectors.mean(0)
    lost, spread = (vectors - rebuilt).square().sum(0), (vectors - centre).square().sum(0)
    x, y = (vectors - centre).double(), (rebuilt - centre).double()
    return Quality(
        l0=float(active.sum(1).float().mean()),
        explained=float(1 - lost.sum() / spread.sum()),
        explained_per_channel=(1 - lost / spread.clamp(min=1e-30)).cpu().numpy(),
        dead=float((~active.any(0)).float().mean()),
        shrinkage=float((x * y).sum() / y.square().sum().clamp(min=1e-30)),
        density=active.float().mean(0).cpu().numpy(),
        nearest=nearest_cosines(dictionary.W_dec).cpu().numpy(),
    )


def nearest_cosines(atoms: Tensor) -> Tensor:
    """Largest cosine of each atom ``(n, channel)`` to another one.

    Examples
    --------
    >>> nearest_cosines(torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]])).tolist()
    [0.0, 1.0, 1.0]
    """
    unit = F.normalize(atoms, dim=1)
    return (unit @ unit.T).fill_diagonal_(-1).max(1).values


def density_histogram(density: ArrayLike, n_vectors: int, n_bins: int = 20) -> tuple[NDArray, NDArray]:
    """Counts of features by the log10 of how often they are active, from one vector of all to every vector.

    Returns
    -------
    counts : array of int, shape (n_bins,)
        Dead features are in no bin.
    edges : array, shape (n_bins + 1,), in log10

    Examples
    --------
    >>> density_histogram([0.0, 0.01, 0.5, 1.0], n_vectors=100, n_bins=2)[0]
    array([1, 2])
    """
    density = np.asarray(density)
    edges = np.linspace(-np.log10(n_vectors), 0, n_bins + 1)
    alive = np.log10(density[density > 0]).clip(edges[0], edges[-1])
    return np.histogram(alive, edges)[0], edges


def mean_max_cosine(truth: Tensor, atoms: Tensor) -> float:
    """Mean over true atoms of the cosine to the nearest found one (MMCS).

    It grows with the size of the dictionary whatever is in it: compare with random atoms of the same number.

    Examples
    --------
    >>> mean_max_cosine(torch.eye(2), torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    cosine = F.normalize(truth, dim=1) @ F.normalize(atoms.detach(), dim=1).T
    return float(cosine.max(1).values.mean())


@torch.no_grad()
def pursuit(vectors: Tensor, atoms: Tensor, k: int, centre: Tensor | None = None) -> Tensor:
    """Reconstructions by at most ``k`` atoms each, chosen one by one and refitted (orthogonal matching pursuit).

    What the atoms could explain, whoever encodes: the gap to :attr:`Quality.explained` is the encoder's. Atoms
    come in with positive weight.

    Parameters
    ----------
    vectors : Tensor, shape (n, n_channels)
    atoms : Tensor, shape (n_atoms, n_channels)
    k : int
    centre : Tensor, shape (n_channels,), optional
        Taken away before and added after.

    Returns
    -------
    Tensor, shape (n, n_channels)

    References
    ----------
    .. [1] Pati, Rezaiifar & Krishnaprasad (1993), "Orthogonal matching pursuit", Asilomar Conference.

    Examples
    --------
    >>> pursuit(torch.tensor([[3.0, 1.0]]), torch.eye(2), k=1).round(decimals=3).tolist()
    [[3.0, 0.0]]
    """
    if not 1 <= k <= len(atoms):
        raise ValueError(f"k={k} of {len(atoms)} atoms")
    centre = torch.zeros_like(vectors[0]) if centre is None else centre
    return (
        torch.cat([_pursue(part - centre, F.normalize(atoms, dim=1), k) for part in vectors.split(4096)])
        + centre
    )


def _pursue(x: Tensor, atoms: Tensor, k: int) -> Tensor:
    chosen = torch.zeros(len(x), 0, dtype=torch.long, device=x.device)
    rebuilt = torch.zeros_like(x)
    for n in range(1, k + 1):
        match = ((x - rebuilt) @ atoms.T).scatter(1, chosen, -torch.inf)
        chosen = torch.cat([chosen, match.argmax(1, keepdim=True)], dim=1)
        basis = atoms[chosen]  # (n_vectors, n, channel)
        gram = basis @ basis.mT + 1e-6 * torch.eye(n, device=x.device, dtype=x.dtype)
        weight = torch.linalg.solve(gram, basis @ x[..., None])[..., 0].clamp(min=0)
        rebuilt = (weight[:, None] @ basis)[:, 0]
    return rebuilt


def explained_by(vectors: Tensor, rebuilt: Tensor) -> float:
    """Share of the variance of ``vectors (n, channel)`` that reconstructions explain."""
    return float(1 - (vectors - rebuilt).square().sum() / (vectors - vectors.mean(0)).square().sum())


def pca_explained(train: Tensor, vectors: Tensor, ks: Sequence[int]) -> dict[int, float]:
    """Share of variance that the first ``k`` principal components of ``train`` explain of ``vectors``.

    The same ``k`` components for every vector, where a dictionary chooses ``k`` of many.

    Examples
    --------
    >>> line = torch.arange(4.0)[:, None] * torch.tensor([3.0, 4.0])
    >>> {k: round(share, 3) for k, share in pca_explained(line, line, [0, 1]).items()}
    {0: 0.0, 1: 1.0}
    """
    centre = train.mean(0)
    _, _, axes = torch.linalg.svd(train - centre, full_matrices=False)
    shares = {}
    for k in ks:
        basis = axes[:k]
        shares[k] = explained_by(vectors, (vectors - centre) @ basis.T @ basis + centre)
    return shares


def loss_recovered(
    model: nn.Module,
    inputs: Any,
    site: str,
    dictionary: SparseAutoencoderBase,
    metric: Callable[[Any], float | Tensor],
    run: Run = call,
) -> Recovered:
    """Put reconstructions, and the training mean, at a site, and see what the model's task loses.

    Parameters
    ----------
    model : nn.Module
    inputs : Tensor, mapping or tuple
        Held out.
    site : str
    dictionary : SparseAutoencoderBase
        Trained on vectors of that site.
    metric : callable
        From the model's output to a number in the task's own unit (R², bits per spike), or to one per trial.
    run : callable
        ``run(model, inputs)``, for a model that is called in some other way.

    Raises
    ------
    ValueError
        If the ablation changes nothing, or, with a number per trial, less than three standard errors: the
        share that a dictionary recovers is then undefined.
    """
    with torch.no_grad():
        scores = [torch.as_tensor(metric(run(model, inputs))).double()]
        for value in (dictionary, lambda part: dictionary.mean.expand_as(part)):
            with patch(model, {site: value}):
                scores.append(torch.as_tensor(metric(run(model, inputs))).double())
    original, rebuilt, ablated = (float(score.mean()) for score in scores)
    cost = scores[2] - scores[0]
    least = CERTAIN * float(cost.std() / cost.numel() ** 0.5) if cost.numel() > 1 else 0.0
    if not abs(ablated - original) > least:
        raise ValueError(
            f"without site {site!r} the metric is {ablated:.4g}, with it {original:.4g}: too near to speak of a "
            "share; does the task need this site?"
        )
    return Recovered(original, rebuilt, ablated, (ablated - rebuilt) / (ablated - original))


def sweep_k(
    cfg: TopKConfig,
    train: Tensor,
    valid: Tensor,
    ks: Sequence[int],
    training: DictionaryTraining | None = None,
    truth: Tensor | None = None,
) -> list[SweepRow]:
    """Train one dictionary per ``k``.

    Explained variance grows with ``k`` and cannot choose it; recovery of a known truth, or stability over
    seeds, can. Too small a ``k`` mixes features.

    Parameters
    ----------
    cfg : TopKConfig
    train, valid : Tensor, shape (n, n_channels)
    ks : sequence of int
    training : DictionaryTraining, optional
    truth : Tensor, shape (n_atoms, n_channels), optional
        Atoms of a simulation.

    References
    ----------
    .. [1] Chanin & Garriga-Alonso (2025), "Sparse but wrong: incorrect L0 leads to incorrect features in sparse
       autoencoders", arXiv 2508.16560.
    """
    flat, rows = pca_explained(train, valid, ks), []
    for k in ks:
        model, _ = train_dictionary(replace(cfg, k=k), train, training)
        found = quality(model, valid)
        mmcs = mean_max_cosine(truth, model.W_dec) if truth is not None else float("nan")
        rows.append(SweepRow(k, found.l0, found.explained, flat[k], found.dead, mmcs))
    return rows
