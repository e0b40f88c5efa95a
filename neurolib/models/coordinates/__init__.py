"""Models of where studies report activity: foci in, a density over the voxels of the brain out."""
