"""What a simulator is told at its start: version, keys, the model's defaults, gates, faults."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, get_args

from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.script import ModelScript
from astrometer.targets.simulator.simulated_faults import Planned
from astrometer.targets.simulator.store import SimKey, new_key

SCOPES = ("chat", "config", "file", "im")
NEWEST_VERSION = "4.29.3"
Strategy = Literal["stall", "discard", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRateLimit:
    """AstrBot's gate before everything else, per session: `count` messages in `window_s`.

    The default is the real one's: the 31st message of a minute waits, silently, and is then answered.
    """

    count: int = 30
    window_s: float = 60.0
    strategy: Strategy = "stall"

    @classmethod
    def parse(cls, text: str) -> "SimulatedRateLimit":
        """`30/60:stall`, `5/10:discard`, `off`. Raises ValueError."""
        if text == "off":
            return cls(strategy="off")
        numbers, _, strategy = text.partition(":")
        count, _, window = numbers.partition("/")
        strategy = strategy or "stall"
        with suppress(ValueError):
            if strategy in get_args(Strategy) and int(count) > 0 and float(window) > 0:
                return cls(count=int(count), window_s=float(window), strategy=strategy)  # type: ignore[arg-type]
        raise ValueError(f"rate limit {text!r}: COUNT/SECONDS[:stall|discard] or off expected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """At most so many answers at a time: a further one waits its turn, or is refused with HTTP 429.

    AstrBot has no such limit; the model service behind it or a proxy before it may.
    """

    limit: int
    strategy: Literal["queue", "refuse"] = "queue"

    @classmethod
    def parse(cls, text: str) -> "Concurrency":
        """`8`, `8:queue`, `8:refuse`. Raises ValueError."""
        number, _, strategy = text.partition(":")
        if not number.isdecimal() or int(number) < 1 or strategy not in {"", "queue", "refuse"}:
            raise ValueError(f"concurrency {text!r}: N[:queue|refuse] expected")
        return cls(limit=int(number), strategy="refuse" if strategy == "refuse" else "queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerConfig:
    """The adapter `messenger`. `port` 0 takes a free one."""

    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    profile: MessengerProfile = field(default_factory=MessengerProfile)
    ack_timeout_s: float = 180.0  # an action that nobody answers holds up its session so long


def default_keys() -> dict[str, SimKey]:
    """One key per scope, one with all, one revoked, one expired; random at every start."""
    keys = {scope: new_key(scope) for scope in SCOPES}
    return {
        **keys,
        "all": new_key(*SCOPES),
        "revoked": new_key(*SCOPES, revoked=True),
        "expired": new_key(*SCOPES, expired=True),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """All of it. Times are seconds."""

    version: str = NEWEST_VERSION
    keys: Mapping[str, SimKey] = field(default_factory=default_keys)
    model: ModelScript = field(default_factory=ModelScript)
    rate_limit: SimulatedRateLimit = field(default_factory=SimulatedRateLimit)
    # Every keyed request blocks the whole server this long; the real one hashes keys for about 0.035 s.
    auth_cost_s: float = 0.0
    heartbeat_s: float = 1.0
    # How long a failing upstream is asked again. None: as the real version does (2, 22 or 15.5 s).
    upstream_retry_s: float | None = 0.2
    upstream_timeout_s: float = 120.0
    blocked_words: tuple[str, ...] = ("sim-blocked-word",)
    providers: tuple[str, ...] = ("sim",)
    faults: tuple[Planned, ...] = ()
    stamp: bool = True
    # An IM platform `onebot` that notes what arrives in it, this long after it was handed over.
    im_sink: bool = False
    im_delay_s: float = 0.0
    # The version on disk, where that is another than the one that runs: updated, and not restarted.
    code_version: str | None = None
    messenger: MessengerConfig | None = None  # an adapter that waits for a OneBot client
    concurrency: Concurrency | None = None  # None: as many as come
    # Every answer's time to the first token is drawn anew, with the model's `ttft` as its mean.
    ttft_exponential: bool = False
