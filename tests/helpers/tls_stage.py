"""A server that speaks TLS over memory, so that a test decides which records leave, and when."""

import socket
import threading
from contextlib import contextmanager, suppress

from tls_files import serving_pump


@contextmanager
def tls_stage(authority, play):
    """`play(pump, sock)` has the connection after a question came in on it."""
    listener = socket.create_server(("127.0.0.1", 0))
    pair = authority.issue("stage")

    def serve():
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pump = serving_pump(*pair)
                while not pump.handshake():
                    sock.sendall(pump.take())
                    pump.feed(sock.recv(65536))
                sock.sendall(pump.take())
                asked = pump.read()
                while b"{}" not in asked:
                    pump.feed(sock.recv(65536))
                    asked += pump.read()
                play(pump, sock)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    with listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    server.join(5)
    assert not server.is_alive()


def encrypted(pump, *pieces):
    """A record for each."""
    ciphertext = b""
    for piece in pieces:
        pump.write(piece)
        ciphertext += pump.take()
    return ciphertext
