"""Claim ``alignment.ridge``: 2,000 responses from 1,024 features of 2,000 stimuli, against scikit-learn's RidgeCV.

Five outer folds, 17 penalties, one chosen for every target. Both are given the same single-precision arrays, folds
and penalties; RidgeCV computes in double, as ``ours_double_s`` does. Ours chooses by generalised cross-validation,
theirs by leaving one out, which ``ours_loo_s`` is the time of; before anything is timed, that must give the same
penalties and predictions on a smaller set. Times are processor time, medians of calls in turn. Penalties and mean
correlations of both are in the row.
"""

import json
import statistics
import sys
import time

import numpy as np
from sklearn import __version__
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from neurolib.metrics.encoding import RidgePathConfig, grouped_folds, held_out_ridge
from neurolib.metrics.encoding_scores import correlations, fisher_mean

N_STIMULI, N_FEATURES, N_TARGETS, N_FOLDS, REPEATS, TARGET = 2000, 1024, 2000, 5, 3, 8.0
SMALL = (200, 64, 30)
NOISE = 1.5  # of responses, in deviations of their signal


def draw(n: int, p: int, t: int) -> tuple:
    """Features with a spectrum that falls, responses with noise, folds, and 17 penalties about the mean eigenvalue."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, p)) * np.arange(1, p + 1) ** -0.5
    signal = x @ rng.normal(size=(p, t))
    y = signal + NOISE * signal.std(0) * rng.normal(size=(n, t))
    penalties = n * (x.var(0)).mean() * np.logspace(-4, 4, 17)
    return x.astype(np.float32), y.astype(np.float32), grouped_folds(np.arange(n), N_FOLDS), penalties


def peer(x, y, folds, penalties) -> tuple:
    """The same by scikit-learn."""
    predictions, chosen = np.empty_like(y), []
    for fold in range(N_FOLDS):
        test = folds == fold
        model = RidgeCV(penalties, alpha_per_target=True).fit(x[~test], y[~test])
        predictions[test] = model.predict(x[test])
        chosen.append(model.alpha_)
    return predictions, np.stack(chosen)


def ours(x, y, folds, penalties, criterion="gcv") -> tuple:
    """The same by sums per fold and one eigendecomposition of each training set."""
    return held_out_ridge(x, y, folds, RidgePathConfig(tuple(penalties), False, criterion))


def mean_r(y, predictions, folds) -> float:
    """Mean over targets of the correlation within folds."""
    parts = [correlations(y[folds == fold], predictions[folds == fold]) for fold in range(N_FOLDS)]
    return float(fisher_mean(parts).mean())


def check() -> None:
    """Compare, or stop: a faster wrong answer is no claim."""
    x, y, folds, penalties = draw(*SMALL)
    x, y = x.astype(float), y.astype(float)
    theirs, found = peer(x, y, folds, penalties), ours(x, y, folds, penalties, "loo")
    apart = abs(theirs[0] - found[0]).max()
    if not (apart < 1e-8 and np.allclose(theirs[1], found[1], rtol=1e-12)):
        raise AssertionError(f"predictions of leaving one out differ by {apart}")


def timed(function, *args) -> tuple[float, tuple]:
    """Processor seconds and the answer."""
    start = time.process_time()
    answer = function(*args)
    return time.process_time() - start, answer


@threadpool_limits.wrap(limits=1)
def main() -> list[dict]:
    """Compare and time."""
    check()
    data = draw(N_STIMULI, N_FEATURES, N_TARGETS)
    x, y, folds, penalties = data
    double = (x.astype(float), y.astype(float), folds, penalties)
    times: dict[str, list[float]] = {"ours": [], "double": [], "peer": []}
    answers = {}
    for _ in range(REPEATS):
        for name, function, args in (("ours", ours, data), ("double", ours, double), ("peer", peer, data)):
            seconds, answers[name] = timed(function, *args)
            times[name].append(seconds)
    loo_s, loo = timed(ours, *data, "loo")
    ours_s, double_s, peer_s = (statistics.median(values) for values in times.values())
    found, theirs = answers["ours"], answers["peer"]
    steps = np.abs(np.log10(found[1] / theirs[1])) / 0.5  # of the grid
    row = {"claim": "alignment.ridge", "ours_s": ours_s, "peer_s": peer_s, "ratio": peer_s / ours_s}
    row |= {"target": TARGET, "peer": f"scikit-learn {__version__} RidgeCV(alpha_per_target=True)"}
    row |= {"ours_double_s": double_s, "ours_loo_s": loo_s}
    row |= {"same_penalty": float((steps < 0.5).mean()), "within_one_step": float((steps < 1.5).mean())}
    row |= {"same_penalty_loo": float(np.isclose(loo[1], theirs[1]).mean())}
    row |= {"mean_r": mean_r(y, found[0], folds), "peer_mean_r": mean_r(y, theirs[0], folds)}
    return [row | {"device": "cpu", "threads": 1}]


if __name__ == "__main__":
    for result in main():
        print(
            f"{result['claim']}: {result['ratio']:.1f}x as fast as {result['peer']}: {result['ours_s']:.2f} s, peer "
            f"{result['peer_s']:.2f} s; {100 * result['same_penalty']:.0f} % of penalties the same, mean r "
            f"{result['mean_r']:.4f}, peer {result['peer_mean_r']:.4f}; by leaving one out {result['ours_loo_s']:.1f} s",
            file=sys.stderr,
        )
        print(json.dumps(result))
