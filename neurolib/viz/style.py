"""The look of all figures; importing it applies the style to matplotlib and plotly."""

from pathlib import Path

import matplotlib.pyplot as plt
import plotly.graph_objects as go
import plotly.io as pio
from matplotlib.layout_engine import ConstrainedLayoutEngine

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito
GREY = "#8a8a8a"

plt.style.use(Path(__file__).with_name("neurolib.mplstyle"))

pio.templates["neurolib"] = go.layout.Template(
    layout={
        "colorway": COLOURS,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"size": 12, "color": "#222222"},
        "margin": {"l": 55, "r": 15, "t": 35, "b": 45},
        "xaxis": {"showgrid": False, "ticks": "outside", "linecolor": "#222222", "zeroline": False},
        "yaxis": {"showgrid": False, "ticks": "outside", "linecolor": "#222222", "zeroline": False},
        "legend": {"orientation": "h", "y": 1.12},
    }
)
pio.templates.default = "neurolib"


def mark_simulated(fig, simulated: bool) -> None:
    """Write SIMULATED above a matplotlib figure whose data no animal produced."""
    if simulated:
        if isinstance(engine := fig.get_layout_engine(), ConstrainedLayoutEngine):
            engine.set(rect=(0, 0, 1, 1 - 0.14 / fig.get_figheight()))  # a line of its own, 0.14 in high
        fig.text(0.995, 0.995, "SIMULATED", ha="right", va="top", fontsize=7, color="#D55E00", weight="bold")
