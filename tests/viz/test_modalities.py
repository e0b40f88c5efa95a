"""Pictures of models of several modalities: a line per task, a dot per set of modalities."""

import matplotlib.pyplot as plt
import numpy as np

from neurolib.viz.modalities import modality_dots, removal_curve, task_losses


def test_losses_are_relative_to_their_start_and_averaged_over_runs():
    runs = [
        [{"decode": 2.0, "encode_emg": 4.0}, {"decode": 2.0}, {"decode": 2.0, "encode_emg": 4.0}],
        [{"decode": 1.0}, {"decode": 0.0, "encode_emg": 1.0}, {"decode": 0.0, "encode_emg": 1.0}],
    ]
    fig = task_losses(runs, {"hand": "decode", "samples": "encode"}, simulated=True)
    hand, samples = (ax.lines[0] for ax in fig.axes)
    assert np.allclose(hand.get_ydata(), [1.0, 0.9, 0.82])
    assert np.allclose(samples.get_ydata(), [1.0, 1.0, 1.0])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["emg"]
    plt.close(fig)


def test_every_set_is_a_dot_and_the_line_goes_through_their_means():
    fig = removal_curve({"network": {1: [0.2, 0.4], 2: [0.9]}}, "R²", simulated=False)
    two, one, line = fig.axes[0].lines[:3]
    assert len(two.get_ydata()) == 1 and len(one.get_ydata()) == 2
    assert list(line.get_xdata()) == [2, 1] and np.allclose(line.get_ydata(), [0.9, 0.3])
    plt.close(fig)


def test_readers_stand_beside_each_other_over_chance():
    one = {"emg": (0.5, 0.4, 0.7), "eeg": 0.2}
    fig = modality_dots({"alone": {"network": one, "ridge": {"emg": 0.9, "eeg": 0.1}}}, {"alone": {"emg": 0.1, "eeg": 0.2}}, "R²", True)  # fmt: skip
    ax = fig.axes[0]
    network, ridge = (line for line in ax.lines if line.get_marker() == "o")
    assert list(network.get_xdata()) == [0.5, 0.2] and list(ridge.get_xdata()) == [0.9, 0.1]
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.2]
    plt.close(fig)
