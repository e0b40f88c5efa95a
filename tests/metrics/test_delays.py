import numpy as np
import pytest
from scipy.stats import ortho_group

from neurolib.metrics.delays import DelayConfig, delay_embed, fit_operator, fit_ranks, undriven_operator


def simulate(a, seed, n_trials=30, n_bins=60, noise=1.0, drive=None, gain=None):
    """Trials of ``x[t+1] = a x[t] + gain u[t] + noise``."""
    draw = np.random.default_rng(seed)
    trials = []
    for i in range(n_trials):
        states = [draw.standard_normal(len(a))]
        for t in range(n_bins - 1):
            pushed = 0 if drive is None else gain @ drive[i][t]
            states.append(a @ states[-1] + pushed + noise * draw.standard_normal(len(a)))
        trials.append(np.array(states))
    return trials


def slow_embedding(trial, n_delays, interval):
    rows = []
    for t in range((n_delays - 1) * interval, len(trial)):
        rows.append([value for k in range(n_delays) for value in trial[t - k * interval]])
    return np.array(rows)


A = np.array([[0.9, -0.3, 0.0], [0.2, 0.8, 0.1], [0.0, 0.3, 0.5]])


def test_history_never_crosses_a_trial():
    draw = np.random.default_rng(0)
    trials = [draw.standard_normal((n, 2)) for n in (9, 7, 12)]
    for n_delays, interval in [(1, 1), (3, 1), (3, 2)]:
        embedded = delay_embed(trials, n_delays, interval)
        for trial, rows in zip(trials, embedded, strict=True):
            np.testing.assert_array_equal(rows, slow_embedding(trial, n_delays, interval))


def test_order_of_trials_and_their_lengths_do_not_matter():
    trials = [trial[: 20 + 3 * i] for i, trial in enumerate(simulate(A, 0, n_trials=10))]
    cfg = DelayConfig(n_delays=2, rank=4)
    first, second = fit_operator(trials, cfg), fit_operator(trials[::-1], cfg)
    np.testing.assert_allclose(np.abs(first.matrix), np.abs(second.matrix), atol=1e-8)


def test_without_noise_the_eigenvalues_are_those_of_the_system():
    trials = simulate(A, 1, n_bins=12, noise=0)
    mixed = [trial @ np.random.default_rng(2).standard_normal((3, 7)) + 5 for trial in trials]
    for data, cfg in [
        (trials, DelayConfig(1, 1, 3, ridge=0)),
        (mixed, DelayConfig(1, 1, 3, ridge=0)),
        ([trial[:, :1] for trial in trials], DelayConfig(3, 1, 3, ridge=0)),  # one channel, three delays
    ]:
        found = np.linalg.eigvals(fit_operator(data, cfg).matrix)
        np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.linalg.eigvals(A)), atol=1e-6)


def test_prediction_is_ordinary_least_squares_when_no_component_is_dropped():
    trials = simulate(A, 3)
    model = fit_operator(trials, DelayConfig(n_delays=2, rank=6, ridge=0))
    past = np.concatenate([slow_embedding(trial, 2, 1)[:-1] for trial in trials])
    future = np.concatenate([trial[2:] for trial in trials])
    design = np.column_stack([past, np.ones(len(past))])
    expected = design @ np.linalg.lstsq(design, future)[0]
    np.testing.assert_allclose(np.concatenate(model.predict(trials)), expected, atol=1e-9)


def test_ridge_shrinks_a_component_by_its_variance():
    trials = simulate(A[:1, :1], 4)
    plain, halved = (fit_operator(trials, DelayConfig(1, 1, 1, ridge)).matrix.item() for ridge in (0, 1.0))
    assert halved == pytest.approx(plain / 2, rel=0.02)


def test_all_ranks_at_once_are_each_alone():
    trials = simulate(A, 5)
    drive = [np.random.default_rng(i).standard_normal((60, 2)) for i in range(30)]
    cfg = DelayConfig(n_delays=3, n_input_delays=2)
    for model in fit_ranks(trials, [2, 9, 5], cfg, drive):
        alone = fit_operator(trials, model.cfg, drive)
        np.testing.assert_allclose(model.matrix, alone.matrix, atol=1e-10)
        np.testing.assert_allclose(model.input_matrix, alone.input_matrix, atol=1e-10)


def test_control_finds_the_system_behind_a_slow_input():
    draw = np.random.default_rng(6)
    drive = [np.cumsum(draw.standard_normal((60, 2)), axis=0) for _ in range(30)]
    gain = draw.standard_normal((3, 2))
    trials = simulate(A, 7, noise=0.1, drive=drive, gain=gain)
    cfg = DelayConfig(n_delays=1, rank=3)
    blind, controlled = (fit_operator(trials, cfg, inputs) for inputs in (None, drive))
    truth = np.sort_complex(np.linalg.eigvals(A))
    errors = [
        np.abs(np.sort_complex(np.linalg.eigvals(model.matrix)) - truth).max()
        for model in (blind, controlled)
    ]
    assert errors[1] < 0.02 < 0.1 < errors[0]
    np.testing.assert_allclose((controlled.input_matrix.T @ controlled.decoder).T, gain, atol=0.05)


def test_an_undriven_operator_is_that_of_a_simulation_without_the_input():
    draw = np.random.default_rng(10)
    inputs = [np.cumsum(draw.standard_normal((60, 2)), axis=0) for _ in range(200)]
    gain = draw.standard_normal((3, 2))
    cfg = DelayConfig(n_delays=1, rank=3)
    driven = fit_operator(simulate(A, 11, 200, drive=inputs, gain=gain), cfg, inputs)
    alone = fit_operator(simulate(A, 12, 200), cfg).matrix
    gains = [
        np.linalg.svd(x, compute_uv=False) for x in (alone, undriven_operator(driven.matrix, driven.noise))
    ]
    np.testing.assert_allclose(*gains, atol=0.03)
    assert np.abs(gains[0] - np.linalg.svd(driven.matrix, compute_uv=False)).max() > 0.1
    with pytest.raises(ValueError, match=r"grows by 1\.1"):
        undriven_operator(np.diag([1.1, 0.5]), np.eye(2))
    with pytest.raises(ValueError, match="does not reach"):
        undriven_operator(np.diag([0.9, 0.5]), np.diag([1.0, 0.0]))


def test_coordinates_of_the_channels_leave_an_orthogonal_change_of_the_operator():
    trials = simulate(A, 8)
    turn = ortho_group.rvs(3, random_state=0) @ np.diag([1, 5, 0.2])
    cfg = DelayConfig(n_delays=1, rank=3, ridge=0)
    first, second = fit_operator(trials, cfg), fit_operator([trial @ turn for trial in trials], cfg)
    np.testing.assert_allclose(
        np.linalg.svd(first.matrix, compute_uv=False),
        np.linalg.svd(second.matrix, compute_uv=False),
        atol=1e-9,
    )


def test_errors_name_what_is_wrong():
    trials = simulate(A, 9, n_trials=3, n_bins=20)
    with pytest.raises(ValueError, match="trial 1 has 4 bins"):
        fit_operator([trials[0], trials[1][:4]], DelayConfig(n_delays=5, rank=2))
    with pytest.raises(ValueError, match="30 embedded bins for 33 dimensions"):
        fit_operator(trials, DelayConfig(n_delays=11, rank=2))
    with pytest.raises(ValueError, match="rank=7 exceeds the 6 dimensions"):
        fit_operator(trials, DelayConfig(n_delays=2, rank=7))
    with pytest.raises(ValueError, match="rank=4 exceeds the 3 dimensions"):
        fit_operator([trial @ np.ones((3, 3)) + trial for trial in trials], DelayConfig(1, 1, 4))
    with pytest.raises(ValueError, match="trial 2 has values that are not finite"):
        fit_operator([*trials[:2], trials[2] * np.nan], DelayConfig(1, 1, 2))
    with pytest.raises(ValueError, match="a list of trials, even if it is one"):
        fit_operator(trials[0], DelayConfig(1, 1, 2))
    with pytest.raises(ValueError, match="without trials"):
        fit_operator([], DelayConfig(1, 1, 2))
    with pytest.raises(ValueError, match="inputs and trials differ"):
        fit_operator(trials, DelayConfig(1, 1, 2), [trial[:-1] for trial in trials])
    with pytest.raises(ValueError, match="an input is constant"):
        fit_operator(trials, DelayConfig(1, 1, 2), [np.ones((20, 1))] * 3)
    with pytest.raises(ValueError, match="rank=0"):
        DelayConfig(rank=0)
