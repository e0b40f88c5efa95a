"""A recording and its twin come through one door, and look alike."""

import pytest

from neurolib.data import catalog
from neurolib.data.signal_sets import SETS, load_signals


@pytest.mark.parametrize("id", SETS)
def test_a_twin_has_the_signals_and_columns_of_the_recording(id, tmp_path, monkeypatch):
    twin = load_signals(id, "simulated")
    assert twin.simulated and twin.name == SETS[id].recorded
    if catalog.is_present(twin.name):
        recorded = load_signals(id, "auto")
        assert not recorded.simulated
        one, two = recorded.recordings[0], twin.recordings[0]
        assert set(one.signals) <= set(two.signals)
        assert set(one.trials) <= set(two.trials)
        for name, signal in one.signals.items():
            assert signal.rate_hz == pytest.approx(two.signals[name].rate_hz, rel=0.01)
    monkeypatch.setenv("NEUROLIB_DATA", str(tmp_path))
    assert load_signals(id, "auto").simulated
    with pytest.raises(FileNotFoundError):
        load_signals(id, "recorded")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no set 'eegs'"):
        load_signals("eegs")
    with pytest.raises(ValueError, match="source='real'"):
        load_signals("rest", "real")
