"""The shared latent is really in every modality, and the instruments are what they say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.signal import butter, sosfiltfilt, welch

from neurolib.data.instruments import BANDS_HZ
from neurolib.data.physiology import band_noise, convolve, pink_noise
from neurolib.data.seven_modalities import INSTRUMENTS, SPECIES, SevenModalitiesConfig, simulate
from neurolib.data.shared_latent import SharedLatent, lorenz

BIN_S = 0.1
HISTORY = {  # bins before and after that carry something about now
    "spike": range(-3, 4),
    "lfp": range(-3, 4),
    "ecog": range(-3, 4),
    "eeg": range(-4, 5, 2),
    "emg": range(-3, 4),
    "calcium": range(-1, 9, 2),
    "fmri": range(20, 90, 20),
}


@pytest.fixture(scope="module")
def session():
    return simulate(SevenModalitiesConfig(tr_s=1.0))


@pytest.fixture(scope="module")
def features(session):
    """What someone who knows each modality would look at, with its history, ``(bin, feature)``."""
    n = round(60 / BIN_S)
    edges = np.arange(n + 1) * BIN_S

    def mean(values, rate_hz):
        return values.reshape(n, round(BIN_S * rate_hz), -1).mean(axis=1)

    def log_power(name, band=None):
        signal = session.signals[name]
        rate, values = signal.rate_hz, signal.values
        if band:
            values = sosfiltfilt(butter(3, band, "band", fs=rate, output="sos"), values, axis=0)
        return np.log(mean(values**2, rate))

    signals = session.signals
    seen = {
        "spike": np.sqrt(np.stack([np.histogram(t, edges)[0] for t in session.spike_times_s], axis=1)),
        "lfp": log_power("lfp", BANDS_HZ["gamma"]),
        "ecog": log_power("ecog", BANDS_HZ["high_gamma"]),
        "eeg": np.hstack([log_power("eeg", BANDS_HZ["alpha"]), mean(signals["eeg"].values, 160)]),
        "emg": log_power("emg"),
        "calcium": mean(signals["calcium"].values, 20),
        "fmri": np.repeat(signals["fmri"].values, round(1 / BIN_S), axis=0),
    }
    return {name: _with_history(values, HISTORY[name]) for name, values in seen.items()}


@pytest.fixture(scope="module")
def latent(session):
    return session.signals["latent"].values.astype(float).reshape(-1, round(BIN_S * 100), 3).mean(axis=1)


def _with_history(values, shifts):
    at = np.arange(len(values))[:, None] + np.array(shifts)
    return values[np.clip(at, 0, len(values) - 1)].reshape(len(values), -1)


def _r2(features, target, penalty=0.1, gap=20):
    """Ridge on three quarters of the time, tested on each held-out block, 2 s apart; mean over outputs."""
    predicted = np.empty_like(target)
    for block in np.array_split(np.arange(len(target)), 4):
        train = np.ones(len(target), bool)
        train[max(0, block[0] - gap) : block[-1] + 1 + gap] = False
        mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
        x = (features - mean) / scale / np.sqrt(features.shape[1])
        offset = target[train].mean(axis=0)
        gram = x[train] @ x[train].T + penalty * np.eye(train.sum())
        predicted[block] = x[block] @ (x[train].T @ np.linalg.solve(gram, target[train] - offset)) + offset
    error, total = ((target - predicted) ** 2).sum(axis=0), ((target - target.mean(axis=0)) ** 2).sum(axis=0)
    return (1 - error / total).reshape(-1, 3).mean(axis=1)


def test_the_latent_is_recovered_from_all_modalities_and_less_and_less_as_they_are_dropped(features, latent):
    order = ["spike", "emg", "ecog", "lfp", "calcium", "eeg"]
    left = [
        _r2(np.hstack([features[name] for name in [*order[k:], "fmri"]]), latent).item() for k in range(6)
    ]
    assert left[0] >= 0.9
    assert (np.diff(left) < 0.01).all()
    assert left[1] > left[0] - 0.1  # losing the best one is no disaster
    assert left[-1] < left[0] - 0.2  # and there is something to lose


@pytest.mark.parametrize("name", [name for name in INSTRUMENTS if name != "fmri"])
def test_each_fast_modality_alone_beats_every_circular_shift(features, latent, name):
    shifts = [np.roll(latent, shift, axis=0) for shift in range(60, 540, 40)]
    together = _r2(features[name], np.hstack([latent, *shifts]), penalty=1.0)
    assert together[0] > 0.3
    assert together[0] > together[1:].max() + 0.3


def test_fmri_alone_beats_every_circular_shift():
    """It takes longer to tell: blood sees only what lasts seconds."""
    slow = simulate(SevenModalitiesConfig(duration_s=240.0, tr_s=1.0, modalities=("fmri",)))
    target = slow.signals["latent"].values.astype(float).reshape(240, 100, 3).mean(axis=1)
    features = _with_history(slow.signals["fmri"].values, range(2, 9))
    shifts = [np.roll(target, shift, axis=0) for shift in range(30, 210, 15)]
    r2 = _r2(features, np.hstack([target, *shifts]), penalty=1.0, gap=10)
    assert r2[0] > 0.1
    assert r2[0] > r2[1:].max() + 0.1


def test_spikes_come_at_the_rates_in_the_table_and_are_poisson(session):
    mean_hz = np.array([len(times) / 60 for times in session.spike_times_s])
    expected = session.units["rate_hz"]
    assert np.abs(mean_hz - expected).max() < 5 * np.sqrt(expected.max() / 60)
    assert abs(mean_hz.sum() / expected.sum() - 1) < 0.02
    steady = simulate(SevenModalitiesConfig(modalities=("spike",), lorenz_unit_s=1e6, n_stimuli=1))
    intervals = np.concatenate([np.diff(t) * len(t) / 60 for t in steady.spike_times_s if len(t) > 100])
    assert intervals.std() == pytest.approx(1.0, abs=0.03)  # exponential: SD as large as the mean


@pytest.mark.parametrize(
    ("name", "band", "beside"),
    [
        ("lfp", BANDS_HZ["theta"], (12.0, 20.0)),
        ("lfp", BANDS_HZ["gamma"], (110.0, 200.0)),
        ("eeg", BANDS_HZ["alpha"], (16.0, 30.0)),
        ("ecog", BANDS_HZ["high_gamma"], (170.0, 230.0)),
        ("emg", (20.0, 95.0), (1.0, 10.0)),
    ],
)
def test_power_is_where_it_should_be(session, name, band, beside):
    signal = session.signals[name]
    frequency, density = welch(signal.values, signal.rate_hz, nperseg=round(signal.rate_hz), axis=0)

    def mean(low, high):
        return density[(frequency >= low) & (frequency <= high)].mean(axis=0)

    assert (mean(*band) > 2 * mean(*beside)).all()


def test_amplitudes_and_rates_are_those_of_the_docstrings(session):
    expected = {  # Hz, unit, range of the standard deviation
        "lfp": (500, "uV", (50, 200)),
        "calcium": (20, "dF/F", (0.1, 1.0)),
        "eeg": (160, "uV", (10, 60)),
        "fmri": (1, "% of baseline", (0.2, 2.0)),
        "ecog": (500, "uV", (20, 200)),
        "emg": (200, "uV", (10, 200)),
        "behaviour": (100, "cm/s", (5, 20)),
    }
    for name, (rate_hz, unit, (low, high)) in expected.items():
        signal = session.signals[name]
        assert signal.rate_hz == pytest.approx(rate_hz)
        assert signal.unit == unit and low < signal.values.std() < high
    np.testing.assert_allclose(np.linalg.norm(session.signals["eeg"].positions, axis=1), 1)


def test_species_differ_by_their_gains_alone_and_sessions_by_everything_but_dynamics():
    cfg = SevenModalitiesConfig(duration_s=20.0, modalities=("spike", "emg"))
    one, other = simulate(cfg), simulate(replace(cfg, species="b"))
    nuisance = SPECIES["b"]
    np.testing.assert_array_equal(one.signals["latent"].values, other.signals["latent"].values)
    np.testing.assert_allclose(
        other.signals["emg"].values, nuisance.signal_gain * one.signals["emg"].values, rtol=1e-5
    )
    np.testing.assert_allclose(other.units["rate_hz"], nuisance.rate_gain * one.units["rate_hz"])
    next_day = simulate(replace(cfg, session=1))
    assert not np.allclose(next_day.units["tuning"], one.units["tuning"])
    assert not np.allclose(next_day.signals["latent"].values, one.signals["latent"].values)


def test_a_session_is_the_same_again_and_without_some_modalities():
    cfg = SevenModalitiesConfig(duration_s=5.0, seed=3)
    whole, part = simulate(cfg), simulate(replace(cfg, modalities=("eeg",)))
    np.testing.assert_array_equal(whole.signals["eeg"].values, part.signals["eeg"].values)
    again = simulate(cfg)
    assert all(np.array_equal(a, b) for a, b in zip(whole.spike_times_s, again.spike_times_s, strict=True))


def test_trials_tile_the_session_with_their_stimuli(session):
    trials = session.trials
    assert trials["start_s"][0] == 0 and trials["stop_s"][-1] == 60
    np.testing.assert_array_equal(trials["start_s"][1:], trials["stop_s"][:-1])
    assert np.ptp(np.bincount(trials["stimulus"])) <= 2  # rounds of four are cut at both ends


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modalities": ("egg",)}, "egg"),
        ({"species": "mouse"}, "mouse"),
        ({"tr_s": 0.0}, "tr_s"),
        ({"duration_s": 3.0}, "two volumes"),
        ({"sizes": (("eeg", 0),)}, "at least 1"),
        ({"session": -1}, "session"),
    ],
)
def test_impossible_sessions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SevenModalitiesConfig(**change)


def test_lorenz_agrees_with_scipy():
    def flow(_, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    start = [1.0, 2.0, 20.0]
    truth = solve_ivp(flow, (0, 1), start, rtol=1e-11, atol=1e-11).y[:, -1]
    errors = [np.abs(lorenz(start, n, 1 / n)[-1] - truth).max() for n in (100, 200)]
    assert errors[0] < 1e-3
    assert errors[0] > 10 * errors[1]  # fourth order: about 16 times less for half the step


def test_a_response_to_a_stimulus_settles_and_stays():
    latent = SharedLatent.draw(60.0, np.random.default_rng(0), -10.0)
    late = latent.stimulus_at(latent.onset_s + 1.9)
    np.testing.assert_array_equal(late.argmax(axis=1), latent.stimulus)
    np.testing.assert_allclose(late.max(axis=1), 0.75, atol=1e-6)
    just = latent.onset_s[1:]
    np.testing.assert_allclose(latent.stimulus_at(just + 1e-9), latent.stimulus_at(just - 1e-9), atol=1e-6)


def test_noise_has_the_spectrum_it_is_named_for():
    rng = np.random.default_rng(0)
    frequency, density = welch(pink_noise(60_000, 8, 500.0, 1.5, rng).mean(axis=1), 500.0, nperseg=2000)
    fit = (frequency > 4) & (frequency < 200)
    slope = np.polyfit(np.log(frequency[fit]), np.log(density[fit]), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.1)
    for n in (999, 1000):  # sizes without and with a Nyquist frequency
        assert pink_noise(n, 200, 100.0, 1.0, rng).std() == pytest.approx(1.0, abs=0.05)
        assert band_noise(n, 200, 100.0, (40.0, 50.0), rng).std() == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="half of"):
        band_noise(100, 1, 100.0, (40.0, 60.0), rng)


def test_convolution_is_numpys():
    rng = np.random.default_rng(0)
    values, kernel = rng.standard_normal((50, 2)), rng.standard_normal(70)
    expected = np.stack([np.convolve(column, kernel)[:50] for column in values.T], axis=1)
    np.testing.assert_allclose(convolve(values, kernel), expected, atol=1e-12)
