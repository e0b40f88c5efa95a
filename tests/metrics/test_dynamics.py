import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.ndimage import gaussian_filter1d

from neurolib.metrics.delays import DelayConfig, fit_operator
from neurolib.metrics.dynamics import choose_delays, dsa, phase_randomise, shuffle_channels, sweep_delays
from neurolib.metrics.procrustes import eigenvalue_distance, procrustes_distance


def planes(*speeds, decay=0.97):
    """Damped rotations, each in a plane of its own, in radians per bin."""
    return decay * block_diag(*([[np.cos(w), -np.sin(w)], [np.sin(w), np.cos(w)]] for w in speeds))


def record(a, seed, n_channels, n_trials=40, n_bins=80, noise=1.0):
    """A linear system driven by noise, seen through random channels."""
    draw = np.random.default_rng(seed)
    mixing, trials = draw.standard_normal((len(a), n_channels)), []
    for _ in range(n_trials):
        states = [3 * draw.standard_normal(len(a))]
        for _ in range(n_bins - 1):
            states.append(a @ states[-1] + noise * draw.standard_normal(len(a)))
        trials.append(np.array(states) @ mixing + 0.05 * draw.standard_normal((n_bins, n_channels)))
    return trials


def drive(a, seed, strength):
    """A system that a slow input pushes, and the input."""
    draw = np.random.default_rng(seed)
    inputs = gaussian_filter1d(4 * draw.standard_normal((40, 80, 2)), 4, axis=1)
    gain, mixing, trials = draw.standard_normal((4, 2)), draw.standard_normal((4, 6)), []
    for u in inputs:
        states = [draw.standard_normal(4)]
        for t in range(79):
            states.append(a @ states[-1] + strength * gain @ u[t] + 0.5 * draw.standard_normal(4))
        trials.append(np.array(states) @ mixing)
    return trials, inputs


LIKE = [record(planes(0.3, 0.8), seed, n) for seed, n in ((0, 6), (1, 9))]
FAST = [record(planes(0.5, 1.2), 2, 6), record(planes(1.2, 2.0), 3, 6)]


@pytest.mark.parametrize("metric", ["angular", "euclidean", "wasserstein"])
def test_like_systems_are_near_and_unlike_ones_are_ranked_by_their_speeds(metric):
    result = dsa(LIKE + FAST, DelayConfig(n_delays=2, rank=4), metric=metric)
    d = result.distances
    np.testing.assert_array_equal(d, d.T)
    assert not d.diagonal().any()
    assert 4 * d[0, 1] < d[0, 2] < d[2, 3] < d[0, 3]
    first, second = (model.matrix for model in result.models[:2])
    alone = (
        eigenvalue_distance(first, second)
        if metric == "wasserstein"
        else procrustes_distance(first, second, metric)
    )
    assert d[0, 1] == pytest.approx(alone)


def test_any_invertible_change_of_channels_is_no_distance():
    mixing = np.random.default_rng(0).standard_normal((6, 6))
    moved = [trial @ mixing + 3 for trial in LIKE[0]]
    assert dsa([LIKE[0], moved], DelayConfig(n_delays=1, rank=6)).distances[0, 1] < 1e-6


def test_time_reversal_of_a_circulating_system_is_seen_in_three_dimensions():
    a = np.array([[0.9, -0.5, 0.3], [0.2, 0.6, -0.4], [0.1, 0.5, 0.2]])
    forward = record(a, 5, 3, n_trials=200)
    again = record(a, 6, 3, n_trials=200)
    backward = [trial[::-1] for trial in again]
    d = dsa([forward, again, backward], DelayConfig(n_delays=1, rank=3)).distances
    assert d[0, 2] > 3 * d[0, 1]


def test_slow_systems_collapse_unless_the_identity_is_taken_out():
    slow = [record(planes(*w, decay=0.999), 8, 4, noise=0.02) for w in ((0.01, 0.04), (0.02, 0.03))]
    cfg = DelayConfig(n_delays=1, rank=4)
    with pytest.warns(UserWarning, match="resample to wider bins or pass subtract_identity"):
        plain = dsa(slow, cfg).distances[0, 1]
    models = [fit_operator(trials, cfg).matrix - np.eye(4) for trials in slow]
    subtracted = dsa(slow, cfg, subtract_identity=True).distances[0, 1]
    assert subtracted == pytest.approx(procrustes_distance(*models))
    assert plain < 0.05 < subtracted


@pytest.mark.parametrize("metric", ["angular", "wasserstein"])
def test_with_inputs_a_driven_system_is_itself_and_another_is_not(metric):
    slow, fast = planes(0.3, 0.9, decay=0.9), planes(0.5, 1.3, decay=0.9)
    driven = [drive(slow, 0, 0.0), drive(slow, 1, 1.0), drive(fast, 2, 1.0)]
    systems, inputs = zip(*driven, strict=True)
    cfg = DelayConfig(n_delays=1, rank=4)
    blind = dsa(systems, cfg, metric=metric).distances
    controlled = dsa(systems, cfg, inputs=inputs, metric=metric).distances
    assert controlled[0, 1] < 0.02 < 0.1 < blind[0, 1]
    assert controlled[0, 2] > 10 * controlled[0, 1]


def test_the_sweep_finds_memory_and_rank_of_a_hidden_system():
    # One channel of two noiseless planes: four bins of memory make the next one certain.
    draw = np.random.default_rng(4)
    a = planes(0.3, 0.8, decay=1.0)
    hidden = [
        np.array([np.linalg.matrix_power(a, t) @ start for t in range(40)])
        for start in draw.standard_normal((12, 4))
    ]
    trials = [states @ np.ones((4, 1)) + 1e-3 * draw.standard_normal((40, 1)) for states in hidden]
    rows = sweep_delays([trials], [1, 2, 4, 6], [1, 2, 4, 6], DelayConfig(ridge=1e-10))
    error = {(row.n_delays, row.rank): row.error for row in rows}
    assert (2, 4) not in error and (1, 1) in error
    assert error[4, 4] < 1e-3 < 0.1 < error[2, 2]
    assert choose_delays(rows, tolerance=0.5).rank == 4


def test_the_sweep_error_is_that_of_a_plain_loop_over_held_out_trials():
    trials = LIKE[0][:8]
    row = sweep_delays([trials], [1, 3], [3], n_folds=8)[0]
    squared = change = 0.0
    for i, trial in enumerate(trials):
        model = fit_operator(trials[:i] + trials[i + 1 :], DelayConfig(n_delays=1, rank=3))
        squared += np.sum((model.predict([trial])[0][2:] - trial[3:]) ** 2)  # bins that 3 delays reach
        change += np.sum((trial[3:] - trial[2:-1]) ** 2)
    assert (row.n_delays, row.errors) == (1, (row.error,))
    assert row.error == pytest.approx(squared / change)


def test_phase_randomising_keeps_each_spectrum_and_breaks_what_channels_share():
    surrogate = phase_randomise(LIKE[0], seed=1)
    for trial, other in zip(LIKE[0], surrogate, strict=True):
        np.testing.assert_allclose(np.abs(np.fft.rfft(trial, axis=0)), np.abs(np.fft.rfft(other, axis=0)))
    both = [
        np.abs(np.corrcoef(np.concatenate(x).T)[np.triu_indices(6, 1)]).mean() for x in (LIKE[0], surrogate)
    ]
    assert both[1] < both[0] / 3
    d = dsa([LIKE[0], LIKE[1], surrogate], DelayConfig(n_delays=2, rank=4)).distances
    assert d[0, 2] > 2 * d[0, 1]


def test_shuffled_channels_keep_their_trials_and_their_mean():
    shuffled = shuffle_channels(LIKE[0], seed=2)
    np.testing.assert_allclose(np.mean(shuffled, axis=0), np.mean(LIKE[0], axis=0))
    for channel in range(6):
        kept = {trial[:, channel].tobytes() for trial in LIKE[0]}
        assert {trial[:, channel].tobytes() for trial in shuffled} == kept
    assert any(not np.isin(trial, LIKE[0][0]).all() for trial in shuffled)
    with pytest.raises(ValueError, match="differ in length"):
        shuffle_channels([LIKE[0][0], LIKE[0][1][:-1]], seed=0)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="1 system given"):
        dsa(LIKE[:1])
    with pytest.raises(ValueError, match="'cosine'"):
        dsa(LIKE, metric="cosine")
    with pytest.raises(ValueError, match="2 trials cannot be dealt to 4 folds"):
        sweep_delays([LIKE[0][:2]], [1], [1])
    with pytest.raises(ValueError, match="no rows"):
        choose_delays([])
