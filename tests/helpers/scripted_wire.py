"""A TCP server that plays a script: bytes, pauses, and ways to hang up. One script per connection."""

import socket
import struct
import threading
import time
from contextlib import contextmanager

CUT = object()  # FIN
RESET = object()  # RST
NEXT = object()  # wait for the next request on the same connection

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(**fields):
    import json

    return b"data: " + json.dumps(fields, ensure_ascii=False).encode() + b"\n\n"


OPENING = event(type="session_id", data=None, session_id="s-1")
TOKEN = event(type="plain", data="word ", streaming=True, chain_type=None)
STATS = event(
    type="agent_stats",
    data={"token_usage": {"input_other": 9, "output": 3}, "time_to_first_token": 0.01},
)
END = event(type="end", data="", streaming=False)
BEAT = b": heartbeat\n\n"
WHOLE = OPENING + TOKEN + TOKEN + STATS + END


class Wire:
    """What the server saw: `connections`, and the `requests` as raw bytes.

    What it sent began to leave at `sent_at`, and had left at `sent_by`.
    """

    def __init__(self, listener):
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.connections = 0
        self.requests = []
        self.sent_at = []
        self.sent_by = []


@contextmanager
def play(*scripts, read_body=True, read_request=True):
    """Serve the scripts, one for each connection, the last one for all further ones."""
    listener = socket.create_server(("127.0.0.1", 0))
    wire = Wire(listener)
    open_sockets = []

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            open_sockets.append(sock)
            script = scripts[min(wire.connections, len(scripts) - 1)]
            wire.connections += 1
            threading.Thread(
                target=_talk, args=(wire, sock, script, read_body, read_request), daemon=True
            ).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in open_sockets:
            sock.close()
        thread.join(2)


def _talk(wire, sock, script, read_body, read_request):
    try:
        if read_request:
            wire.requests.append(_request(sock, read_body))
        for step in script:
            if isinstance(step, bytes):
                wire.sent_at.append(time.perf_counter())
                sock.sendall(step)
                wire.sent_by.append(time.perf_counter())
            elif step is CUT:
                sock.close()
                return
            elif step is RESET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                return
            elif step is NEXT:
                wire.requests.append(_request(sock, read_body))
            else:
                time.sleep(step)
        sock.recv(1)  # until the client leaves
    except OSError:
        return


def _request(sock, read_body):
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536) or _gone()
    head, _, body = data.partition(b"\r\n\r\n")
    wanted = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while read_body and len(body) < wanted:
        body += sock.recv(65536) or _gone()
    return head + b"\r\n\r\n" + body


def _gone():
    raise OSError("the client left")
