"""Runs: pages are text notebooks in, executed notebooks, results and a book out."""
