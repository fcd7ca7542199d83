"""Load tests and uptime probes for AstrBot whose numbers can be trusted."""

from importlib.metadata import version

__version__ = version("astrometer")
