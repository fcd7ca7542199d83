"""The exporter about itself -> series: its version, its config, its event loop, what is going on."""

import platform
import time

from prometheus_client import CollectorRegistry, Gauge

from astrometer import __version__


class SelfMetrics:
    """The exporter about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        p = "astrbot_probe_exporter_"
        info = Gauge(f"{p}build_info", "Always 1.", ("version", "python"), registry=registry)
        info.labels(__version__, platform.python_version()).set(1)
        self._reload_ok = Gauge(
            f"{p}config_last_reload_successful",
            "1 if the config in force is the last one read.",
            registry=registry,
        )
        self._reload_at = Gauge(
            f"{p}config_last_reload_success_timestamp_seconds",
            "When a config was last read and taken.",
            registry=registry,
        )
        self.reloaded(ok=True)
        self.in_flight = Gauge(f"{p}runs_in_flight", "Runs that are going on.", registry=registry)
        self.loop_lag = Gauge(
            f"{p}event_loop_lag_seconds", "Worst lateness of a timer in the last 15 s.", registry=registry
        )

    def reloaded(self, *, ok: bool) -> None:
        """The config was read: and taken, or refused."""
        self._reload_ok.set(1 if ok else 0)
        if ok:
            self._reload_at.set(time.time())
