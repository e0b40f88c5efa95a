import matplotlib.pyplot as plt
import numpy as np

from neurolib.interpret.attribution.checks import Curves, Randomisation
from neurolib.viz.attribution import cascades, map_panels, modality_shares, removal_curves


def test_every_map_has_a_panel_and_the_last_bin_lies_at_the_answer():
    fig = map_panels({name: np.eye(6, 5) for name in "abcde"}, 0.05, n_real=4, simulated=True)
    shown = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown] == list("abcde")
    np.testing.assert_allclose(shown[0].images[0].get_extent(), (-300.0, 0, 4.5, -0.5))
    assert shown[0].images[0].get_array().shape == (5, 6)
    assert "SIMULATED" in [text.get_text() for text in fig.texts]
    plt.close(fig)


def test_curves_and_cascades_draw_means():
    share = np.linspace(0, 1, 4)
    one = Curves(share, np.stack([1 - share, 1 - share**2]), np.stack([share, share**2]))
    fig = removal_curves({"a": one}, one)
    np.testing.assert_allclose(fig.axes[0].lines[0].get_ydata(), one.deletion.mean(0))
    np.testing.assert_allclose(fig.axes[1].lines[0].get_ydata(), one.insertion.mean(0))
    plt.close(fig)
    made = Randomisation(("model.decoder", ""), np.array([[0.8, 0.6], [0.1, 0.3]]), np.zeros((2, 2)))
    fig = cascades({"a": made}, 0.5)
    np.testing.assert_allclose(fig.axes[0].lines[0].get_ydata(), [1, 0.7, 0.2])
    assert [t.get_text() for t in fig.axes[0].get_xticklabels()] == ["trained", "decoder", "everything"]
    plt.close(fig)


def test_bars_of_a_method_end_at_one():
    shares = {"IG": {"spike": [0.7, 0.2], "emg": [0.3, 0.8]}}
    fig = modality_shares(shares, ["emg", "spike"])
    for ax in fig.axes:
        last = ax.patches[-1]
        assert np.isclose(last.get_x() + last.get_width(), 1)
    assert [ax.patches[k].get_hatch() for ax, k in zip(fig.axes, (1, 0), strict=True)] == ["////", "////"]
    plt.close(fig)
