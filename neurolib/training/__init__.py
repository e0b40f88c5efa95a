"""Training: one plain loop for every study, its batches, schedules, checkpoints and seeds."""
