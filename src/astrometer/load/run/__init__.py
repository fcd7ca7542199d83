"""One run of one process: its users' exchanges recorded, its own health sampled, its results made."""
