"""A server that means ill: raw bytes on a real socket, as fast as they are taken."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

JSON = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
Answer = Callable[[bytes], Iterator[bytes]]  # the request's head -> the whole answer, piece by piece


class Hostile:
    """`seen` holds the heads of the requests that came, `sent` counts bytes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.seen: list[bytes] = []
        self.sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                # To the end of its body: closing with bytes unread resets the connection.
                wanted = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                while wanted and len(head.partition(b"\r\n\r\n")[2]) < int(wanted[1]):
                    head += connection.recv(65536)
                self.seen.append(head)
                for piece in self._answer(head):
                    connection.sendall(piece)
                    self.sent += len(piece)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@contextmanager
def hostile(chat: Callable[[], Iterator[bytes]]) -> Iterator[Hostile]:
    """Answers like AstrBot 4.25 that nothing can be deleted on, until it is asked a question."""

    def answer(head: bytes) -> Iterator[bytes]:
        if head.startswith(b"POST /api/v1/chat "):
            yield from chat()
        elif b"/start-time" in head:
            body = b'{"status": "ok", "data": {"start_time": 1}}'
            yield JSON % (b"200 OK", len(body), body)
        else:
            yield JSON % (b"404 Not Found", 2, b"{}")

    server = Hostile(answer)
    try:
        yield server
    finally:
        server.close()
