"""A worker whose master is gone -> it ends within 5 seconds, instead of loading on for a minute.

Locust's own check is a heartbeat of its Python loop, with a patience of 60 s, so that a busy master is not
taken for a dead one. ZeroMQ's threads answer each other's heartbeats whatever Python does, and the kernel
closes the connections of a killed process: one that broke and stays so means that the master is gone. A
worker that its master forked (`--processes`) sees by its parent that the master ended before it was
connected: Locust 2.47 means to end such children, and forgets them (`kill_workers` takes waitpid's "not yet"
for an end).
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust.rpc import zmqrpc

import zmq.green as zmq
from zmq.utils.monitor import recv_monitor_message

HEARTBEAT_MS = 1000
SILENCE_MS = 2000  # then the connection counts as broken
COMES_BACK_S = 1.5  # within this, or never
STEP_S = 0.25
STOP_S = 0.5  # for the users' own farewells

log = logging.getLogger(__name__)


class Connection:
    """The one to the master, of this process."""

    def __init__(self) -> None:
        self.gone: Callable[[], None] = _leave
        self.parent: int | None = None  # whose fork this process is
        self._pid = os.getpid()
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=self._note_parent)

    def _note_parent(self) -> None:
        """As it was before the fork: it may have ended since."""
        self.parent, self._pid = self._pid, os.getpid()

    def watch(self, socket: Any) -> None:
        monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED
        )
        try:
            self._listen(monitor)
        finally:
            monitor.close(linger=0)

    def _listen(self, monitor: Any) -> None:
        broken_at: float | None = None
        while True:
            event = None
            with gevent.Timeout(STEP_S, False):  # `monitor.poll` cannot watch file numbers above 1,023
                event = recv_monitor_message(monitor)["event"]
            if event == zmq.EVENT_MONITOR_STOPPED:
                return
            if self.parent is not None and os.getppid() != self.parent:
                self.gone()
                return
            if event is not None:
                broken_at = time.monotonic() if event == zmq.EVENT_DISCONNECTED else None
            elif broken_at is not None and time.monotonic() - broken_at > COMES_BACK_S:
                self.gone()
                return


def _leave() -> None:
    """Before the worker's runner is made."""
    log.warning("the master is gone; this worker ends")
    _exit()


def _exit() -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(1)


connection = Connection()


def watch_connections() -> None:
    """From now on, of every client that Locust makes."""
    locusts: Any = zmqrpc  # not typed
    make_socket, make_client = locusts.BaseSocket.__init__, locusts.Client.__init__

    def socket_with_heartbeat(self: Any, sock_type: int, ipv4_only: bool) -> None:
        make_socket(self, sock_type, ipv4_only)
        if sock_type == zmq.DEALER:
            self.socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
            self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE_MS)

    def client_that_is_watched(self: Any, host: str, port: int, identity: str) -> None:
        make_client(self, host, port, identity)
        gevent.spawn(connection.watch, self.socket)

    locusts.BaseSocket.__init__ = socket_with_heartbeat
    locusts.Client.__init__ = client_that_is_watched


def end_with_master(runner: Any, is_loading: Callable[[], bool]) -> None:
    def gone() -> None:
        if not is_loading():
            log.warning("the master is gone; this worker ends")
            runner.greenlet.kill(block=False)  # as when it is told to quit
            return
        log.error("the master is gone in mid-test; this worker ends its users and itself")
        runner.environment.stop_timeout = 0
        with gevent.Timeout(STOP_S, False):
            runner.stop()
        _exit()

    connection.gone = gone
