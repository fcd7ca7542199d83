"""A finished exchange -> the tally of this process, one Locust request event, and rows for people.

Exactly one event per exchange, so that Locust's counts and failure ratio are those of the exchanges. TTFT
and gaps go to rows of their own (`stats.entries`), which the Aggregated row does not sum up.
"""

from types import MappingProxyType
from typing import Any

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.im.im_turn import ImTurn
from astrometer.load.run.record_log import RecordLog
from astrometer.load.run.run_clock import RunClock
from astrometer.measure.records.exchange_row import Ended
from astrometer.measure.results.other_requests import OtherRequests
from astrometer.measure.tally.exchange_stats import ExchangeSamples
from astrometer.measure.tally.tally import Tally
from astrometer.measure.turns_at_once import TurnsAtOnce

# The context of each of our own request events; what comes with another one is the locustfile's own.
OURS = MappingProxyType({"astrometer": True})
ASKING = frozenset({"chat", "im_chat"})  # operations that are turns, which ask the model


class Failed(Exception):
    """What Locust shows in its failures table: the outcome's name and nothing else, so rows are bounded."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome

    def __repr__(self) -> str:
        return self.outcome.value  # Locust 2.47 shows the repr


class Recorder:
    """Where the users of one process report. `environment` is Locust's."""

    def __init__(
        self, environment: Any, tally: Tally, clock: RunClock, records: RecordLog | None = None
    ) -> None:
        self._environment = environment
        self._clock = clock
        self.records = records
        self.tally = tally
        self.at_once = TurnsAtOnce()

    def began(self, scenario: str, operation: str, t_intended: float | None = None) -> float:
        """Count an exchange before anything can go wrong; returns when in the run it was intended."""
        now = self._clock.now()
        t_s = self._clock.since_start(now if t_intended is None else t_intended)
        self.tally.started(scenario, operation, t_s)
        if operation in ASKING:
            self.at_once.began(self._clock.since_start(now))
        return t_s

    def ended(
        self,
        scenario: str,
        operation: str,
        t_s: float,
        kind: str,
        done: Ended,
        *,
        user: str,
        turn: int | None = None,
    ) -> None:
        """Count its end. `kind` is Locust's request type: SSE, POST or GET; `turn`: which of its session."""
        samples = ExchangeSamples.of(done)
        done = self.tally.finished(scenario, operation, t_s, done, samples)
        if self.records is not None:
            self.records.note(
                scenario, operation, t_s, way=kind, done=done, samples=samples, user=user, turn=turn
            )
        if operation in ASKING:
            self.at_once.ended(self._clock.since_start(self._clock.now()))
        if isinstance(done, ChatTurn):
            self._show_stream(operation, samples)
        elif isinstance(done, CallResult) and done.upload is not None and done.upload.accept_s is not None:
            row = self._environment.stats.entries[(f"{operation} accept", "accept")]
            row.log(done.upload.accept_s * 1000, 0)
        self._environment.events.request.fire(
            request_type=kind,
            name=operation,
            response_time=_duration_s(done) * 1000,
            response_length=getattr(done, "bytes_received", 0),
            exception=None if done.outcome.is_ok else Failed(done.outcome),
            context=OURS,
        )

    def _show_stream(self, operation: str, samples: ExchangeSamples) -> None:
        for metric, name, method in (("ttft", "TTFT", "ttft"), ("max_gap", "longest gap", "gap")):
            for seconds in samples.metrics.get(metric, ()):
                self._environment.stats.entries[(f"{operation} {name}", method)].log(seconds * 1000, 0)


class OtherRecorder:
    """Hears of the requests that a locustfile makes itself; those of ramp and warm-up are left out."""

    def __init__(self, clock: RunClock, excluded_s: float) -> None:
        self.requests = OtherRequests()
        self._clock = clock
        self._excluded_s = excluded_s

    def heard(
        self,
        request_type: str,
        name: str,
        *,
        response_time: float | None = None,
        response_length: int | None = 0,
        exception: object = None,
        context: Any = None,
        **_: Any,
    ) -> None:
        """Listens to Locust's `request`."""
        if context is OURS:
            return
        duration_s = None if response_time is None else response_time / 1000
        began_s = self._clock.since_start(self._clock.now()) - (duration_s or 0.0)
        if began_s >= self._excluded_s:
            failure = None if exception is None else type(exception).__name__
            length = response_length or 0
            self.requests.add(str(request_type), str(name), duration_s, length=length, failure=failure)


def _duration_s(done: Ended) -> float:
    """The `e2e` of a good chat; of a failed one the time until it was over."""
    if isinstance(done, CallResult):
        return done.duration_s
    if isinstance(done, ImTurn):
        return (done.t_last if done.outcome.is_ok and done.t_last is not None else done.t_close) - done.t_send
    timings = done.timings
    if done.outcome.is_ok and timings.e2e_s is not None:
        return timings.e2e_s
    return (timings.t_close or timings.t_send) - timings.t_send
