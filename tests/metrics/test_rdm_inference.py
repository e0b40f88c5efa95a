"""Resamples against a slow loop that really resamples, variances against a closed form, and tests against their level."""

import numpy as np
import pytest
from scipy.spatial.distance import squareform
from scipy.stats import kstest, rankdata

from neurolib.metrics.rdm_comparison import compare_rdms, noise_ceiling
from neurolib.metrics.rdm_inference import (
    bootstrap_rdms,
    permutation_null,
    two_factor_variance,
)
from neurolib.metrics.rdm_resamples import FAST, resampled_scores

RNG = np.random.default_rng(0)
N = 20
PAIRS = N * (N - 1) // 2
TRUTH = RNG.random(PAIRS)
MODELS = np.stack([TRUTH + 0.3 * RNG.random(PAIRS), TRUTH > 0.5, RNG.random(PAIRS)])
SUBJECTS = TRUTH + RNG.random((3, PAIRS))


def drawn_pairs(rdm, draws):
    """An RDM really resampled, without pairs of a stimulus and its own copy; and where they stood."""
    table = squareform(rdm)[np.ix_(draws, draws)]
    kept = np.array(
        [(a, b) for a in range(len(draws)) for b in range(a + 1, len(draws)) if draws[a] != draws[b]]
    )
    return table[kept[:, 0], kept[:, 1]], kept


def slow_score(x, y, draws, comparator):
    (x, kept), (y, _) = drawn_pairs(x, draws), drawn_pairs(y, draws)
    if comparator == "rho_a":
        r, s, m = rankdata(x), rankdata(y), len(x)
        return 12 * ((r - r.mean()) * (s - s.mean())).sum() / (m**3 - m)
    if comparator == "spearman":
        return np.corrcoef(rankdata(x), rankdata(y))[0, 1]
    if comparator.endswith("pearson"):
        x, y = x - x.mean(), y - y.mean()
    if comparator.startswith(
        "whitened"
    ):  # what a term per draw leaves of a Gram matrix, its diagonal included
        n = len(draws)
        design = np.zeros((2 * len(kept) + n, n))
        for row, (a, b) in enumerate(np.repeat(kept, 2, axis=0)):
            design[row, a] = design[row, b] = 1
        design[2 * len(kept) :] = 2 * np.eye(n)
        x, y = (np.concatenate([np.repeat(v, 2), np.zeros(n)]) for v in (x, y))
        x, y = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y))
    return x @ y / np.sqrt((x @ x) * (y @ y))


def counts_of(draws):
    return np.stack([np.bincount(row, minlength=N) for row in draws])


@pytest.mark.parametrize("comparator", FAST)
def test_a_resample_scores_what_it_would_if_its_rdms_were_made(comparator):
    draws = np.random.default_rng(1).integers(0, N, (40, N))  # more than a strip of ranks
    scores, agreement, reach = resampled_scores(MODELS, SUBJECTS, counts_of(draws), comparator)
    for b in (0, 1, 39):
        slow = [[slow_score(x, y, draws[b], comparator) for y in SUBJECTS] for x in (*MODELS, *SUBJECTS)]
        np.testing.assert_allclose(np.concatenate([scores[b], agreement[b]]), slow, atol=1e-10)
        assert reach[b] ** 2 == pytest.approx(agreement[b, 0, 0])
    whole, _, _ = resampled_scores(MODELS, SUBJECTS, np.ones((1, N)), comparator)
    np.testing.assert_allclose(whole[0], compare_rdms(MODELS, SUBJECTS, comparator), atol=1e-10)


# rsatoolbox 0.3.2, RDMs.subsample_pattern([0, 0, 1, 2, 2, 3, 5, 5, 5]) and compare, of the two RDMs of `frozen`
GOLDEN = {
    "rho_a": 0.140725806452,
    "spearman": 0.154699219868,
    "pearson": 0.317859255668,
    "cosine": 0.854711048591,
    "whitened_pearson": 0.412563497692,
    "whitened_cosine": 0.659010965733,
}


def frozen():
    pair = np.arange(21)
    return np.array([(pair * 5) % 7 // 2 + 0.0, (pair * 13) % 31 / 10 + 0.4 * (pair % 7)])


@pytest.mark.parametrize("comparator", FAST)
def test_equal_to_rsatoolbox_on_the_same_draws(comparator):
    counts = np.bincount([0, 0, 1, 2, 2, 3, 5, 5, 5], minlength=7)[None]
    scores, _, _ = resampled_scores(*frozen()[:, None], counts, comparator)
    assert scores[0, 0, 0] == pytest.approx(GOLDEN[comparator], abs=1e-10)


@pytest.mark.parametrize("over", ["stimuli", "subjects", "both"])
@pytest.mark.parametrize("comparator", ["pearson", "rho_a"])
def test_estimates_are_those_of_the_whole_and_draws_are_shared(over, comparator):
    named = dict(zip("abc", MODELS, strict=True))
    spread = bootstrap_rdms(named, SUBJECTS, comparator, over, n_resamples=300)
    np.testing.assert_allclose(spread.estimates[:3], compare_rdms(MODELS, SUBJECTS, comparator).mean(axis=1))
    np.testing.assert_allclose(spread.estimates[3:], noise_ceiling(SUBJECTS, comparator)[:2])
    alone = bootstrap_rdms({"b": MODELS[1]}, SUBJECTS, comparator, over, n_resamples=300)
    for factor, values in alone.evaluations.items():  # whatever else is compared
        np.testing.assert_allclose(values[:, 0], spread.evaluations[factor][:, 1], atol=1e-12)
    difference = spread.interval("a", minus="b")
    assert difference.estimate == pytest.approx(spread.estimates[0] - spread.estimates[1])
    assert difference.n == {"stimuli": N, "subjects": 3, "both": 3}[over]
    assert spread.p_value("a") < 0.05 < spread.p_value("c")
    close = spread.interval("a", minus="upper ceiling")
    assert close.high - close.low > 0


def test_drawn_subjects_and_their_ceiling_equal_a_loop():
    spread = bootstrap_rdms(MODELS, SUBJECTS, "pearson", "subjects", n_resamples=50, seed=3)
    rng = np.random.default_rng(3)
    rng.integers(0, N, (50, N))
    people = rng.integers(0, 3, (50, 3))
    z = (SUBJECTS - SUBJECTS.mean(1, keepdims=True)) / SUBJECTS.std(1, keepdims=True)
    for b in range(50):
        rows = people[b]
        score = compare_rdms(MODELS, SUBJECTS[rows], "pearson").mean(axis=1)
        upper = np.mean([np.corrcoef(z[k], z[rows].sum(0))[0, 1] for k in rows])
        others = [rows[rows != k] for k in rows]  # all copies of a subject are left out
        lower = np.nan
        if all(map(len, others)):
            lower = np.mean([np.corrcoef(z[k], z[o].sum(0))[0, 1] for k, o in zip(rows, others, strict=True)])
        np.testing.assert_allclose(spread.evaluations["subjects"][b], [*score, lower, upper], atol=1e-10)


def test_two_factor_variance_is_unbiased_for_a_mean_over_a_table():
    rng, n_rows, n_columns, rounds = np.random.default_rng(0), 4, 6, 4000
    parts = [
        rng.normal(size=(rounds, *shape)) for shape in ((n_rows, 1), (1, n_columns), (n_rows, n_columns))
    ]
    table = sum(parts)
    truth = 1 / n_rows + 1 / n_columns + 1 / (n_rows * n_columns)
    rows = table.mean(axis=2).var(axis=1) / n_rows  # what bootstraps over either would give, without chance
    columns = table.mean(axis=1).var(axis=1) / n_columns
    rest = table - table.mean(axis=2, keepdims=True) - table.mean(axis=1, keepdims=True)
    rest = (rest + table.mean(axis=(1, 2), keepdims=True)).var(axis=(1, 2))
    both = rows + columns + rest / (n_rows * n_columns)
    found = [two_factor_variance(*v, n_rows, n_columns) for v in zip(both, rows, columns, strict=True)]
    assert np.mean(found) == pytest.approx(truth, rel=0.02)
    assert both.mean() < 0.95 * truth  # so V may not be kept below it
    assert two_factor_variance(10.0, 2.0, 3.0) == 3.0  # no less than either factor alone
    assert two_factor_variance(4.0, 2.0, 3.0) == 5.0  # nothing that they do together


@pytest.mark.parametrize("comparator", ["pearson", "rho_a", "whitened_cosine", "tau_a"])
def test_permutations_are_those_of_a_loop(comparator):
    found = permutation_null(MODELS, SUBJECTS, comparator, 5, seed=4)
    rng = np.random.default_rng(4)
    for row in found.null:
        order = rng.permutation(N)
        moved = [squareform(squareform(rdm)[np.ix_(order, order)], checks=False) for rdm in SUBJECTS]
        back = [squareform(squareform(rdm * 1.0)[np.ix_(order, order)], checks=False) for rdm in MODELS]
        slow = compare_rdms(back, SUBJECTS, comparator) if comparator == "tau_a" else None
        slow = compare_rdms(MODELS, moved, comparator) if slow is None else slow
        np.testing.assert_allclose(row, slow.mean(axis=1), atol=1e-10)
    assert (found.p_values == (1 + (found.null >= found.scores).sum(axis=0)) / 6).all()


def test_permutation_p_is_uniform_where_a_naive_one_is_not():
    from scipy.stats import pearsonr

    rng, ours, naive = np.random.default_rng(2), [], []
    for seed in range(200):
        x, y = (rng.normal(size=(10, 2)) for _ in range(2))
        rows, columns = np.triu_indices(10, 1)
        x, y = (((v[rows] - v[columns]) ** 2).sum(axis=1) for v in (x, y))
        ours.append(permutation_null(x, y, "pearson", 99, seed).p_values[0])
        naive.append(pearsonr(x, y, alternative="greater").pvalue)
    assert kstest(ours, "uniform").pvalue > 0.05
    assert np.mean(np.array(naive) < 0.05) > 0.1 > np.mean(np.array(ours) <= 0.05)


def test_what_is_missing_is_named():
    few = MODELS[:, :45]
    with pytest.raises(ValueError, match="10 stimuli are too few to stand for others"):
        bootstrap_rdms(few, SUBJECTS[:, :45], over="both")
    bootstrap_rdms(few, SUBJECTS[:, :45], over="subjects", n_resamples=2)  # those stimuli, other subjects
    with pytest.raises(ValueError, match="one subject cannot stand for others"):
        bootstrap_rdms(MODELS, SUBJECTS[0])
    with pytest.raises(ValueError, match="comparator='tau_a'"):
        bootstrap_rdms(MODELS, SUBJECTS, "tau_a")
    with pytest.raises(ValueError, match="model 'b': 0 holds NaN"):
        bootstrap_rdms({"a": TRUTH, "b": np.full(PAIRS, np.nan)}, SUBJECTS)
    spread = bootstrap_rdms(MODELS, SUBJECTS[:1], over="stimuli", n_resamples=10)
    with pytest.raises(ValueError, match="no 'upper ceiling'; there are model 0, model 1, model 2"):
        spread.interval("model 0", minus="upper ceiling")


def test_a_model_that_sets_one_stimulus_apart_is_lost_with_it():
    odd = squareform(
        np.pad(np.zeros((N - 1, N - 1)), ((1, 0), (1, 0)), constant_values=1) - np.eye(N) * 0, checks=False
    )
    spread = bootstrap_rdms({"odd": odd, "truth": TRUTH}, SUBJECTS, over="stimuli", n_resamples=200)
    assert np.isfinite(spread.interval("truth").low)
    with pytest.raises(ValueError, match=r"'odd' .* no score in 3\d%"):
        spread.interval("odd")
