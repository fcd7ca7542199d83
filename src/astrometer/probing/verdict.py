"""What a probe decides, what its run recorded, and the closed list of reasons. Values only.

`execution` makes a `Verdict` a `ProbeRun`; `exporter.metrics` makes that samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.server_versions import started_at
from astrometer.im.im_turn import ImTurn
from astrometer.wire.tcp_info import TcpInfo


class ProbeReason(StrEnum):
    """Reasons that no single exchange has."""

    CLEANUP = "cleanup"  # the question went well; what it made could not be removed
    INTERNAL = "internal"  # a bug in the probe or in astrometer
    LEAK = "leak"  # a key reaches what its stated scopes deny
    SLOW = "slow"  # it went well, but later than the probe's settings allow


Reason: TypeAlias = Outcome | ProbeReason
REASONS: tuple[Reason, ...] = (*(outcome for outcome in Outcome if not outcome.is_ok), *ProbeReason)
UNREACHABLE = frozenset({Outcome.DNS, Outcome.CONNECT, Outcome.TLS, Outcome.TIMEOUT_CONNECT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Passed (reason `ok`), or failed for one reason. `detail` is for people, never a label."""

    reason: Reason
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Outcome.OK

    @classmethod
    def passed(cls, detail: str = "") -> "Verdict":
        return cls(reason=Outcome.OK, detail=detail)

    @classmethod
    def failed(cls, reason: Reason, detail: str = "") -> "Verdict":
        return cls(reason=reason, detail=detail)

    @classmethod
    def of(cls, exchange: ChatTurn | CallResult | ImTurn, detail: str = "") -> "Verdict":
        """The verdict that one exchange is by itself."""
        if exchange.outcome.is_ok:
            return cls.passed(detail)
        return cls.failed(exchange.outcome, exchange.detail or detail)


class ProbeFailed(Exception):
    """The probe cannot go on: the verdict is decided."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(str(reason))
        self.verdict = Verdict.failed(reason, detail)


class NotApplicable(Exception):
    """There is nothing to ask: the target has no key for it, no messenger, or has not got the endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeCheck:
    """One cell of the key x endpoint matrix. `violation`: None, `leak` or `rejected`."""

    key: str
    endpoint: str
    expected: str  # allowed | denied
    violation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One thing that happened, `t_s` seconds after the run's start. Keys are masked."""

    t_s: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRun:
    """One finished run of one probe against one target. `verdict` None: it did not apply."""

    target: str
    url: str  # the target's, when the run began
    probe: str
    verdict: Verdict | None
    started_at: float  # wall clock, epoch seconds
    duration_s: float  # without preparations (learning who the key is) and cleanup
    turns: tuple[ChatTurn, ...] = ()
    im_turns: tuple[ImTurn, ...] = ()  # questions in the messenger, without commands
    calls: tuple[CallResult, ...] = ()
    command_tokens: Mapping[str, int] = field(default_factory=dict)  # spent beside the turns, by direction
    phases: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)  # by the probe itself
    scope_checks: tuple[ScopeCheck, ...] = ()
    cleanup_failures: tuple[str, ...] = ()  # kinds of resource
    stays: tuple[str, ...] = ()  # kinds of resource that this version cannot delete
    swept: tuple[tuple[str, str], ...] = ()  # (probe, kind) of what earlier runs had left and is gone now
    skipped: str | None = None  # why it did not start: budget. Neither a pass nor a failure
    note: str = ""  # what stays behind, or why it did not apply; for people
    log: tuple[LogLine, ...] = ()
    cert_expires_at: float | None = None  # epoch seconds, the first of the chain; None without TLS
    used_key: bool = False
    networks: tuple[TcpInfo, ...] = ()  # of each connection, also of those that never stood

    @property
    def ok(self) -> bool:
        return self.verdict is not None and self.verdict.ok

    @property
    def reason(self) -> str:
        return self.verdict.reason.value if self.verdict else "skipped"

    @property
    def detail(self) -> str:
        return self.verdict.detail if self.verdict else self.note

    @property
    def tokens(self) -> Mapping[str, int]:
        """What the server counted, by direction: of the turns, and of commands that it asked the model."""
        beside = self.command_tokens.get
        return {
            "input": beside("input", 0) + sum(turn.input_tokens for turn in self.turns),
            "output": beside("output", 0) + sum(turn.output_tokens for turn in self.turns),
        }

    @property
    def ttft_s(self) -> float | None:
        """Time to the first token of the last turn that had one."""
        return next((turn.timings.ttft_s for turn in reversed(self.turns) if turn.timings.ttft_s), None)

    @property
    def server_started_at(self) -> float | None:
        """Since when the server runs, epoch seconds; None where nobody asked, or it did not say."""
        return next((told for call in self.calls if (told := started_at(call)) is not None), None)

    @property
    def network_rtt_s(self) -> float | None:
        """The shortest round trip to the target; None where the system does not tell."""
        return min((info.min_rtt_s for info in self.networks if info.min_rtt_s is not None), default=None)

    @property
    def tcp_retransmits(self) -> Mapping[str, int]:
        """Segments that went out again, and those that came after a gap, where the system tells."""
        sent = [info.retransmits for info in self.networks if info.retransmits is not None]
        received = [info.out_of_order for info in self.networks if info.out_of_order is not None]
        return {"sent": sum(sent), "received": sum(received)}

    @property
    def unreachable(self) -> bool:
        return self.verdict is not None and self.verdict.reason in UNREACHABLE
