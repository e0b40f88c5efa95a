"""Metrics: pure functions of NumPy arrays, one file per question. Import the file you need; nothing is loaded here."""
