"""A port of its own for the master of `--processes`: on Locust's own port, other runs would join in."""

import socket
from collections.abc import Iterable


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def own_master(options: Iterable[str]) -> list[str]:
    """The arguments to add when `options` ask for processes."""
    if "--processes" not in options:
        return []
    port = str(free_port())
    return ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
