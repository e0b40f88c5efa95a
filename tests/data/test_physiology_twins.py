"""Twins have what their loaders have, and hold what is to be found in them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import hilbert, welch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score

from neurolib.data import armband, eegmmidb, motor_imagery, resting_state, theta_rhythm, track_cells
from neurolib.data.epochs import cut
from neurolib.data.motor_imagery import MotorImageryConfig


@pytest.fixture(scope="module")
def imagery():
    return motor_imagery.simulate(MotorImageryConfig(task="imagine_fists", n_runs=1))


def test_imagery_keeps_the_timing_and_the_table_of_the_database(imagery):
    trials = imagery.trials
    assert set(trials) == {"start_s", "stop_s", "label", "code", "task", "run", "subject"}
    np.testing.assert_allclose(imagery.observed_s, [[0.0, 124.5]])
    np.testing.assert_allclose(trials["stop_s"] - trials["start_s"], np.tile([4.2, 4.1], 15))
    meaning = eegmmidb.RUNS[4].labels
    assert [meaning[code] for code in trials["code"]] == trials["label"].tolist()
    assert sorted(np.bincount(trials["label"] == "left_fist")[1:]) in ([7], [8])
    two = motor_imagery.simulate(MotorImageryConfig(task="imagine_fists", n_runs=2))
    np.testing.assert_array_equal(
        two.signals["eeg"].values[: 124 * 160], imagery.signals["eeg"].values[: 124 * 160]
    )
    assert two.trials["start_s"][30] == pytest.approx(124.5 + eegmmidb.GAP_S)


def test_a_fist_quiets_mu_over_the_other_side():
    strong = motor_imagery.simulate(MotorImageryConfig(task="imagine_fists", effect=1.5))
    epochs = cut(strong, "eeg", ["left_fist", "right_fist"], (1.0, 4.0), (9.0, 12.0))
    power = np.log(epochs.values.var(axis=1))
    left_less_right = power[epochs.label == 0].mean(axis=0) - power[epochs.label == 1].mean(axis=0)
    at = dict(zip(epochs.channels, left_less_right, strict=True))
    assert at["C3"] > 0.4 and at["C4"] < -0.4
    assert abs(at["Oz"]) < 0.3
    before = cut(strong, "eeg", ["left_fist", "right_fist"], (-3.0, 0.0), (9.0, 12.0))
    power = np.log(before.values.var(axis=1))
    nothing = power[before.label == 0].mean(axis=0) - power[before.label == 1].mean(axis=0)
    assert np.abs(nothing).max() < 0.4


def test_epochs_are_the_samples_of_the_window(imagery):
    start_s = imagery.trials["start_s"][imagery.trials["label"] == "left_fist"]
    epochs = cut(imagery, "eeg", ["right_fist", "left_fist"], (0.5, 1.5))
    first = np.round((start_s + 0.5) * 160).astype(int)
    expected = imagery.signals["eeg"].values[first[:, None] + np.arange(160)]
    np.testing.assert_array_equal(epochs.values[epochs.label == 1], expected)
    with pytest.raises(ValueError, match="outside"):
        cut(imagery, "eeg", ["rest"], (-1.0, 1.0))
    with pytest.raises(ValueError, match="both_feet"):
        cut(imagery, "eeg", ["both_feet"], (0.0, 1.0))
    with pytest.raises(KeyError, match="emg"):
        cut(imagery, "emg", ["rest"], (0.0, 1.0))


def test_filtering_does_not_reach_across_runs():
    two = motor_imagery.simulate(MotorImageryConfig(n_runs=2))
    signal = two.signals["eeg"]
    second = signal.time_s > 130
    loud = replace(signal, values=np.where(second[:, None], 1e4, 1.0) * signal.values)
    changed = replace(two, signals={"eeg": loud})
    cuts = [cut(r, "eeg", ["both_fists"], (0.5, 4.0), (8.0, 30.0)) for r in (two, changed)]
    first = cuts[0].group == cuts[0].group.min()
    np.testing.assert_allclose(cuts[1].values[first], cuts[0].values[first])


def test_gestures_are_told_apart_across_sessions_but_not_as_well_as_within():
    sessions = armband.simulate(armband.ArmbandConfig(repeats=3))
    features, gesture, session = [], [], []
    for recording in sessions:
        emg, trials = recording.signals["emg"], recording.trials
        assert emg.values.dtype == np.int8 and emg.rate_hz == pytest.approx(200)
        np.testing.assert_array_equal(trials["label"], trials["gesture_name"])
        for start, held in zip(trials["start_s"], trials["gesture"], strict=True):
            if held or trials["stop_s"][0] > start:
                rows = np.searchsorted(emg.time_s, [start + 1.0, start + 4.5])
                pieces = emg.values[slice(*rows)].astype(float).reshape(7, 100, 8)
                features.append(np.log(pieces.std(axis=1) + 0.5))
                gesture += [held] * 7
                session += [trials["session"][0]] * 7
    features, gesture, session = np.concatenate(features), np.array(gesture), np.array(session)

    def score(train, test):
        model = LinearDiscriminantAnalysis().fit(features[train], gesture[train])
        return balanced_accuracy_score(gesture[test], model.predict(features[test]))

    across = np.mean([score(session != s, session == s) for s in (1, 2, 3)])
    within = np.mean([score(session == s, session == s) for s in (1, 2, 3)])
    assert 0.35 < across < within - 0.05  # chance is 0.125


def test_place_is_read_from_cells_of_other_laps():
    day, next_day = track_cells.simulate(track_cells.PlaceCellsConfig(n_cells=200, n_laps=20))
    trials = day.trials
    right = trials["direction"] == 0
    assert (trials["first_bin"][right] == 3).all() and (trials["last_bin"][right] == 22).all()
    assert (trials["first_bin"][~right] == 22).all()
    frames = np.round((trials["stop_s"] - trials["start_s"]) * 20).astype(int)
    lap = np.repeat(np.arange(day.n_trials), frames)
    fired = (day.signals["events"].values > 0).astype(float)
    place = day.signals["position"].values[:, 0].astype(int) - 3
    assert 0.05 < fired.mean() * 20 < 0.4
    train, test = (lap < 14), (lap >= 14) & (lap < 20)
    smooth = np.stack([np.convolve(cell, np.ones(11), "same") for cell in fired.T], axis=1)
    rate = np.stack([smooth[train & (place == b)].mean(axis=0) + 0.01 for b in range(20)])

    def error(counts):
        guess = (counts @ np.log(rate).T - rate.sum(axis=1)).argmax(axis=1)
        return np.abs(guess - place[test]).mean()

    assert error(smooth[test]) < 3.0
    assert error(np.roll(smooth[test], test.sum() // 2 + 17, axis=0)) > 5.0
    assert next_day.n_trials == day.n_trials


def test_persons_are_known_by_their_connectivity_only_if_they_have_one_of_their_own():
    def identified(individual):
        people = resting_state.simulate(resting_state.RestingConfig(individual=individual))
        pair = np.triu_indices(94, 1)
        half = [
            [np.corrcoef(p.signals["bold"].values[part].T)[pair] for p in people]
            for part in (slice(0, 177), slice(177, 355))
        ]
        likeness = np.corrcoef(*half)[:5, 5:]
        others = likeness[~np.eye(5, dtype=bool)]
        return (likeness.argmax(axis=1) == np.arange(5)).mean(), np.diag(likeness).mean(), others.mean()

    known, within, between = identified(0.25)
    assert known >= 0.8 and within > between + 0.2 and between > 0.2
    alike = identified(0.0)
    assert alike[1] == pytest.approx(alike[2], abs=0.1)


def test_theta_stands_out_and_carries_gamma_on_its_peak():
    recording = theta_rhythm.simulate(theta_rhythm.ThetaConfig(duration_s=30.0))
    values, phase = recording.signals["lfp"].values[:, 0], recording.signals["theta_phase"].values[:, 0]
    frequency, density = welch(values, 1250.0, nperseg=2500)
    assert frequency[density[frequency > 2].argmax() + (frequency <= 2).sum()] == pytest.approx(8.0, abs=0.5)
    spectrum = np.fft.rfft(values)
    at = np.fft.rfftfreq(len(values), 1 / 1250)
    spectrum[(at < 35) | (at > 85)] = 0
    amplitude = np.abs(hilbert(np.fft.irfft(spectrum, len(values))))
    assert amplitude[np.cos(phase) > 0.9].mean() > 2 * amplitude[np.cos(phase) < -0.9].mean()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MotorImageryConfig(task="eyes_open"), "rest"),
        (lambda: MotorImageryConfig(n_runs=4), "there are 3"),
        (lambda: armband.ArmbandConfig(repeats=0), "repeats"),
        (lambda: track_cells.PlaceCellsConfig(share=1.2), "share"),
        (lambda: resting_state.RestingConfig(individual=2.0), "individual"),
        (lambda: theta_rhythm.ThetaConfig(coupling=1.5), "coupling"),
    ],
)
def test_impossible_twins_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
