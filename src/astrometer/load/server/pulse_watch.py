"""A server whose process nobody knows -> one cheap request a second, in the process that leads the run."""

from contextlib import closing
from typing import Any

import gevent

from astrometer.api.call_exchange import CallExchange, CallResult
from astrometer.api.endpoints import START_TIME
from astrometer.api.server_versions import started_at
from astrometer.load.run.run_clock import RunClock
from astrometer.load.transport.load_client import Client, Request
from astrometer.measure.server_pulse import ServerPulse
from astrometer.wire.tls import TlsSettings

STEP_S = 1.0
TIMEOUT_S = 10.0
MAX_BYTES = 10_000


class PulseWatch:
    """Of one run. Needs no key. A server that does not know the question is not asked again."""

    def __init__(self, url: str, clock: RunClock, excluded_s: float, tls: TlsSettings) -> None:
        self._url, self._clock, self._excluded_s, self._tls = url, clock, excluded_s, tls
        self._pulse = ServerPulse()
        self._knows = False
        self._started_at: object = None
        self._greenlet: Any = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def pulse(self) -> ServerPulse | None:
        """None: it was never answered."""
        return self._pulse if self._knows else None

    def _run(self) -> None:
        with closing(Client(self._url, lambda _scope: None, tls=self._tls)) as client:
            due = self._clock.now()
            while not self._clock.is_over:
                answer = _ask(client)
                if answer.status is not None and not answer.outcome.is_ok and not self._knows:
                    return
                self.note(answer)
                due = max(due + STEP_S, self._clock.now())
                gevent.sleep(due - self._clock.now())

    def note(self, answer: CallResult) -> None:
        began_at = started_at(answer)
        if began_at is not None:
            self._pulse.restarts += self._started_at not in {None, began_at}
            self._started_at, self._knows = began_at, True
        if self._clock.since_start(answer.t_send) < self._excluded_s:
            return
        if answer.outcome.is_ok:
            self._pulse.add(answer.duration_s)
        else:
            self._pulse.failed += 1


def _ask(client: Client) -> CallResult:
    exchange = CallExchange(timeout_s=TIMEOUT_S, max_bytes=MAX_BYTES)
    client.run(Request(method=START_TIME.method, path=START_TIME.path, scope=None), exchange)
    return exchange.result()
