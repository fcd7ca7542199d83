"""The simulated AstrBot's adapter for OneBot v11 clients."""
