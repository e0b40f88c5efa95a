import numpy as np
import pytest
from scipy.stats import f_oneway

from neurolib.metrics.drift import drift, yearly_bands


@pytest.fixture
def moving():
    """Three numbers of 1,200 studies; the first rises by 0.8 over 12 years."""
    rng = np.random.default_rng(0)
    year = rng.integers(2000, 2012, 1200)
    values = rng.normal(size=(1200, 3))
    return values + np.c_[0.8 * (year - 2005.5) / 11, 0 * year, 0 * year], year


def test_the_shares_are_those_of_an_analysis_of_variance_and_of_a_regression(moving):
    values, year = moving
    found = drift(values[:, :1], year, 1)
    f = f_oneway(*[values[year == y, 0] for y in np.unique(year)]).statistic
    k, n = 12, len(year)
    assert found.between == pytest.approx((k - 1) * (f - 1) / ((k - 1) * (f - 1) + n))
    assert found.trend == pytest.approx(np.corrcoef(values[:, 0], year)[0, 1] ** 2)


def test_a_drift_is_found_and_its_absence_is_not_called_one(moving):
    values, year = moving
    found, still = drift(values, year), drift(values[:, 1:], year)
    assert found.p_between < 0.02 and found.p_trend < 0.02
    assert found.between == pytest.approx(0.8**2 / 12 / 3, rel=0.6)
    assert still.p_between > 0.05 and still.p_trend > 0.05
    assert abs(still.between_null.mean()) < 1e-3


def test_bands_hold_what_they_should(moving):
    values, year = moving
    bands = yearly_bands(values, year, 300)
    assert np.allclose(bands.mean[4], values[year == bands.years[4]].mean(0))
    half = (bands.high - bands.low) / 2
    errors = np.array([values[year == y].std(0, ddof=1) / np.sqrt((year == y).sum()) for y in bands.years])
    assert np.abs(half / (1.96 * errors) - 1).max() < 0.3
    assert bands.outside > 0.1 > yearly_bands(values[:, 1:], year).outside


def test_what_makes_no_sense_is_refused(moving):
    values, year = moving
    for bad in ((values[:5], year), (values, np.full(len(year), np.nan)), (values, np.full(len(year), 2000))):
        with pytest.raises(ValueError, match="year"):
            drift(*bad)
