"""The AstrBot HTTP contract, sans-IO: no sockets, no clock, no gevent, no asyncio."""
