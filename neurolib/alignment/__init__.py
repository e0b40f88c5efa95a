"""How alike models and brains are: the same stimuli through all, every measure with its interval and its chance."""
