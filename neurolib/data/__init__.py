"""Data: a catalog of recorded sets, loaders into plain typed containers, and their simulated twins."""
