"""ASGI app -> a listening loopback server in a thread, gone when the context ends."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from astrometer.targets.cutting import CuttableH11


class ServerDidNotStart(RuntimeError):
    """The server thread ended, or was not ready, before the deadline."""


@contextmanager
def serve(app: ASGIApp, port: int = 0, *, start_timeout_s: float = 10.0) -> Iterator[str]:
    """Serve `app` on 127.0.0.1 and yield its base URL; `port` 0 takes a free one.

    Raises ServerDidNotStart, or OSError when the port is taken.
    """
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    # Accepted connections inherit it. asyncio sets it only on sockets made with IPPROTO_TCP; without it every
    # answer after a connection's first waits about 40 ms for the client's delayed ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound_port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=CuttableH11,
        ws="wsproto",
        ws_ping_interval=None,  # AstrBot sends none
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=(server, listener), daemon=True)
    thread.start()
    try:
        give_up = time.monotonic() + start_timeout_s
        while not server.started:
            if not thread.is_alive() or time.monotonic() > give_up:
                raise ServerDidNotStart(f"the server on 127.0.0.1:{bound_port} did not start")
            thread.join(0.01)
        yield f"http://127.0.0.1:{bound_port}"
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    with suppress(SystemExit):  # uvicorn's word for an app whose startup failed; it has logged why
        server.run(sockets=[listener])
