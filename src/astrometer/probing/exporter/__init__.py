"""Runs of probes -> `/metrics` for Prometheus, `/probe` on demand, and pages for people."""
