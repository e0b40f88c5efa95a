"""Sparse dictionaries of activations: vectors in, few features per vector out."""
