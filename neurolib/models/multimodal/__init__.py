"""A foundation model over neural modalities: any subset of them in, latents on a time grid and heads out.

``inputs`` what comes in · ``identity`` growing tables of units and recordings · ``tokenizers`` one file per
kind of signal · ``perceiver`` tokens to latents and back · ``mixers``, ``backbone`` state spaces along time ·
``population`` attention over units · ``heads``, ``masking``, ``contrastive``, ``balancing``, ``adversary`` what
is learned · ``network`` the whole, its presets · ``transfer``, ``pretrained`` what is done with it afterwards.
"""
