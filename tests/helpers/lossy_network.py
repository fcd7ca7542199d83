"""A network of one's own that is slow and loses what it is told to: chats through it -> their turns.

To be run in a network namespace of its own (`unshare --net`). What is sent to FAR goes into a TUN device.
There this program gives it back with both addresses swapped, so it arrives at NEAR, where the server is, as
if FAR had sent it. The sum of the addresses stays the same, so every checksum still fits.
"""

import fcntl
import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing

NEAR, FAR = "10.9.0.1", "10.9.0.2"
ONE_WAY_S = 0.01
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x1001


class LossyNetwork:
    """`lose_question`, `lose_answer`: which of the next segments with data is lost on that way, from 1."""

    def __init__(self):
        self._tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._tun, _TUNSETIFF, struct.pack("16sH22x", b"lossy", _TUN_WITHOUT_HEADER))
        for command in ("addr add 10.9.0.1/24 dev lossy", "link set lossy up", "link set lo up"):
            subprocess.run(["ip", *command.split()], check=True)
        self.server = socket.create_server((NEAR, 0))
        self.port = self.server.getsockname()[1]
        self.lose_question = self.lose_answer = 0
        self._on_the_way = queue.SimpleQueue()
        for work in (self._take, self._give):
            threading.Thread(target=work, daemon=True).start()

    def _take(self):
        while True:
            packet = os.read(self._tun, 65536)
            if packet[0] >> 4 == 4 and not self._is_lost(packet):
                self._on_the_way.put((time.monotonic() + ONE_WAY_S, packet))

    def _give(self):
        while True:
            due, packet = self._on_the_way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            os.write(self._tun, packet[:12] + packet[16:20] + packet[12:16] + packet[20:])

    def _is_lost(self, packet):
        ip_bytes = (packet[0] & 15) * 4
        if len(packet) == ip_bytes + (packet[ip_bytes + 12] >> 4) * 4:
            return False  # an acknowledgement
        is_question = struct.unpack_from("!H", packet, ip_bytes + 2)[0] == self.port
        way = "lose_question" if is_question else "lose_answer"
        left = getattr(self, way)
        setattr(self, way, max(0, left - 1))
        return left == 1


def serve(server, pieces, pause_s):
    """One connection, one answer for each question: its pieces, with pauses."""
    sock, _ = server.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while sock.recv(65536):
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(pause_s)


def main():
    from scripted_wire import CHUNKED, END, LAST_CHUNK, OPENING, STATS, TOKEN, chunk

    from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
    from astrometer.load.transport.load_client import Client, Request

    network = LossyNetwork()
    pieces = [CHUNKED + chunk(OPENING), *[chunk(TOKEN)] * 6, chunk(STATS + END) + LAST_CHUNK]
    threading.Thread(target=serve, args=(network.server, pieces, 0.03), daemon=True).start()
    chat = Request(method="POST", path="/api/v1/chat", scope=None, body=b"{}")
    with closing(Client(f"http://{FAR}:{network.port}", lambda _scope: None)) as client:
        for lost in ({}, {"lose_question": 1}, {}, {"lose_answer": 2}, {}):
            for way, number in lost.items():
                setattr(network, way, number)
            exchange = ChatExchange(streaming=True, deadlines=Deadlines(total_s=10))
            client.run(chat, exchange)
            turn = exchange.result()
            told = {**turn.network._asdict(), "ttft_s": turn.timings.ttft_s, "outcome": turn.outcome}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    sys.exit(main())
