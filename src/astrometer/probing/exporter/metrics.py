"""Runs -> Prometheus series. Every metric name of `/metrics` is here; `/probe` has a few more.

A verdict comes from `probing.execution` as part of a `ProbeRun`; `exporter_app` hands that to `observe` here,
and `exposition` writes the page. Those of `/probe` alone are in `on_demand` (`one_run_registry`).

Labels are bounded: names out of the config, the closed list of reasons, the known event types. A gauge of the
last run is absent when the run did not get that far: missing is not zero.
"""

import platform
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from astrometer import __version__
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.events import KNOWN_TYPES
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.config.exporter_settings import Buckets
from astrometer.probing.exporter.families import (
    BY_PROBE,
    BY_TARGET,
    Families,
    chats,
    connects_with_tls,
    every,
    every_target,
    has_budget,
    has_tls,
    in_messenger,
    leaves_things,
)
from astrometer.probing.notify.notifier import DeliveryCount
from astrometer.probing.plan import Plan
from astrometer.probing.status.state_by_layer import State, TargetState, TargetStatus
from astrometer.probing.verdict import REASONS, ProbeRun

NAMESPACE = "astrbot_probe"
CONNECTING = ("resolve", "connect", "tls")
PHASES = (*CONNECTING, "headers", "first_event", "first_token", "generation", "tail")
SKIP_CAUSES = ("budget", "pace", "overlap", "schedule")
BY_LAYER = ("target", "layer", "state")
BY_CELL = ("target", "key", "endpoint", "expected")
UNKNOWN_VERSION = "unknown"
# It comes from the server, and OpenMetrics allows 128 characters in all.
_VERSION = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}", re.ASCII)
_SESSION_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class ProbeMetrics:
    """The metrics of probing; `observe` adds a run. `families` makes them exist at 0 and takes them away."""

    def __init__(self, registry: CollectorRegistry, buckets: Buckets | None = None) -> None:
        buckets = buckets or Buckets()
        disable_created_metrics()  # type: ignore[no-untyped-call]
        families = self.families = Families()
        counter = partial(Counter, namespace=NAMESPACE, registry=registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=registry)
        histogram = partial(Histogram, namespace=NAMESPACE, registry=registry)
        ttft = partial(histogram, buckets=buckets.ttft_s)
        declare, of_target = families.add, partial(families.add, by=BY_TARGET)
        self.runs = declare(counter, "runs_total", "Runs finished.", every)
        self.failures = declare(
            counter, "failures_total", "Failed runs by first cause.", every, reason=REASONS
        )
        self.success = declare(gauge, "success", "1 if the last run passed; absent before the first.", every)
        self.duration = declare(
            partial(histogram, buckets=buckets.duration_s),
            "duration_seconds",
            "Request start to stream end, without preparation and cleanup.",
            every,
        )
        self.phase = declare(
            gauge,
            "phase_duration_seconds",
            "Phases of the last run's question; absent if not reached.",
            every,
            phase=_phases,
        )
        self.first_event = declare(
            ttft, "time_to_first_event_seconds", "Send to the first SSE data event.", chats
        )
        self.first_token = declare(
            ttft,
            "time_to_first_token_seconds",
            "Send to the first model output of successful chats.",
            chats,
        )
        self.first_reasoning = declare(
            ttft, "time_to_first_reasoning_seconds", "Send to the first reasoning text.", chats
        )
        self.first_reply = declare(
            ttft,
            "time_to_first_reply_seconds",
            "Send to the first message of the answer, of successful questions in a messenger.",
            in_messenger,
        )
        self.gap = declare(
            partial(histogram, buckets=buckets.gap_s),
            "inter_chunk_gap_seconds",
            "Gaps between the answer chunks of successful chats.",
            chats,
        )
        self.max_stall = declare(
            gauge,
            "max_stall_seconds",
            "Longest silence within an answer of the last run, up to its end if it never ended.",
            chats,
        )
        self.server_ttft = declare(
            gauge,
            "server_time_to_first_token_seconds",
            "Time to first token of the last run as the server reports it.",
            chats,
        )
        self.network_rtt = declare(
            gauge,
            "network_rtt_seconds",
            "Shortest TCP round trip of the last run's connections; absent where the kernel does not tell.",
            every,
        )
        self.retransmits = declare(
            counter,
            "tcp_retransmits_total",
            "TCP segments that the exporter sent again (sent), or that arrived after a gap (received).",
            every,
            direction=("sent", "received"),
        )
        self.events = declare(
            counter,
            "stream_events_total",
            "Stream events by known type.",
            chats,
            event=(*sorted(KNOWN_TYPES), "other"),
        )
        self.tokens = declare(
            counter, "tokens_total", "Tokens the server reported.", chats, direction=("input", "output")
        )
        self.skipped = declare(
            counter, "skipped_total", "Runs that did not start, by cause.", every, cause=SKIP_CAUSES
        )
        self.measured = declare(
            gauge,
            "measured",
            "What the probe itself measured in the last run; the name of the measure has its unit.",
            every,
            measure=lambda plan: plan.probe.measures,
        )
        self.scope_checks = counter("scope_checks_total", "Scope checks made.", BY_CELL)
        self.scope_violations = counter(
            "scope_violations_total",
            "Keys that reach what they must not (leak) or are refused what they may (rejected).",
            (*BY_CELL, "kind"),
        )
        self.cleanup_failures = declare(
            counter, "cleanup_failures_total", "Deletions that failed.", leaves_things, resource=_resources
        )
        self.leaked = declare(
            gauge,
            "leaked_resources",
            "Created since the start and still on the server.",
            leaves_things,
            from_zero=True,
            resource=_resources,
        )
        self.last_run = declare(gauge, "last_run_timestamp_seconds", "When the last run ended.", every)
        self.last_run_info = declare(
            gauge,
            "last_run_info",
            "Always 1; how the last run ended: ok, or the reason of its failure.",
            every,
            reason=(Outcome.OK,),  # one at a time
        )
        self.interval = declare(gauge, "interval_seconds", "Seconds between runs.", every)
        self.budget = of_target(
            gauge,
            "budget_tokens_remaining",
            "Tokens that probes may still spend today (UTC); absent without a budget.",
            has_budget,
        )
        self.cert_expiry = of_target(
            gauge,
            "cert_expiry_timestamp_seconds",
            "When the first certificate of the target's chain expires; absent without TLS.",
            has_tls,
        )
        self.target_info = of_target(
            gauge,
            "target_info",
            "Always 1; the AstrBot version if known.",
            every_target,
            version=(UNKNOWN_VERSION,),
        )
        self.started = of_target(
            gauge,
            "target_start_timestamp_seconds",
            "When AstrBot was started, by its own clock; absent if the probe server did not ask.",
            every_target,
        )
        self.outdated = of_target(
            gauge,
            "target_outdated",
            "1 if the AstrBot that runs is another version than the code on its disk; absent if unknown.",
            every_target,
        )
        self.state = gauge(
            "state", "1 for the state that the layer is in: ok, degraded, failing or unknown.", BY_LAYER
        )
        self.state_since = gauge(
            "state_since_timestamp_seconds",
            "Since when the layer is in its state, and why: the most frequent reason.",
            ("target", "layer", "reason"),
        )
        self.target_state = gauge(
            "target_state",
            "1 for the state that the target is in: the worst of its layers.",
            ("target", "state"),
        )
        self.target_state_since = gauge(
            "target_state_since_timestamp_seconds",
            "Since when the layer that decides the target's state is as it is, and why.",
            ("target", "layer", "reason"),
        )
        self.leaks: dict[tuple[str, str, str], int] = defaultdict(int)
        self._versions: dict[str, str] = {}
        self._reasons: dict[tuple[str, str], str] = {}  # of the last runs
        self._states: dict[str, TargetState] = {}

    def observe(self, run: ProbeRun) -> None:
        """Add one finished run. A probe that did not apply leaves no trace."""
        if run.skipped is not None:
            self.skipped.labels(run.target, run.probe, run.skipped).inc()
        if run.verdict is None:
            return
        place = (run.target, run.probe)
        self.runs.labels(*place).inc()
        self.success.labels(*place).set(1 if run.ok else 0)
        if not run.ok:
            self.failures.labels(*place, run.reason).inc()
        self.duration.labels(*place).observe(run.duration_s)
        self.last_run.labels(*place).set(run.started_at + run.duration_s)
        self._observe_reason(place, run.reason)
        for phase in PHASES:
            _set(self.phase, (*place, phase), run.phases.get(phase))
        self.measured.remove_by_labels(dict(zip(BY_PROBE, place, strict=True)))
        for name, value in run.measured.items():
            self.measured.labels(*place, name).set(value)
        _set(self.network_rtt, place, run.network_rtt_s)
        for direction, count in run.tcp_retransmits.items():
            self.retransmits.labels(*place, direction).inc(count)
        self._observe_turns(run, place)
        for asked in run.im_turns:
            if asked.outcome.is_ok and asked.reply_first_s is not None:
                self.first_reply.labels(*place).observe(asked.reply_first_s)
        for check in run.scope_checks:
            cell = (run.target, check.key, check.endpoint, check.expected)
            self.scope_checks.labels(*cell).inc()
            if check.violation:
                self.scope_violations.labels(*cell, check.violation).inc()
        if run.cert_expires_at is not None:
            self.cert_expiry.labels(run.target).set(run.cert_expires_at)
        if run.server_started_at is not None:
            self.started.labels(run.target).set(run.server_started_at)
        self.observe_leaks(run)

    def know_target(self, target: str) -> None:
        if target not in self._versions:
            self.set_version(target, UNKNOWN_VERSION)

    def set_version(self, target: str, version: str) -> None:
        """What is known of a target's AstrBot: one series a target, whatever it was before."""
        known = _VERSION.match(version)
        version = known[0] if known else UNKNOWN_VERSION  # a server may say anything
        before = self._versions.get(target)
        if before == version:
            return
        if before is not None:
            self.target_info.remove(target, before)
        self._versions[target] = version
        self.target_info.labels(target, version).set(1)

    def set_outdated(self, target: str, outdated: bool | None) -> None:
        """None: nobody knows."""
        _set(self.outdated, (target,), outdated)

    def set_states(self, states: Mapping[str, TargetState]) -> None:
        """What every target and its layers are in now. What they were in before has no reason any more."""
        gone = self._states.keys() - states.keys()
        for target in gone:
            for gauge in (self.state, self.target_state):
                gauge.remove_by_labels({"target": target})
        changed = {target for target, state in states.items() if self._states.get(target) != state}
        for target in gone | changed:
            for gauge in (self.state_since, self.target_state_since):
                gauge.remove_by_labels({"target": target})
        for target in changed:
            self._set_state(target, states[target])
        self._states = dict(states)

    def _set_state(self, target: str, now: TargetState) -> None:
        for status in TargetStatus:
            self.target_state.labels(target, status.value).set(now.status is status)
        for layer in now.layers:
            for state in State:
                self.state.labels(target, layer.layer.value, state.value).set(layer.state is state)
            self.state_since.labels(target, layer.layer.value, layer.reason).set(layer.since)
        worst = now.worst
        self.target_state_since.labels(target, worst.layer.value, worst.reason).set(worst.since)

    def set_budget(self, target: str, tokens_left: int | None) -> None:
        """None: the target has no budget of tokens."""
        _set(self.budget, (target,), tokens_left)

    def forget_target(self, target: str) -> None:
        """A target that the config has no more, or whose URL is another server's now."""
        self.families.forget(target)
        self._versions.pop(target, None)

    def skip(self, plan: Plan, cause: str) -> None:
        """A run that was due and did not start."""
        self.skipped.labels(plan.target.name, plan.probe.name, cause).inc()

    def _observe_reason(self, place: tuple[str, str], reason: str) -> None:
        before = self._reasons.get(place)
        if before not in (None, reason):
            _set(self.last_run_info, (*place, before), None)
        self._reasons[place] = reason
        self.last_run_info.labels(*place, reason).set(1)

    def _observe_turns(self, run: ProbeRun, place: tuple[str, str]) -> None:
        for turn in run.turns:
            times = turn.timings
            if times.accept_time_s is not None:
                self.first_event.labels(*place).observe(times.accept_time_s)
            # A failure's sentence streams like an answer: only a good turn's first token is the model's.
            if turn.outcome.is_ok and times.ttft_s is not None:
                self.first_token.labels(*place).observe(times.ttft_s, exemplar_of(turn))
                if turn.reasoning and times.t_text1 != times.t_token1:
                    self.first_reasoning.labels(*place).observe(times.ttft_s)
            if turn.outcome.is_ok:
                for gap_s in times.chunk_gaps_s:
                    self.gap.labels(*place).observe(gap_s)
            for event, count in turn.events.items():
                known = event if event in KNOWN_TYPES else "other"
                self.events.labels(*place, known).inc(count)
        for direction, tokens in run.tokens.items():
            if run.turns or tokens:
                self.tokens.labels(*place, direction).inc(tokens)
        silences_s = (silence_s for turn in run.turns for silence_s in _silences_s(turn.timings))
        _set(self.max_stall, place, max(silences_s, default=None))
        _set(self.server_ttft, place, run.turns[-1].timings.server_ttft_s if run.turns else None)

    def observe_leaks(self, run: ProbeRun) -> None:
        """Only what `run` left on the server: for a run that is nobody's sample."""
        place = (run.target, run.probe)
        for resource in run.cleanup_failures:
            self.cleanup_failures.labels(*place, resource).inc()
            self.leaks[(*place, resource)] += 1
        for resource in run.stays:
            self.leaks[(*place, resource)] += 1
        for probe, resource in run.swept:
            left = (run.target, probe, resource)
            self.leaks[left] = max(0, self.leaks[left] - 1)
        for labels, count in self.leaks.items():
            self.leaked.labels(*labels).set(count)


class SelfMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, namespace=NAMESPACE, subsystem="exporter", registry=registry)
        gauge = partial(Gauge, namespace=NAMESPACE, subsystem="exporter", registry=registry)
        info = gauge("build_info", "Always 1.", ("version", "python"))
        info.labels(__version__, platform.python_version()).set(1)
        self._reload_ok = gauge("config_last_reload_successful", "1 if the last reload was accepted.")
        self._reload_at = gauge(
            "config_last_reload_success_timestamp_seconds", "When a config was last accepted."
        )
        self.reloaded(ok=True)
        self._notifications = counter(
            "notifications_total",
            "Messages to a receiver of [[notify]]: sent, dropped, or attempts that failed.",
            ("receiver", "result"),
        )
        self._waiting = gauge(
            "notifications_waiting",
            "Messages that a receiver of [[notify]] has not taken yet.",
            ("receiver",),
        )
        self._notified: dict[tuple[str, str], int] = {}
        self.in_flight = gauge("runs_in_flight", "Runs in progress.")
        self.loop_lag = gauge("event_loop_lag_seconds", "Worst lateness of a timer in the last 15 s.")

    def set_notified(self, receivers: Mapping[str, tuple[DeliveryCount, int]]) -> None:
        """How it goes with each receiver, and how many messages wait for it."""
        for receiver, result in [known for known in self._notified if known[0] not in receivers]:
            del self._notified[(receiver, result)]
            self._notifications.remove(receiver, result)
            self._waiting.remove_by_labels({"receiver": receiver})
        for receiver, (delivery, waiting) in receivers.items():
            self._waiting.labels(receiver).set(waiting)
            for result in ("sent", "failed", "dropped"):
                now = getattr(delivery, result)
                before = self._notified.get((receiver, result), 0)
                # A receiver that a reload changed begins again.
                self._notifications.labels(receiver, result).inc(now - before if now >= before else now)
                self._notified[(receiver, result)] = now

    def reloaded(self, *, ok: bool) -> None:
        """The config was read: and taken, or refused."""
        self._reload_ok.set(1 if ok else 0)
        if ok:
            self._reload_at.set(time.time())


def _phases(plan: Plan) -> list[str]:
    asked = PHASES if chats(plan) else CONNECTING
    return [phase for phase in asked if phase != "tls" or connects_with_tls(plan)]


def _resources(plan: Plan) -> tuple[str, ...]:
    return ("conversation",) if plan.probe.needs_messenger else ("session", "upload")


def _silences_s(times: Timings) -> Iterator[float]:
    """The gaps of an answer; one that never ended was silent up to where it was given up, too."""
    yield from times.chunk_gaps_s
    if times.t_terminal is None and times.t_tokenN is not None and times.t_close is not None:
        yield times.t_close - times.t_tokenN


def exemplar_of(turn: ChatTurn) -> dict[str, str] | None:
    """The session of a turn, to find it in AstrBot; only OpenMetrics shows it."""
    session = turn.session_id or ""
    return {"session_id": session} if _SESSION_ID.fullmatch(session) else None


def _set(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set, or take the series away: a value of an earlier run must not stay."""
    if value is not None:
        gauge.labels(*labels).set(value)
    else:
        try:
            gauge.remove(*labels)
        except KeyError:
            return
