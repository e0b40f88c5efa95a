"""Quantizers: continuous latents in, a few whole numbers per latent out, and the way back."""
