"""Stats by time -> a timeline of bounded memory, whatever the length of the run. Pure.

Two things keep it small: beyond `MAX_STEPS` neighbours are merged in pairs, and a step that nothing was added
to for half a minute of the run is kept packed (a tenth of its size). Neither loses a count. Packing takes
milliseconds: a step that answers of a minute still come home to stays open until they have.
"""

import marshal
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

STEP_S = 5
MAX_STEPS = 240
MAX_OPEN = 6  # half a minute; more while they are in use
MOST_OPEN = 48  # whatever their use


class Mergeable(Protocol):
    """What a step holds; in fact a `exchange_stats.Stats`."""

    def merge(self, other: Self) -> None: ...
    def to_wire(self) -> dict[str, Any]: ...
    def add_wire(self, wire: Mapping[str, Any]) -> None: ...


C = TypeVar("C", bound=Mergeable)


class Steps(Generic[C]):
    """Steps are known by their start, in seconds since the run's start."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self.step_s = STEP_S
        self._newest = 0
        self._open: dict[int, C] = {}  # the one used last is the last
        self._used: dict[int, int] = {}  # which step was the newest when an open one was used
        self._packed: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._open) + len(self._packed)

    def at(self, t_s: float) -> C:
        """The stats of the step that holds `t_s`, made if need be."""
        stats = self._step_at(t_s)
        while len(self) > MAX_STEPS:
            self._coarsen(self.step_s * 2)
            stats = self._step_at(t_s)
        return stats

    def items(self) -> Iterator[tuple[int, C]]:
        """Ascending. What is done to a stats here is not kept."""
        for step in sorted([*self._open, *self._packed]):
            yield step, self._open[step] if step in self._open else self._unpack(self._packed[step])

    def change(self, how: Callable[[C], None]) -> None:
        """Change every step in place, packed ones too."""
        for stats in self._open.values():
            how(stats)
        for step, packed in self._packed.items():
            stats = self._unpack(packed)
            how(stats)
            self._packed[step] = _pack(stats)

    def merge(self, other: "Steps[C]") -> None:
        if other.step_s > self.step_s:
            self._coarsen(other.step_s)
        for step, stats in other.items():
            self.at(step).merge(stats)

    def take(self) -> "Steps[C]":
        """Return what was collected since the last call, and begin anew."""
        taken = Steps(self._make)
        taken.step_s, self.step_s = self.step_s, STEP_S
        taken._open, self._open = self._open, {}
        taken._used, self._used = self._used, {}
        taken._packed, self._packed = self._packed, {}
        return taken

    def to_wire(self) -> dict[str, Any]:
        return {"step_s": self.step_s, "steps": [[step, stats.to_wire()] for step, stats in self.items()]}

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        if wire["step_s"] > self.step_s:
            self._coarsen(wire["step_s"])
        for step, stats in wire["steps"]:
            self.at(step).add_wire(stats)

    def _step_at(self, t_s: float) -> C:
        start = int(t_s) // self.step_s * self.step_s
        self._newest = max(self._newest, start)
        stats = self._open.pop(start, None)
        if stats is None:
            packed = self._packed.pop(start, None)
            stats = self._make() if packed is None else self._unpack(packed)
            self._pack_unused()
        self._open[start], self._used[start] = stats, self._newest
        return stats

    def _pack_unused(self) -> None:
        """Two at most for each that is opened: fewer stay, and no stream notices the pause."""
        for _ in range(2):
            oldest = next(iter(self._open), None)
            if oldest is None or len(self._open) < MAX_OPEN:
                return
            unused_since = self._newest - MAX_OPEN * self.step_s
            if len(self._open) < MOST_OPEN and self._used[oldest] > unused_since:
                return
            self._packed[oldest] = _pack(self._open.pop(oldest))
            del self._used[oldest]

    def _unpack(self, packed: bytes) -> C:
        stats = self._make()
        stats.add_wire(marshal.loads(zlib.decompress(packed)))  # noqa: S302 (our own, never from outside)
        return stats

    def _coarsen(self, step_s: int) -> None:
        """Merge neighbouring steps; each falls into one longer step."""
        finer = list(self.items())
        self._open, self._used, self._packed = {}, {}, {}
        self._newest, self.step_s = 0, step_s
        for step, stats in finer:
            self._step_at(step).merge(stats)


def _pack(stats: Mergeable) -> bytes:
    return zlib.compress(marshal.dumps(stats.to_wire()), 1)
