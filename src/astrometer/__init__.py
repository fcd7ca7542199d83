"""Load tests and uptime probes for AstrBot whose numbers can be trusted."""

__version__ = "0.1.0"
