"""How much of the machine others took while something was measured: other programs, and the host (steal).

Read from /proc/stat (Linux): on other systems nobody knows, and nothing counts as quiet.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

_STAT = Path("/proc/stat")
_USER, _NICE, _SYSTEM, _STEAL = 0, 1, 2, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """Shares of all cores in the time between two looks; None where the system does not tell."""

    steal: float | None
    foreign: float | None  # busy, and neither stolen nor of the processes that were ours

    def within(self, limit: float) -> bool:
        return self.steal is not None and self.foreign is not None and self.steal + self.foreign <= limit

    def __str__(self) -> str:
        if self.steal is None or self.foreign is None:
            return "unknown"
        return f"{self.steal:.1%} stolen, {self.foreign:.1%} other programs"


class Watch:
    """Begun before a round; `end` after it. Our own CPU time is that of this process and its children.

    A child counts once it has been waited for, so end the watch after all of them ended.
    """

    def __init__(self) -> None:
        self._ticks = _ticks()
        self._own_s = _own_s()

    @classmethod
    def begin(cls) -> Self:
        return cls()

    def end(self) -> Disturbance:
        before, after = self._ticks, _ticks()
        if before is None or after is None:
            return Disturbance(steal=None, foreign=None)
        passed = [late - early for early, late in zip(before, after, strict=True)]
        total = max(1, sum(passed))
        own = (_own_s() - self._own_s) * os.sysconf("SC_CLK_TCK")
        # Interrupts are in no process's account; those of a loopback load are its own.
        busy = passed[_USER] + passed[_NICE] + passed[_SYSTEM]
        return Disturbance(steal=passed[_STEAL] / total, foreign=max(0.0, busy - own) / total)


def _ticks() -> list[int] | None:
    """user nice system idle iowait irq softirq steal, of all cores. Guests are in `user` already."""
    try:
        return [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None


def _own_s() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system + times.children_user + times.children_system
