import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurolib.metrics.drift import yearly_bands
from neurolib.viz.timeline import bands


def test_each_dimension_has_a_panel_with_its_means():
    rng = np.random.default_rng(0)
    found = yearly_bands(rng.normal(size=(90, 4)), np.repeat([2000, 2001, 2002], 30), 20)
    fig = bands(found, ["a", "b", "c", "d"], "sd", simulated=True)
    shown = [ax for ax in fig.axes if ax.axison]
    assert [ax.get_title("left") for ax in shown] == ["a", "b", "c", "d"]
    assert np.allclose(shown[3].lines[0].get_ydata(), found.mean[:, 3])
    assert any(text.get_text() == "SIMULATED" for text in fig.texts)
    plt.close(fig)
    with pytest.raises(ValueError, match="1 titles for 4"):
        bands(found, ["a"], "sd", simulated=False)
