"""A port of its own for the master of `--processes`: on Locust's own port, other runs would join in."""

import socket
from collections.abc import Iterable


def own_master(options: Iterable[str]) -> list[str]:
    """The arguments to add when `options` ask for processes."""
    if "--processes" not in options:
        return []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    return ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
