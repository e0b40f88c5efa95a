"""Excerpts are what they say: of the right place, length and channels, from either source."""

import numpy as np
import pytest

from neurolib.data import catalog, excerpts
from neurolib.data.excerpts import cut, load_excerpts
from neurolib.data.recording import Signal
from neurolib.data.signal_sets import load_signals
from neurolib.data.trials import Trials
from neurolib.models.multimodal.inputs import MODALITIES


def test_each_kind_has_its_clock_and_length():
    kinds = ("eeg", "fmri", "ecog")  # the others take seconds to simulate, or come below
    found = load_excerpts("simulated", window_s=1.5, scans=7, names=kinds)
    assert tuple(found) == kinds and list(excerpts.KINDS) == list(MODALITIES)
    for kind, piece in found.items():
        signal = piece.signal
        assert piece.simulated and piece.name in catalog.datasets()
        assert signal.time_s[0] == 0 and np.isfinite(signal.values).all()
        assert len(signal.values) == (7 if kind == "fmri" else round(1.5 * signal.rate_hz))
        assert signal.values.any(), kind
    assert found["eeg"].signal.positions is not None


def test_spikes_are_the_first_trial_that_is_long_enough(monkeypatch):
    counts = np.arange(12).reshape(6, 2)
    trials = Trials(counts, np.zeros((6, 1)), [2, 4], 0.25, name="spykesml_s1", simulated=True)
    monkeypatch.setattr(excerpts, "load", lambda id, source: trials)
    piece = load_excerpts("simulated", window_s=0.75, names=("spike",))["spike"]
    assert piece.simulated and piece.signal.rate_hz == 4
    assert (piece.signal.values == counts[2:5]).all()
    with pytest.raises(ValueError, match="no trial of 2 s"):
        load_excerpts("simulated", window_s=2.0, names=("spike",))


def test_emg_starts_with_a_gesture_and_calcium_stays_in_a_run():
    found = load_excerpts("simulated", window_s=1.0, names=("emg", "calcium"))
    gestures = load_signals("gestures", "simulated").recordings[0]
    start_s = gestures.trials["start_s"][gestures.trials["gesture"] > 0][0]
    rows = np.isclose(gestures.signals["emg"].time_s, start_s)
    assert (found["emg"].signal.values[0] == gestures.signals["emg"].values[rows]).all()
    cells = load_signals("place_cells", "simulated").recordings[0]
    low, high = cells.observed_s[np.diff(cells.observed_s)[:, 0] >= 1.0][0]
    time_s = cells.signals["events"].time_s
    inside = cells.signals["events"].values[(time_s >= low - 1e-6) & (time_s < high)]
    assert (found["calcium"].signal.values == inside[:20]).all()


def test_what_is_not_there_is_said(tmp_path, monkeypatch):
    signal = Signal(np.arange(10) / 10, np.arange(10))
    assert cut(signal, 0.5, 5).time_s[-1] == pytest.approx(0.4)
    with pytest.raises(ValueError, match=r"5 samples after 0\.5 s, 6 wanted"):
        cut(signal, 0.5, 6)
    with pytest.raises(ValueError, match="no kind 'meg'"):
        load_excerpts(names=("meg",))
    with pytest.raises(ValueError, match="source='real'"):
        load_excerpts("real", names=("ecog",))
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    assert load_excerpts("auto", 1.0, names=("ecog",))["ecog"].simulated
    with pytest.raises(FileNotFoundError):
        load_excerpts("recorded", 1.0, names=("ecog",))


@pytest.mark.skipif(not catalog.is_present(excerpts.ECOG), reason="the recording is not here")
def test_recorded_electrodes_have_places_in_mm():
    piece = load_excerpts("recorded", 1.0, names=("ecog",))["ecog"]
    assert not piece.simulated and piece.signal.values.shape == (1000, 6)
    assert np.abs(piece.signal.positions).max() > 10
