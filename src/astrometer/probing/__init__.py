"""Probes as files, run by one runner, exported to Prometheus. asyncio and httpx; never imports `load`."""
