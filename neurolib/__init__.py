"""neurolib: what the book computes with. Import the rooms you need; nothing is loaded here."""

__version__ = "0.1.0"
