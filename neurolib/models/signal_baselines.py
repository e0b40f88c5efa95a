"""The method of a few lines for each kind of signal: a :class:`~neurolib.data.signal_tasks.SignalTask` in, test predictions out.

Fitted to training windows; what is to be chosen is chosen on validation windows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import BernoulliNB

from neurolib.data.signal_tasks import SignalTask

DIRECTION = 1000  # classes of naive Bayes are bin + DIRECTION * direction


def log_variance_discriminant(task: SignalTask, floor: float = 0.01) -> NDArray:
    """Class of each test window: log variance of every electrode, Fisher's discriminant, one per session.

    Parameters
    ----------
    task : SignalTask
        Of classes. Its ``session`` says whose windows share a discriminant: persons.
    floor : float
        Added to variances, in squared units of the signal.

    Returns
    -------
    array, shape (n_test,)
    """
    power, said = np.log(task.values.var(axis=1) + floor), np.empty_like(task.target)
    n_classes = len(np.unique(task.target))
    for session in np.unique(task.session):
        own = task.session == session
        train = own & (task.part == "train")
        rule = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(n_classes, 1 / n_classes)
        )
        said[own] = rule.fit(power[train], task.target[train]).predict(power[own])
    return said[task.part == "test"]


def naive_bayes(task: SignalTask, alphas: Sequence[float] = (0.03, 0.1, 0.3, 1.0)) -> NDArray:
    """Bin of the track in each test window, from which cells had an event: median of the posterior.

    A state is a bin and a direction of running (``task.state``), since cells fire differently in the two; one
    model per session.

    Parameters
    ----------
    task : SignalTask
        With bins as targets.
    alphas : sequence of float
        Smoothing to choose from.

    Returns
    -------
    array, shape (n_test,)
    """
    active, label = task.values.any(axis=1), task.target + DIRECTION * task.state
    found = []
    for alpha in alphas:
        said = np.zeros(len(task))
        for session in np.unique(task.session):
            own = task.session == session
            train = own & (task.part == "train")
            model = BernoulliNB(alpha=alpha).fit(active[train], label[train])
            said[own] = _median_bin(model.classes_ % DIRECTION, model.predict_proba(active[own]))
        found.append(said)
    misses = [abs(said - task.target)[task.part == "valid"].mean() for said in found]
    return found[int(np.argmin(misses))][task.part == "test"]


def _median_bin(bins: NDArray, belief: NDArray) -> NDArray:
    """Median over bins of a posterior ``(window, state)``.

    Examples
    --------
    >>> _median_bin(np.array([3, 4, 3]), np.array([[0.3, 0.4, 0.3], [0.1, 0.8, 0.1]])).tolist()
    [3, 4]
    """
    places = np.unique(bins)
    up_to = np.cumsum([belief[:, bins == place].sum(axis=1) for place in places], axis=0)
    return places[(up_to < 0.5).sum(axis=0).clip(max=len(places) - 1)]


def linear_forecast(
    task: SignalTask,
    n_past: int,
    by_session: bool,
    penalties: Sequence[float] = (1.0, 10.0, 100.0, 1000.0, 3000.0),
) -> NDArray:
    """Targets of the test windows by ridge regression on the last samples of all channels.

    With one channel it is an autoregression of order ``n_past``, fitted to each moment ahead by itself.

    Parameters
    ----------
    task : SignalTask
        With values as targets.
    n_past : int
        Samples.
    by_session : bool
        One regression per session, or one for all.
    penalties : sequence of float
        To choose from.

    Returns
    -------
    array, shape (n_test, k)
    """
    past = task.values[:, -n_past:].reshape(len(task), -1)
    group = task.session if by_session else np.zeros(len(task), int)
    said = np.zeros(task.target.shape)
    for one in np.unique(group):
        own = group == one
        train, valid = own & (task.part == "train"), own & (task.part == "valid")
        fits = [Ridge(penalty).fit(past[train], task.target[train]) for penalty in penalties]
        misses = [((fit.predict(past[valid]) - task.target[valid]) ** 2).mean() for fit in fits]
        said[own] = fits[int(np.argmin(misses))].predict(past[own])
    return said[task.part == "test"]
