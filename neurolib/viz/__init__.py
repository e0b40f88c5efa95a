"""Figures: one module per kind; matplotlib for what stands still, plotly for what moves."""
