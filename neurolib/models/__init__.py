"""Models: one file per family, its frozen config beside it."""
