"""Sockets as both transports use them: addresses, TLS, and when the kernel received what."""
