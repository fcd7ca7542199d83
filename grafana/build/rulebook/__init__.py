"""thresholds.toml and astrometer's own tables -> Prometheus rules."""
