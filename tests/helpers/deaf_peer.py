"""An OneBot adapter on a socket that takes the handshake, and then reads nothing until it is told to."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from onebot_peer import Peer

from astrometer.im.link.link_address import LinkAddress

LONG = "x" * 8_000_000  # more than the system takes for a peer that does not read


class DeafPeer:
    """`hears` once: it reads on, and answers each question with its own text's beginning."""

    def __init__(self, *, accepts: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self._accepts = accepts
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self._hearing = threading.Event()
        self._left = threading.Event()
        self.peer = Peer()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> LinkAddress:
        scheme = "ws" if self._tls is None else "wss"
        return LinkAddress.parse(f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}/ws", self_id=10001)

    def hears(self) -> None:
        self._hearing.set()

    def leave(self) -> None:
        self._left.set()
        self._hearing.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            link, _ = self._server.accept()
            with link if self._tls is None else self._tls.wrap_socket(link, server_side=True) as sock:
                self._talk(sock)

    def _talk(self, link: socket.socket) -> None:
        peer = self.peer
        while peer.request is None:
            peer.hear(link.recv(4096))
        if self._accepts:
            link.sendall(peer.accept())
        self._hearing.wait()
        answered = 0
        while not self._left.is_set() and peer.closed is None and (data := link.recv(1 << 20)):
            peer.hear(data)
            for event in peer.events[answered:]:
                link.sendall(peer.private(event["user_id"], "heard"))
                answered += 1
        if peer.closed is not None:
            link.sendall(peer.close())


@contextmanager
def deaf_peer(*, accepts: bool = True, tls: ssl.SSLContext | None = None) -> Iterator[DeafPeer]:
    found = DeafPeer(accepts=accepts, tls=tls)
    try:
        yield found
    finally:
        found.leave()
