"""When to connect again after a link ended: never while the old one may live, and slower each time.

AstrBot deletes the entry of a *new* connection when an old one with the same id ends after it began: the new
one then takes questions and never answers. So each end is waited for, and AstrBot is given time to notice it.
"""

from dataclasses import dataclass

from astrometer.im.link.link_end import LinkEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectLimits:
    """Seconds. `settle_s`: from the end of a connection until AstrBot has surely noticed it."""

    settle_s: float = 1.0
    longest_s: float = 30.0
    handshake_s: float = 10.0
    close_s: float = 5.0  # how long AstrBot's close frame is waited for before the connection is cut


RECONNECT = ReconnectLimits()


class Reconnect:
    """The state between two links."""

    def __init__(self, limits: ReconnectLimits = RECONNECT) -> None:
        self.limits = limits
        self._attempts = 0
        self._end: LinkEnd | None = None

    def opened(self) -> None:
        """The handshake succeeded."""
        self._attempts = 0
        self._end = None

    def ended(self, end: LinkEnd) -> None:
        self._attempts += 0 if end.opened else 1
        self._end = end

    def next_t(self) -> float | None:
        """When to connect again; None when that would be in vain, or was not wished."""
        if self._end is None or self._end.is_final or self._end.asked_for:
            return None
        pause_s = self.limits.settle_s * 2.0 ** min(self._attempts, 16)
        return self._end.t + min(self.limits.longest_s, pause_s)

    def earliest_t(self) -> float | None:
        """Before this AstrBot may not have noticed the end of the last link."""
        return None if self._end is None else self._end.t + self.limits.settle_s
