"""A `MessengerSession` over a plain blocking socket: the smallest shell there can be."""

import select
import socket
from contextlib import suppress
from time import perf_counter

from waiting import PATIENCE_S

from astrometer.api.outcome import Outcome


class BlockingLink:
    """Drives one session. `run` returns as soon as `until()` is true, or fails after `timeout_s`."""

    def __init__(self, session):
        self.session = session
        self.socket = None

    def connect(self, timeout_s=10.0):
        now = perf_counter()
        try:
            self.socket = socket.create_connection((self.session.address.host, self.session.address.port), 5)
        except OSError as exc:
            self.session.connect(now)
            self.session.lost(perf_counter(), Outcome.CONNECT, str(exc))
            return self.session.end
        self.session.connect(now)
        self.run(lambda: self.session.is_open or self.session.end is not None, timeout_s)
        return self.session.end

    def run(self, until, timeout_s=PATIENCE_S):
        give_up = perf_counter() + timeout_s
        while not until():
            now = perf_counter()
            assert now < give_up, f"nothing came of it in {timeout_s} s"
            self.step(min(0.05, give_up - now))

    def step(self, wait_s=0.05):
        out = self.session.outgoing()
        if self.socket is not None:
            try:
                if out:
                    self.socket.sendall(out)
                if select.select([self.socket], [], [], wait_s)[0]:
                    data = self.socket.recv(65536)
                    if data:
                        self.session.feed(perf_counter(), data)
                    else:
                        self.session.eof(perf_counter())
            except OSError as exc:
                self.session.lost(perf_counter(), Outcome.RESET, str(exc))
            if self.session.end is not None:
                self.drop()
        else:
            select.select([], [], [], wait_s)
        self.session.expire(perf_counter())

    def drop(self):
        """The last words go out, then the socket is closed."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.sendall(self.session.outgoing())
            self.socket.close()
            self.socket = None

    @staticmethod
    def now():
        return perf_counter()

    def ask(self, *questions, timeout_s=PATIENCE_S):
        """All at once; their turns, in the order of the questions."""
        asked = [self.session.ask(perf_counter(), question) for question in questions]
        self.run(lambda: all(exchange.done for exchange in asked), timeout_s)
        self.session.finished()
        return [exchange.result() for exchange in asked]

    def again(self, timeout_s=PATIENCE_S):
        """Connect again when the session says so."""
        give_up = perf_counter() + timeout_s
        while perf_counter() < give_up:
            due = self.session.reconnect_t()
            if due is not None and due <= perf_counter():
                end = self.connect()
                if end is None:
                    return
            self.step()
        raise AssertionError("no link again")

    def leave(self):
        self.session.close(perf_counter())
        self.run(lambda: self.session.link is None or self.session.end is not None, 10)
        self.drop()
