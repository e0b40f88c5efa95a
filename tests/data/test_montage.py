"""Electrodes lie where mne has them."""

import numpy as np
import pytest

from neurolib.data.montage import CHANNELS_64, positions

mne = pytest.importorskip("mne")


def test_positions_agree_with_an_ideal_cap_and_with_a_measured_head():
    ideal = mne.channels.make_standard_montage("biosemi64").get_positions()["ch_pos"]
    named = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    head = mne.channels.make_standard_montage(named).get_positions()["ch_pos"]
    measured = np.array([head[name] for name in CHANNELS_64])
    design = np.column_stack([2 * measured, np.ones(len(measured))])  # of the sphere that fits best
    centre = np.linalg.lstsq(design, (measured**2).sum(axis=1), rcond=None)[0][:3]
    for reference, limit_deg in (
        ({name: ideal[name] for name in CHANNELS_64 if name in ideal}, 10),
        (dict(zip(CHANNELS_64, measured - centre, strict=True)), 15),
    ):
        points = np.array(list(reference.values()))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        cosine = (points * positions(list(reference))).sum(axis=1)
        assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < limit_deg


def test_left_is_left_and_names_are_unique():
    points = positions(CHANNELS_64)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    distance = np.linalg.norm(points[:, None] - points, axis=2) + 9 * np.eye(64)
    assert distance.min() > 0.2
    np.testing.assert_allclose(positions(["C3"]) * [-1, 1, 1], positions(["C4"]), atol=1e-12)


@pytest.mark.parametrize("name", ["X3", "C", "C0", "Iz1", "EMG"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=name):
        positions([name])
