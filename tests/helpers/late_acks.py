"""Between a messenger and AstrBot's adapter: the first acknowledgements of what the bot says come late."""

import threading
from contextlib import contextmanager, suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

_WHO = ("X-Self-ID", "X-Client-Role", "Authorization")


@contextmanager
def late_acks(url, *, delay_s, count=1):
    """The address of a way to `url` on which that many acknowledgements take so long."""
    left = [count]

    def pass_on(client):
        who = {name: client.request.headers[name] for name in _WHO if name in client.request.headers}
        with connect(
            url, additional_headers=who, compression=None, ping_interval=None, proxy=None
        ) as astrbot:
            back = threading.Thread(target=_copy, args=(astrbot, client.send), daemon=True)
            back.start()

            def send(frame):
                if '"echo"' in frame and left[0] > 0:
                    left[0] -= 1
                    threading.Timer(delay_s, _copy, args=([frame], astrbot.send)).start()
                else:
                    astrbot.send(frame)

            _copy(client, send)

    with serve(pass_on, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/ws"
        server.shutdown()


def _copy(frames, send):
    with suppress(ConnectionClosed):
        for frame in frames:
            send(frame)
