import numpy as np
import pytest

from neurolib.models.coordinates.trajectory import (
    NAIVE,
    TrajectoryConfig,
    YearlyCodes,
    excess_error,
    forecast_cloud,
    rolling_forecasts,
)


def studies(path, per_year=60, spread=1.0, seed=0):
    """Codes and years around a path of yearly means (n_years, dim)."""
    rng = np.random.default_rng(seed)
    year = np.repeat(1998 + np.arange(len(path)), per_year)
    return np.repeat(path, per_year, axis=0) + spread * rng.normal(size=(len(year), path.shape[1])), year


def test_moments_are_numpys_and_rare_years_at_the_ends_go():
    codes, year = studies(np.zeros((6, 3)))
    codes, year = codes[5:], np.r_[1990.0, year[6:]]  # one early study, alone in its year
    yearly = YearlyCodes.of(codes, year)
    assert yearly.years.tolist() == list(range(1998, 2004)) and yearly.counts[0] == 54
    assert np.allclose(yearly.covariances[2], np.cov(codes[year == 2000].T))
    with pytest.raises(ValueError, match="2000 has fewer"):
        YearlyCodes.of(codes[year != 2000][:200], np.r_[year[year != 2000][:199], 2000])
    with pytest.raises(ValueError, match="after 1999 is missing"):
        YearlyCodes.of(codes[year != 2000], year[year != 2000])


def test_no_forecast_sees_its_own_or_a_later_year():
    codes, year = studies(np.cumsum(np.random.default_rng(1).normal(size=(9, 2)), axis=0))
    gru = TrajectoryConfig(steps=5)
    before = rolling_forecasts(YearlyCodes.of(codes, year), 2003, gru)
    codes[year >= 2004] += 50
    after = rolling_forecasts(YearlyCodes.of(codes, year), 2003, gru)
    for name in (*NAIVE, "GRU"):
        assert np.array_equal(before[name][:2], after[name][:2]), name  # 2003 and 2004
        assert not np.allclose(before[name][2:], after[name][2:]), name


def test_the_excess_error_of_the_truth_is_zero_on_average():
    path = np.random.default_rng(2).normal(size=(300, 4))
    yearly = YearlyCodes.of(*studies(path, per_year=30))
    excess, plain = excess_error(yearly, path), np.square(path - yearly.means).sum(1)
    error = plain.std() / np.sqrt(len(path))
    assert abs(excess.mean()) < 4 * error and plain.mean() > 20 * error


@pytest.mark.parametrize(
    ("path", "best"),
    [
        (np.zeros((20, 2)), "grand mean"),
        (np.cumsum(np.random.default_rng(3).normal(size=(20, 2)), axis=0), "persistence"),
        (np.linspace(0, 4, 20)[:, None] * [1.0, -1.0], "linear trend"),
    ],
)
def test_the_right_naive_forecast_wins_on_its_own_world_and_smoothing_is_never_far(path, best):
    yearly = YearlyCodes.of(*studies(path))
    found = rolling_forecasts(yearly, 2008, TrajectoryConfig(steps=0))
    errors = {name: np.square(guess - path[10:]).sum(1).mean() for name, guess in found.items()}
    naive = {name: errors[name] for name in NAIVE}
    assert errors[best] < 1.3 * min(naive.values())
    assert errors["exponential smoothing"] < 0.7 * max(naive.values())
    assert np.array_equal(found["GRU"], found["persistence"])  # before its first step


def test_the_network_learns_a_swing_that_no_naive_forecast_knows():
    t = np.arange(24.0)
    path = np.stack([np.cos(t * np.pi / 3), np.sin(t * np.pi / 3)], axis=1)
    yearly = YearlyCodes.of(*studies(path, spread=0.3))
    found = rolling_forecasts(yearly, 2018, TrajectoryConfig(steps=200, weight_decay=0.1))
    errors = {name: excess_error(yearly, guess).mean() for name, guess in found.items()}
    assert errors["GRU"] < 0.3 * min(errors[name] for name in NAIVE)


def test_a_forecast_cloud_has_last_years_shape_and_the_forecast_mean():
    codes, year = studies(np.zeros((3, 2)))
    cloud = forecast_cloud(codes, year, 2000, [3.0, -1.0])
    assert np.allclose(cloud.mean(0), [3, -1]) and np.allclose(np.cov(cloud.T), np.cov(codes[year == 1999].T))
    with pytest.raises(ValueError, match="1996"):
        forecast_cloud(codes, year, 1997, [0.0, 0.0])


@pytest.mark.parametrize("bad", [{"hidden": 0}, {"steps": -1}, {"lr": 0.0}, {"weight_decay": -1.0}])
def test_settings_that_cannot_be_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrajectoryConfig(**bad)


def test_a_year_too_early_to_forecast_is_refused():
    yearly = YearlyCodes.of(*studies(np.zeros((6, 2))))
    with pytest.raises(ValueError, match="no forecast of 1999"):
        rolling_forecasts(yearly, 1999)
