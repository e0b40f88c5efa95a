"""The trained atlas as an artefact: what leaves the package and works without it."""

# what scores of held-out foci call the models with networks; all others are classical
NETWORKS = ("text network", "autoencoder", "ensemble", "plain autoencoder", "pool")
