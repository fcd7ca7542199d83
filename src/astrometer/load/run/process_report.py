"""What one process of a run measured <-> plain data, which Locust carries to the master."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astrometer.load.run.health import ProcessHealth
from astrometer.measure.tally.histogram import Histogram

if TYPE_CHECKING:
    from astrometer.load.run.run import Run

LOCAL = "local"


def take(run: "Run") -> dict[str, Any]:
    """What was measured here since the last call."""
    return {
        "run": run.id,
        "tally": run.tally.take().encode(),
        "health": run.health.take(),
        "intended": run.take_intended(),
        "sent": run.delivery.sent.take(),
        "slots": None if run.slot_book is None else run.slot_book.take(),
        "names": list(run.names.used()),
        "users": run.names.users,
        "sessions": run.names.sessions,
        "other_requests": run.others.requests.take(),
        "messenger": run.messenger.take(),
        "at_once": run.recorder.at_once.take(run.clock.elapsed_s),
    }


def merge(run: "Run", process: str, part: Mapping[str, Any]) -> None:
    run.tally.add_wire(part["tally"])
    note_health(run, process, part["health"])
    run.intended += part["intended"]
    run.delivery.sent.merge(part["sent"])
    if part["slots"] is not None:
        run.slots.note(process, part["slots"])
    run.names.note(process, part["names"], part["users"], part["sessions"])
    run.others.requests.merge(part["other_requests"])
    run.messenger_counts.update(part["messenger"])
    run.recorder.at_once.merge(part["at_once"])


def conclude(run: "Run") -> None:
    """The only process of a run has nobody to report to; the rest of what it measured is in place."""
    run.health.stop()
    note_health(run, LOCAL, run.health.take())
    run.messenger_counts.update(run.messenger.take())


def note_health(run: "Run", process: str, wire: Mapping[str, Any]) -> None:
    run.processes.setdefault(process, ProcessHealth(Histogram())).add(wire)
