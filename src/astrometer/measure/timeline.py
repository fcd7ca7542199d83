"""Cells by time -> a timeline of bounded memory, whatever the length of the run. Pure.

Two things keep it small: beyond `MAX_STEPS` neighbours are merged in pairs, and a step that nothing was added
to lately is kept packed (a tenth of its size). Neither loses a count.
"""

import marshal
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, Self, TypeVar

STEP_S = 5
MAX_STEPS = 240
MAX_OPEN = 6  # half a minute: most exchanges end while theirs is open


class Mergeable(Protocol):
    """What a step holds; in fact a `tally.Cell`."""

    def merge(self, other: Self) -> None: ...
    def to_wire(self) -> dict[str, Any]: ...


C = TypeVar("C", bound=Mergeable)


class Steps(Generic[C]):
    """Steps are known by their start, in seconds since the run's start."""

    def __init__(self, make: Callable[[], C], from_wire: Callable[[Mapping[str, Any]], C]) -> None:
        self._make = make
        self._from_wire = from_wire
        self.step_s = STEP_S
        self._open: dict[int, C] = {}  # the one used last is the last
        self._packed: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._open) + len(self._packed)

    def at(self, t_s: float) -> C:
        """The cell of the step that holds `t_s`, made if need be."""
        cell = self._cell(t_s)
        while len(self) > MAX_STEPS:
            self._coarsen(self.step_s * 2)
            cell = self._cell(t_s)
        return cell

    def items(self) -> Iterator[tuple[int, C]]:
        """Ascending. What is done to a cell here is not kept."""
        for step in sorted([*self._open, *self._packed]):
            yield step, self._open[step] if step in self._open else self._unpack(self._packed[step])

    def change(self, how: Callable[[C], None]) -> None:
        """Change every step in place, packed ones too."""
        for cell in self._open.values():
            how(cell)
        for step, packed in self._packed.items():
            cell = self._unpack(packed)
            how(cell)
            self._packed[step] = _pack(cell)

    def merge(self, other: "Steps[C]") -> None:
        if other.step_s > self.step_s:
            self._coarsen(other.step_s)
        for step, cell in other.items():
            self.at(step).merge(cell)

    def take(self) -> "Steps[C]":
        """Return what was collected since the last call, and begin anew."""
        taken = Steps(self._make, self._from_wire)
        taken.step_s, self.step_s = self.step_s, STEP_S
        taken._open, self._open = self._open, {}
        taken._packed, self._packed = self._packed, {}
        return taken

    def to_wire(self) -> dict[str, Any]:
        return {"step_s": self.step_s, "steps": [[step, cell.to_wire()] for step, cell in self.items()]}

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        """Into an empty timeline."""
        self.step_s = int(wire["step_s"])
        for step, cell in wire["steps"]:
            self.at(int(step)).merge(self._from_wire(cell))

    def _cell(self, t_s: float) -> C:
        start = int(t_s) // self.step_s * self.step_s
        cell = self._open.get(start)
        if cell is None:
            packed = self._packed.pop(start, None)
            cell = self._open[start] = self._make() if packed is None else self._unpack(packed)
            if len(self._open) > MAX_OPEN:  # one at a time: no pause that a stream would notice
                oldest = next(iter(self._open))
                self._packed[oldest] = _pack(self._open.pop(oldest))
        return cell

    def _unpack(self, packed: bytes) -> C:
        return self._from_wire(marshal.loads(zlib.decompress(packed)))  # noqa: S302 (our own, never from outside)

    def _coarsen(self, step_s: int) -> None:
        """Merge neighbouring steps; each falls into one longer step."""
        finer = list(self.items())
        self._open, self._packed, self.step_s = {}, {}, step_s
        for step, cell in finer:
            self._cell(step).merge(cell)


def _pack(cell: Mergeable) -> bytes:
    return zlib.compress(marshal.dumps(cell.to_wire()), 1)
