"""Hebbian attention: an attention matrix that pairs of spikes write, bin by bin."""
