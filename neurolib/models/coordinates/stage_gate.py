"""Whether a second level of latents is worth keeping: scores and clusters in, GO or NO-GO out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr


class StageGate(NamedTuple):
    """Outcome of :func:`stage_gate`.

    Parameters
    ----------
    go : bool
    reason : str
        The numbers behind it.
    """

    go: bool
    reason: str


def stage_gate(
    ladder_nats: float,
    flat_nats: float,
    upper_clusters: ArrayLike,
    pca_clusters: ArrayLike,
    topics: ArrayLike,
    tolerance: float = 0.01,
) -> StageGate:
    """Whether two levels are worth keeping: GO or NO-GO, and why.

    Parameters
    ----------
    ladder_nats, flat_nats : float
        Evidence per coordinate of the ladder and of a flat model, on the same studies.
    upper_clusters, pca_clusters : array of int, shape (n_studies,)
        Clusters of the upper latents, and as many of as many principal components of the maps.
    topics : array, shape (n_studies, n_topics)
    tolerance : float
        Nats per coordinate that the ladder may lose.

    Raises
    ------
    ValueError
        If a score is not finite, or the clusterings differ in their number of clusters, by which
        information grows.

    Examples
    --------
    >>> topics = np.eye(2)[[0, 0, 1, 1]]
    >>> stage_gate(0.50, 0.49, [0, 0, 1, 1], [0, 1, 0, 1], topics).go
    True
    >>> print(stage_gate(0.45, 0.49, [0, 0, 1, 1], [0, 1, 0, 1], topics).reason)
    NO-GO: evidence 0.450 is more than 0.01 nats below the flat model's 0.490
    """
    if not np.isfinite([ladder_nats, flat_nats]).all():
        raise ValueError(f"evidence of {ladder_nats} and {flat_nats} nats: one of the models has failed")
    sizes = [len(np.unique(clusters)) for clusters in (upper_clusters, pca_clusters)]
    if sizes[0] != sizes[1]:
        raise ValueError(f"{sizes[0]} clusters of latents against {sizes[1]} of components; compare as many")
    ours, theirs = (topic_information(clusters, topics) for clusters in (upper_clusters, pca_clusters))
    against = []
    if ladder_nats < flat_nats - tolerance:
        against.append(
            f"evidence {ladder_nats:.3f} is more than {tolerance:g} nats below the flat model's {flat_nats:.3f}"
        )
    if not ours > theirs:
        against.append(f"clusters tell {ours:.3f} nats of the topics, those of components {theirs:.3f}")
    if against:
        return StageGate(False, "NO-GO: " + "; ".join(against))
    return StageGate(
        True,
        f"GO: evidence {ladder_nats:.3f} against {flat_nats:.3f}; "
        f"clusters tell {ours:.3f} nats of the topics, those of components {theirs:.3f}",
    )


def topic_information(clusters: ArrayLike, topics: ArrayLike) -> float:
    """Mutual information of a study's cluster and its topic, nats.

    A study's weights are taken as the probabilities of its topic.

    Raises
    ------
    ValueError
        If clusters and topics are not of the same studies, or weights do not sum to one.

    Examples
    --------
    >>> round(topic_information([0, 0, 1, 1], np.eye(2)[[0, 0, 1, 1]]), 4)  # ln 2
    0.6931
    """
    clusters, topics = np.asarray(clusters), np.asarray(topics, float)
    if len(clusters) != len(topics):
        raise ValueError(f"clusters of {len(clusters)} studies, topics of {len(topics)}")
    if topics.ndim != 2 or not np.allclose(topics.sum(1), 1, atol=1e-3):
        raise ValueError(f"topics {topics.shape} must be weights that sum to one per study")
    names, row = np.unique(clusters, return_inverse=True)
    of_cluster = np.stack([topics[row == i].mean(0) for i in range(len(names))])
    share = np.bincount(row) / len(row)
    return float(entr(topics.mean(0)).sum() - share @ entr(of_cluster).sum(1))
