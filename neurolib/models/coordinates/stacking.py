"""A mixture of the densities of several models: probabilities of foci in, their mixture out.

The weights are those under which the hidden foci of validation studies are most probable: the same
for every study, or, if features of the study are given, different from study to study.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import log_softmax, logsumexp, softmax

from neurolib.data.coordinate_splits import HoldOut
from neurolib.data.coordinates import Coordinates, tiny
from neurolib.metrics.density_gain import mixture_weights
from neurolib.models.coordinates.density_model import DensityModel, part

FEATURES = ("log foci", "log distance", "log mirrored distance", "log tables", "largest topic")
FAR_MM = 60.0  # distance of a focus that has no other


@dataclass(frozen=True)
class StackConfig:
    """Penalties to choose from on how far weights depend on the study, and the folds to choose by.

    Examples
    --------
    >>> StackConfig().build({"near": None, "far": None}).names
    ('near', 'far')
    """

    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # on squared coefficients, nats per focus
    n_folds: int = 5
    n_iterations: int = 200  # of expectation maximisation, and most of the gradient's
    seed: int = 0

    def __post_init__(self):
        if not self.penalties or not min(self.penalties) > 0:
            raise ValueError(f"penalties={self.penalties} must be above 0")
        if self.n_folds < 2:
            raise ValueError(f"n_folds={self.n_folds} must be at least 2")

    def build(self, models: Mapping[str, DensityModel | None]) -> "Stack":
        """Make the mixture of named models; a name without a model is a place for its probabilities."""
        return Stack(models, self)


class Stack:
    r"""The mixture of :class:`StackConfig`, in two forms.

    .. math:: p(v \mid s) = \sum_m w_m(s)\, p_m(v \mid s), \qquad
        w(s) = \mathrm{softmax}(\log w^\mathrm{EM} + B\,[1, f_s])

    Without features only :math:`w^\mathrm{EM}` is fitted, by expectation maximisation. With features,
    :math:`B` starts at zero and maximises the mean log probability per focus less a penalty on its
    squares, chosen by cross-validation over studies; under a large penalty the weights are those of
    expectation maximisation. Features are standardised inside.

    Parameters
    ----------
    models : mapping of str to DensityModel or None
        Trained; only :meth:`hidden` and :meth:`density` need them.
    cfg : StackConfig, optional

    Attributes
    ----------
    constant : array, shape (n_models,)
        The weights of expectation maximisation.
    penalty : float
        The chosen one; infinite without features.
    cross_validated : dict
        Nats per focus on left-out studies under each penalty, and under ``inf``.

    References
    ----------
    .. [1] Jacobs et al. (1991). Adaptive mixtures of local experts. Neural Computation 3, 79-87.
    .. [2] Breiman (1996). Stacked regressions. Machine Learning 24, 49-64.

    Examples
    --------
    >>> stack = Stack({"good": None, "bad": None}).fit(np.array([[0.8, 0.8], [0.1, 0.1]]))
    >>> stack.weights().round(3).tolist()
    [[1.0, 0.0]]
    >>> stack.combine(np.array([[0.6], [0.2]])).round(3)
    array([0.6])
    """

    def __init__(self, models: Mapping[str, DensityModel | None], cfg: StackConfig | None = None):
        if not models:
            raise ValueError("no models to mix")
        self.models, self.cfg = dict(models), cfg or StackConfig()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, in the order of the weights."""
        return tuple(self.models)

    def fit(
        self, probabilities: ArrayLike, features: ArrayLike | None = None, of: ArrayLike | None = None
    ) -> "Stack":
        """Find the weights on validation foci.

        Parameters
        ----------
        probabilities : array, shape (n_models, n_foci)
            Of each hidden focus under each model.
        features : array, shape (n_studies, n_features), optional
            As :func:`study_features` gives them; without ``of`` one row per focus.
        of : array of int, shape (n_foci,), optional
            Row of ``features`` of each focus: ``hold_out.hidden_of``.

        Raises
        ------
        ValueError
            If shapes do not fit or a focus is impossible under all models.
        """
        p = self._checked(probabilities)
        self.constant = mixture_weights(p, self.cfg.n_iterations)
        self.penalty, self.cross_validated = np.inf, {}
        self.centre = self.scale = self.slopes = None
        if features is None:
            return self
        features, of = self._rows(features, of, p.shape[1])
        self.centre, self.scale = features.mean(0), features.std(0)
        self.scale = np.where(self.scale > 1e-9, self.scale, 1.0)  # a constant feature says nothing
        inputs, log_p = self._inputs(features), _log(p)
        self.cross_validated = self._cross_validate(p, log_p, inputs, of)
        self.penalty = max(self.cross_validated, key=self.cross_validated.get)
        if np.isfinite(self.penalty):
            self.slopes = self._ascend(log_p, inputs, of, self.constant, self.penalty)
        return self

    def weights(self, features: ArrayLike | None = None) -> NDArray:
        """Weights of the models for each row of features, shape (n_studies, n_models); one row without."""
        if not hasattr(self, "constant"):
            raise ValueError("these weights have not been fitted; call fit with validation foci")
        if self.slopes is None:
            n = 1 if features is None else len(np.asarray(features))
            return np.tile(self.constant, (n, 1))
        if features is None:
            raise ValueError("these weights depend on the study; give the features they were fitted with")
        features = np.asarray(features, float)
        if features.ndim != 2 or features.shape[1] != len(self.centre):
            raise ValueError(f"features {features.shape} for weights fitted on {len(self.centre)} features")
        return softmax(_log(self.constant) + self._inputs(features) @ self.slopes, axis=1)

    def combine(
        self, probabilities: ArrayLike, features: ArrayLike | None = None, of: ArrayLike | None = None
    ) -> NDArray:
        """Probability of each focus under the mixture, shape (n_foci,); arguments as for :meth:`fit`."""
        p = np.asarray(probabilities, float)
        if p.ndim != 2 or len(p) != len(self.models):
            raise ValueError(
                f"probabilities {p.shape} for {len(self.models)} models: {', '.join(self.names)}"
            )
        weights = self.weights(features)
        if features is None:
            return weights[0] @ p
        _, of = self._rows(features, of, p.shape[1])
        return np.einsum("mf,fm->f", p, weights[of])

    def hidden(self, corpus: Coordinates, voxels: NDArray, hold_out: HoldOut) -> NDArray:
        """Probability of each hidden focus, with the features of :func:`study_features`, shape (n_hidden,)."""
        p = np.stack([model.hidden(corpus, voxels, hold_out) for model in self._all_models().values()])
        if self.slopes is None:
            return self.combine(p)
        return self.combine(p, study_features(corpus, hold_out), hold_out.hidden_of)

    def density(self, corpus: Coordinates, voxels: NDArray, foci: ArrayLike, study: int) -> NDArray:
        """The map of one study given rows of its foci that are seen, shape (n_voxels,), sum 1."""
        foci, none = np.asarray(foci, int), np.zeros(0, int)
        seen = HoldOut(np.array([study]), foci, np.zeros(len(foci), int), none, none)
        weights = self.weights(None if self.slopes is None else study_features(corpus, seen))[0]
        maps = (model.density(corpus, voxels, foci, study) for model in self._all_models().values())
        return sum(weight * density for weight, density in zip(weights, maps, strict=True))

    def _all_models(self) -> dict[str, DensityModel]:
        missing = [name for name, model in self.models.items() if model is None]
        if missing:
            raise ValueError(f"{missing[0]!r} has no model, only its name; mix its probabilities by combine")
        return self.models

    def _checked(self, probabilities: ArrayLike) -> NDArray:
        p = np.asarray(probabilities, float)
        if p.ndim != 2 or len(p) != len(self.models) or not p.shape[1]:
            raise ValueError(
                f"probabilities {p.shape} for {len(self.models)} models: {', '.join(self.names)}"
            )
        if not (np.isfinite(p).all() and (p >= 0).all()):
            raise ValueError("a probability is negative or not a number; are these logarithms?")
        if not p.max(0).all():
            raise ValueError(
                f"{(p.max(0) == 0).sum()} foci are impossible under all models; add the global density"
            )
        return p

    def _rows(self, features: ArrayLike, of: ArrayLike | None, n_foci: int) -> tuple[NDArray, NDArray]:
        features = np.asarray(features, float)
        of = np.arange(n_foci) if of is None else np.asarray(of, int)
        if features.ndim != 2 or of.shape != (n_foci,) or (n_foci and of.max() >= len(features)):
            raise ValueError(
                f"features {features.shape} and of {of.shape} for {n_foci} foci; give one row of features per "
                "study and of=hold_out.hidden_of"
            )
        return features, of

    def _inputs(self, features: NDArray) -> NDArray:
        return np.c_[np.ones(len(features)), (features - self.centre) / self.scale]

    def _ascend(self, log_p, inputs, of, constant, penalty) -> NDArray:
        """Slopes (n_inputs, n_models) that maximise mean log probability less the penalty."""
        start, n = _log(constant), log_p.shape[1]
        shape = (inputs.shape[1], len(start))

        def loss(flat: NDArray) -> tuple[float, NDArray]:
            slopes = flat.reshape(shape)
            log_w = log_softmax(start + inputs @ slopes, axis=1)
            joint = log_p.T + log_w[of]  # (focus, model)
            total = logsumexp(joint, axis=1, keepdims=True)
            excess = np.exp(joint - total) - np.exp(log_w[of])
            pull = np.stack([np.bincount(of, column, len(inputs)) for column in excess.T], 1)
            gradient = 2 * penalty * slopes - inputs.T @ pull / n
            return penalty * (slopes**2).sum() - total.mean(), gradient.ravel()

        options = {"maxiter": self.cfg.n_iterations}
        found = minimize(loss, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options=options)
        return found.x.reshape(shape)

    def _cross_validate(self, p, log_p, inputs, of) -> dict[float, float]:
        """Nats per focus on left-out studies under each penalty."""
        fold = np.random.default_rng(self.cfg.seed).permutation(len(inputs)) % self.cfg.n_folds
        totals = dict.fromkeys((np.inf, *sorted(self.cfg.penalties, reverse=True)), 0.0)
        for k in range(self.cfg.n_folds):
            out = fold[of] == k
            if out.all() or not out.any():
                continue
            constant = mixture_weights(p[:, ~out], self.cfg.n_iterations)
            for penalty in totals:
                logits = _log(constant)
                if np.isfinite(penalty):
                    slopes = self._ascend(log_p[:, ~out], inputs, of[~out], constant, penalty)
                    logits = logits + inputs @ slopes
                log_w = log_softmax(np.broadcast_to(logits, (len(inputs), len(p))), axis=1)
                totals[penalty] += logsumexp(log_p[:, out].T + log_w[of[out]], axis=1).sum()
        return {penalty: total / p.shape[1] for penalty, total in totals.items()}


def study_features(corpus: Coordinates, hold_out: HoldOut) -> NDArray:
    """What may tell how far to trust which model, from seen foci and topics alone: :data:`FEATURES`.

    Parameters
    ----------
    corpus : Coordinates
    hold_out : HoldOut

    Returns
    -------
    array, shape (n_studies, 5)
        Logarithms of 1 + the number of seen foci, of 1 + the median distance in mm from a seen focus to the
        nearest other, the same from its mirror image to the nearest seen focus, and of 1 + the number of
        seen tables; and the largest weight of a topic.

    Examples
    --------
    >>> corpus = tiny([[-30.0, 0, 0], [30, 0, 0]], study=[0, 0])
    >>> whole = HoldOut(*map(np.array, ([0], [0, 1], [0, 0], [], [])))
    >>> features = study_features(corpus, whole)[0]
    >>> bool(features[1] > features[2]), features[[0, 3, 4]].round(2).tolist()  # mirrored they fall together
    (True, [1.1, 0.69, 0.0])
    """
    rows = []
    for i, study in enumerate(hold_out.studies):
        seen = part(hold_out, i, i + 1).seen
        xyz = tiny(corpus.xyz_mm[seen], np.zeros(len(seen)), focus_id=corpus.focus_id[seen]).dequantised()
        other = mirrored = FAR_MM
        if len(seen):
            tree = cKDTree(xyz)
            mirrored = np.median(tree.query(xyz * [-1, 1, 1])[0])
        if len(seen) > 1:
            other = np.median(tree.query(xyz, 2)[0][:, 1])
        tables = len(np.unique(corpus.table[seen]))
        topic = corpus.topics[study].max(initial=0)
        rows.append([*np.log1p([len(seen), min(other, FAR_MM), min(mirrored, FAR_MM), tables]), topic])
    return np.array(rows).reshape(-1, len(FEATURES))


def _log(p: NDArray) -> NDArray:
    """Logarithm that stays finite for a probability of zero."""
    return np.log(np.maximum(p, 1e-300))
