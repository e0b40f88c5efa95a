r"""Graph curvature: points ``(point, channel)`` in, how curved their neighbour graph is beside one of flat points out.

Ollivier's curvature of an edge is :math:`1 - W_1(\mu_x, \mu_y) / d(x, y)`: what it costs to move the neighbourhood of
one end to that of the other. Forman's counts degrees and triangles. On a graph of nearest neighbours of some hundred
points both say more about degrees than about the sheet the points lie on: on a flat torus they are not zero but
depend on the number of points, of neighbours and of dimensions. So a mean is never given here; what is given is how
far it lies from that of flat points with the same three, in standard deviations. It is no curvature of a manifold,
and its sign is none of a sectional curvature.

References
----------
.. [1] Ollivier (2009), "Ricci curvature of Markov chains on metric spaces", J. Funct. Anal. 256.
.. [2] Forman (2003), "Bochner's method for cell complexes and combinatorial Ricci curvature", Discrete Comput. Geom. 29.
.. [3] van der Hoorn et al. (2021), "Ollivier-Ricci curvature convergence in random geometric graphs", Phys. Rev.
   Research 3.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra
from sklearn.neighbors import NearestNeighbors

BATCH = 10  # transport problems that are solved as one; more is slower again
MOST_DIMENSIONS = 64
EXACT = 1e-9  # spread of what is determined but for rounding
MEASURES = ("ollivier", "forman", "augmented_forman")


@dataclass(frozen=True)
class GraphCurvatureConfig:
    """What is measured, and on how much; none of it may differ between layers that are compared.

    Parameters
    ----------
    measure : {"ollivier", "forman", "augmented_forman"}
    k : int
        Neighbours of a point before the graph is made symmetric.
    laziness : float
        Share of Ollivier's mass that stays at the point.
    null : {"torus", "gaussian"}
        Flat points to compare with: evenly spread without an edge, or dense in the middle. A cloud that is dense
        in the middle is far from the torus for that reason alone, so look at both.
    n_points, n_edges : int
        Drawn at random from more.
    n_nulls : int
        Sets of flat points.
    seed : int
    """

    measure: str = "ollivier"
    k: int = 10
    laziness: float = 0.5
    null: str = "torus"
    n_points: int = 600
    n_edges: int = 300
    n_nulls: int = 40
    seed: int = 0

    def __post_init__(self):
        if self.measure not in MEASURES or self.null not in ("torus", "gaussian"):
            raise ValueError(
                f"measure={self.measure!r} is one of {MEASURES} and null={self.null!r} 'torus' or 'gaussian'"
            )
        if self.k < 3 or not 0 <= self.laziness < 1 or self.n_nulls < 10 or self.n_edges < 10:
            raise ValueError(
                f"k={self.k} must be 3 or more, laziness={self.laziness} from 0 to below 1, "
                f"n_nulls={self.n_nulls} and n_edges={self.n_edges} 10 or more"
            )
        if self.n_points < 4 * self.k:
            raise ValueError(
                f"n_points={self.n_points} of k={self.k} neighbours; four times as many are needed"
            )


@dataclass(frozen=True, eq=False)
class GraphCurvature:
    """A neighbour graph beside graphs of flat points.

    Attributes
    ----------
    z : float
        Mean curvature less that of flat points of the same estimated dimension, in standard deviations of one
        such mean.
    z_degree : float
        The same of what degrees of the two ends leave, so that hubs do not count. NaN for "forman", which is
        a matter of degrees alone.
    dimension : float
        Estimated from the same neighbours (Levina and Bickel), as for the flat points.
    flat_dimensions : tuple of int
        Dimensions of the flat points, whose estimates lie to either side.
    edges, degrees : array of int, shape (n_edges, 2)
    curvature : array, shape (n_edges,)
        Of each edge looked at; for maps within one graph.
    n_points : int
    config : GraphCurvatureConfig
    """

    z: float
    z_degree: float
    dimension: float
    flat_dimensions: tuple[int, int]
    edges: NDArray
    degrees: NDArray
    curvature: NDArray
    n_points: int
    config: GraphCurvatureConfig


def graph_curvature(points: ArrayLike, config: GraphCurvatureConfig | None = None) -> GraphCurvature:
    """Curvature of the neighbour graph of points, as standard deviations from flat points.

    Parameters
    ----------
    points : array_like, shape (n_points, n_channels)
        Equal points count once.
    config : GraphCurvatureConfig, optional

    Raises
    ------
    ValueError
        If points are too few or not finite, or have more dimensions than flat points can be made for.
    """
    config = config or GraphCurvatureConfig()
    x = np.asarray(points, float)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"points {x.shape} must be a finite table with a row per point")
    x = np.unique(x - x.mean(axis=0), axis=0)
    if len(x) < 4 * config.k:
        raise ValueError(
            f"{len(x)} different points for k={config.k} neighbours; four times as many are needed"
        )
    if len(x) > config.n_points:
        x = x[np.random.default_rng(config.seed).permutation(len(x))[: config.n_points]]
    return graph_curvature_of_neighbours(*NearestNeighbors(n_neighbors=config.k).fit(x).kneighbors(), config)


def graph_curvature_of_neighbours(
    distances: ArrayLike, neighbours: ArrayLike, config: GraphCurvatureConfig | None = None
) -> GraphCurvature:
    """The same from neighbours that are already known, such as geodesic ones.

    Parameters
    ----------
    distances : array_like, shape (n_points, k)
        The nearest first, positive.
    neighbours : array_like of int, shape (n_points, k)
    config : GraphCurvatureConfig, optional
        ``k`` must be that of the neighbours.
    """
    config = config or GraphCurvatureConfig()
    distances, neighbours = np.asarray(distances, float), np.asarray(neighbours)
    if distances.shape != neighbours.shape or distances.ndim != 2 or distances.shape[1] != config.k:
        raise ValueError(f"distances {distances.shape} and neighbours {neighbours.shape} for k={config.k}")
    if not (distances > 0).all():
        raise ValueError("some neighbours have no distance; take equal points away first")
    draw = np.random.default_rng(config.seed)
    n = len(distances)
    dimension = _dimension(distances)
    flat = _bracket(dimension, n, config, draw)
    edges, degrees, curvature = _measured(distances, neighbours, config, draw)
    nulls = []
    for number in range(config.n_nulls):
        gap, near = _flat_neighbours(n, flat[number % 2], config, draw)
        nulls.append((_dimension(gap), *_measured(gap, near, config, draw)[1:]))
    estimates = np.array([null[0] for null in nulls])
    means = np.array([null[2].mean() for null in nulls])

    # what degrees explain is learnt from flat points alone
    table = np.concatenate([_degree_terms(null[1]) for null in nulls])
    slopes = np.linalg.lstsq(table, np.concatenate([null[2] for null in nulls]), rcond=None)[0]
    left = [float((kappa - _degree_terms(degree) @ slopes).mean()) for _, degree, kappa in nulls]
    rest = float((curvature - _degree_terms(degrees) @ slopes).mean())
    return GraphCurvature(
        _standardised(float(curvature.mean()), dimension, means, estimates),
        _standardised(rest, dimension, np.array(left), estimates),
        dimension,
        flat,
        edges,
        degrees,
        curvature,
        n,
        config,
    )


def knn_graph(distances: ArrayLike, neighbours: ArrayLike) -> csr_array:
    """Symmetric graph of points that are neighbours either way, weighted by distance.

    Parameters
    ----------
    distances : array_like, shape (n_points, k)
    neighbours : array_like of int, shape (n_points, k)

    Examples
    --------
    >>> knn_graph([[1.0], [1.0], [2.0]], [[1], [0], [1]]).toarray()
    array([[0., 1., 0.],
           [1., 0., 2.],
           [0., 2., 0.]])
    """
    distances, neighbours = np.asarray(distances, float), np.asarray(neighbours)
    n, k = distances.shape
    graph = coo_array(
        (distances.ravel(), (np.repeat(np.arange(n), k), neighbours.ravel())), shape=(n, n)
    ).tocsr()
    return graph.maximum(graph.T).tocsr()


def ollivier_ricci(graph: csr_array, edges: ArrayLike, laziness: float = 0.5) -> NDArray:
    """Ollivier's curvature of edges, with distances along the graph and exact optimal transport.

    Mass that both ends have in common stays where it is in some best plan, so only the rest is moved; some edges are
    solved together as one linear programme.

    Parameters
    ----------
    graph : sparse array, shape (n, n)
        Symmetric; weights are lengths. The distances of all points are held.
    edges : array_like of int, shape (n_edges, 2)
    laziness : float
        Mass that stays at the point; the rest is shared evenly by its neighbours.

    Returns
    -------
    array, shape (n_edges,)

    Raises
    ------
    ValueError
        If an edge is not one of the graph.

    Examples
    --------
    An edge of a triangle: all mass but a quarter is common, and that has one step to go.

    >>> ollivier_ricci(csr_array(np.ones((3, 3)) - np.eye(3)), [[0, 1]]).tolist()
    [0.75]
    """
    graph, edges = csr_array(graph), np.asarray(edges)
    length = dijkstra(graph, directed=False)
    mass = np.zeros(graph.shape[0])
    problems, lengths = [], []
    for x, y in edges:
        near_x, near_y = (graph.indices[graph.indptr[i] : graph.indptr[i + 1]] for i in (x, y))
        if y not in near_x:
            raise ValueError(f"{x} and {y} are no edge of the graph")
        mass[x] += laziness
        mass[near_x] += (1 - laziness) / len(near_x)
        mass[y] -= laziness
        mass[near_y] -= (1 - laziness) / len(near_y)
        support = np.unique(np.concatenate([near_x, near_y]))
        support = support[np.abs(mass[support]) > 1e-12]
        give, take = support[mass[support] > 0], support[mass[support] < 0]
        problems.append((length[np.ix_(give, take)], mass[give], -mass[take]))
        lengths.append(length[x, y])
        mass[near_x] = mass[near_y] = mass[x] = mass[y] = 0
    costs = [
        cost
        for start in range(0, len(problems), BATCH)
        for cost in _transport(problems[start : start + BATCH])
    ]
    return 1 - np.array(costs) / np.array(lengths)


def forman_ricci(graph: csr_array, edges: ArrayLike, augmented: bool = True) -> NDArray:
    """Forman's curvature of edges of a graph without weights: ``4 - deg x - deg y``, and three for each triangle.

    Examples
    --------
    >>> triangle = csr_array(np.ones((3, 3)) - np.eye(3))
    >>> forman_ricci(triangle, [[0, 1]]).tolist(), forman_ricci(triangle, [[0, 1]], augmented=False).tolist()
    ([3.0], [0.0])
    """
    edges = np.asarray(edges)
    ones = csr_array((np.ones(graph.nnz), graph.indices, graph.indptr), shape=graph.shape)
    degree = np.diff(graph.indptr)
    plain = 4.0 - degree[edges].sum(axis=1)
    triangles = ones[edges[:, 0]].multiply(ones[edges[:, 1]]).sum(axis=1)
    return plain + 3 * np.asarray(triangles).ravel() if augmented else plain


def _transport(problems: list[tuple[NDArray, NDArray, NDArray]]) -> list[float]:
    """Least costs of moving masses, all problems in one linear programme of independent parts."""
    costs, masses, rows, columns, n_rows, n_columns = [], [], [], [], 0, 0
    for cost, give, take in problems:
        i, j = np.divmod(np.arange(cost.size), max(len(take), 1))
        rows += [n_rows + i, n_rows + len(give) + j]
        columns += [n_columns + np.arange(cost.size)] * 2
        masses += [give, take]
        costs.append(cost.ravel())
        n_rows, n_columns = n_rows + len(give) + len(take), n_columns + cost.size
    if not n_columns:  # both ends have the same neighbourhood
        return [0.0] * len(problems)
    at = (np.concatenate(rows), np.concatenate(columns))
    sums = coo_array((np.ones(len(at[0])), at), shape=(n_rows, n_columns)).tocsr()
    # rounding may leave two sums of one problem apart by 1e-16, which the solver's tolerance covers
    plan = linprog(np.concatenate(costs), A_eq=sums, b_eq=np.concatenate(masses), method="highs-ds")
    if plan.status:
        raise ValueError(
            f"optimal transport failed: {plan.message}; is the graph connected around each edge?"
        )
    ends = np.cumsum([len(cost) for cost in costs])[:-1]
    return [float(part @ cost) for part, cost in zip(np.split(plan.x, ends), costs, strict=True)]


def _measured(
    distances: NDArray, neighbours: NDArray, config: GraphCurvatureConfig, draw: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Some edges, degrees of their ends and their curvature."""
    graph = knn_graph(distances, neighbours)
    upper = coo_array(graph)
    edges = np.column_stack([upper.row, upper.col])[upper.row < upper.col]
    edges = edges[np.sort(draw.permutation(len(edges))[: config.n_edges])]
    if config.measure == "ollivier":
        curvature = ollivier_ricci(graph, edges, config.laziness)
    else:
        curvature = forman_ricci(graph, edges, config.measure == "augmented_forman")
    return edges, np.diff(graph.indptr)[edges], curvature


def _dimension(distances: NDArray) -> float:
    """Levina and Bickel's estimate, which is biased alike for the points and for flat ones."""
    inverse = np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1) / (distances.shape[1] - 2)
    return float(1 / inverse.mean())


def _bracket(
    dimension: float, n: int, config: GraphCurvatureConfig, draw: np.random.Generator
) -> tuple[int, int]:
    """Two dimensions of flat points whose estimates lie to either side of one."""
    for d in range(1, MOST_DIMENSIONS + 1):
        if _dimension(_flat_neighbours(n, d, config, draw)[0]) >= dimension:
            return max(d - 1, 1), max(d, 2)
    raise ValueError(
        f"an estimated dimension of {dimension:.0f} is beyond that of {n} flat points in {MOST_DIMENSIONS} dimensions"
    )


def _flat_neighbours(
    n: int, d: int, config: GraphCurvatureConfig, draw: np.random.Generator
) -> tuple[NDArray, NDArray]:
    if config.null == "gaussian":
        return NearestNeighbors(n_neighbors=config.k).fit(draw.normal(size=(n, d))).kneighbors()
    x = draw.random((n, d))
    square = np.zeros((n, n))
    for column in x.T:
        gap = np.abs(column[:, None] - column)
        square += np.minimum(gap, 1 - gap) ** 2
    np.fill_diagonal(square, np.inf)
    near = np.argpartition(square, config.k, axis=1)[:, : config.k]
    gap = np.take_along_axis(square, near, 1)
    order = np.argsort(gap, axis=1)
    return np.sqrt(np.take_along_axis(gap, order, 1)), np.take_along_axis(near, order, 1)


def _degree_terms(degrees: NDArray) -> NDArray:
    return np.column_stack([np.ones(len(degrees)), (1 / degrees).sum(axis=1), degrees.sum(axis=1)])


def _standardised(value: float, dimension: float, values: NDArray, dimensions: NDArray) -> float:
    """Distance of a value from a line through others, over the error of one prediction."""
    centre = dimensions.mean()
    table = np.column_stack([np.ones(len(values)), dimensions - centre])
    line = np.linalg.lstsq(table, values, rcond=None)[0]
    residual = values - table @ line
    scale = math.sqrt(float(residual @ residual) / (len(values) - 2))
    reach = 1 + 1 / len(values) + (dimension - centre) ** 2 / float(np.square(table[:, 1]).sum())
    off = value - float(line @ [1, dimension - centre])
    return off / (scale * math.sqrt(reach)) if scale > EXACT * (1 + np.abs(values).max()) else math.nan
