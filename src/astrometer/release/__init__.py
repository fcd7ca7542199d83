"""Two AstrBots, one load, in turn -> the results of each run, ready to be compared."""
