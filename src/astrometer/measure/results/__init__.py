"""What a run measured <-> `results.json`."""
