"""Exchanges that ended -> counts and histograms by scenario, operation, size and time. Mergeable."""
