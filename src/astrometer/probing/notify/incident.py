"""States of targets over time -> what to tell one receiver: a problem, its end. No sockets, no clock.

`state_by_layer` decides what is wrong; this module decides whether to send it, and sends it once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from astrometer.config.notify_settings import Receiver, Severity
from astrometer.probing.notify.incident_words import WHOSE, cure, seen
from astrometer.probing.status.layer_evidence import Blamers, StateLayer
from astrometer.probing.status.state_by_layer import REACHED, LayerState, State, TargetState, TargetStatus
from astrometer.units import format_span, utc

REMIND_S = 86400.0
HOUR_S = 3600.0
MOST_PER_HOUR = 12  # messages to one receiver
BUDGET = "budget"
NOT_RESTARTED = "not_restarted"
UPDATE_S = 3600.0  # as the alert of this name: an update may take its time
_TICKETS = frozenset({TargetStatus.WRONG_CONTENT, TargetStatus.DEGRADED, TargetStatus.UNKNOWN})
# What a run that failed for this reason said, by target and reason; "" when none is known.
Detail = Callable[[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a target. Problems of one `subject` are one incident. `probes`: who found it."""

    subject: str
    title: str
    layer: str
    reason: str
    severity: str
    since: float
    probes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    problem: Problem
    told_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One message. `status`: problem, reminder, resolved, test, or well, which only a beat says."""

    title: str
    text: str
    status: str
    severity: str
    target: str = ""
    layer: str = ""
    reason: str = ""
    still: str = ""  # what else is open

    def fields(self) -> dict[str, str]:
        return asdict(self)


ALL_WELL = Note(title="OK", text="", status="well", severity="")


def problem_of(state: TargetState, now: float) -> Problem | None:
    """The one that names the target's state; None: nothing that anybody must be told."""
    worst = state.worst
    if state.status in (TargetStatus.OK, TargetStatus.UNKNOWN):
        spent = next((layer for layer in state.layers if _is_spent(layer)), None)
        if spent is not None:
            return _problem(BUDGET, "BUDGET SPENT", spent, Severity.TICKET)
        since = state.outdated_since
        return None if since is None or now - since < UPDATE_S else _not_restarted(since)
    subject = "server" if worst.layer in REACHED else worst.layer.value
    if state.status in (TargetStatus.LEAK, TargetStatus.SLOW, TargetStatus.DEGRADED):
        subject = f"{subject} {state.status}"
    late = state.status is TargetStatus.SLOW and worst.state is not State.FAILING
    severity = Severity.TICKET if late or state.status in _TICKETS else Severity.PAGE
    return _problem(subject, state.title, worst, severity)


def _not_restarted(since: float) -> Problem:
    return Problem(
        subject=NOT_RESTARTED,
        title="NOT RESTARTED",
        layer=StateLayer.ASTRBOT.value,
        reason=NOT_RESTARTED,
        severity=Severity.TICKET.value,
        since=since,
    )


def _is_spent(layer: LayerState) -> bool:
    return layer.state is State.UNKNOWN and layer.reason == BUDGET


def _problem(subject: str, title: str, layer: LayerState, severity: Severity) -> Problem:
    return Problem(
        subject=subject,
        title=title,
        layer=layer.layer.value,
        reason=layer.reason,
        severity=severity.value,
        since=layer.since,
        probes=[*layer.probes],
    )


def _is_over(incident: Incident, state: TargetState) -> bool:
    """Whether the layers that it was about are known to be well: what is unknown may still be broken."""
    if incident.problem.subject == BUDGET:
        return not any(_is_spent(layer) for layer in state.layers)
    if incident.problem.subject == NOT_RESTARTED:
        return state.outdated_since is None
    layer = StateLayer(incident.problem.layer)
    about = REACHED if layer in REACHED else (layer,)
    watched = [one for one in state.layers if one.layer in about and one.is_probed]
    # Another key makes the state forget the old one: until a run has come, nothing is known of it.
    return bool(watched) and all(one.state in (State.OK, State.DEGRADED) for one in watched)


def _is_dropped(target: str, problem: Problem, blamers: Blamers) -> bool:
    """Whether none of the probes that found it can tell of it any more."""
    layer = StateLayer(problem.layer)
    return not any(
        owner == target and layer in layers and (not problem.probes or probe in problem.probes)
        for (owner, probe), layers in blamers.items()
    )


class Incidents:
    """What one receiver was told of each target, and is to be told now."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.open: dict[str, Incident] = {}
        self.sent: list[float] = []  # when, within the last hour
        self._waiting: dict[str, tuple[str, float]] = {}  # the subject, and since when it is seen

    def look(
        self, states: Mapping[str, TargetState], now: float, detail: Detail, blamers: Blamers | None = None
    ) -> Note | None:
        """What to tell now; it counts as told. Several targets are one message.

        Over the hourly limit nothing is told, and what holds then is told later. `blamers` None: others may
        probe what is not probed here.
        """
        self.sent = [at for at in self.sent if now - HOUR_S < at <= now]
        limited = len(self.sent) >= MOST_PER_HOUR
        # The config may have changed: this receiver is told no more of some targets, not even their end.
        self.open = {target: one for target, one in self.open.items() if self._hears_of(target)}
        notes = [] if limited or blamers is None else [*self._dropped(states, now, blamers)]
        told = {note.target for note in notes}
        notes += [
            note
            for target, state in states.items()
            if self._hears_of(target)
            if target not in told
            if (note := self._of(target, state, now, detail, limited=limited)) is not None
        ]
        if not notes:
            return None
        self.sent.append(now)
        told = {note.target for note in notes}
        still = [f"{name} {one.problem.title}" for name, one in self.open.items() if name not in told]
        return replace(_joined(notes, last=len(self.sent) == MOST_PER_HOUR), still=", ".join(still))

    def _hears_of(self, target: str) -> bool:
        return self.receiver.targets is None or target in self.receiver.targets

    def _dropped(self, states: Mapping[str, TargetState], now: float, blamers: Blamers) -> Iterator[Note]:
        """Incidents whose end nobody would ever see."""
        for target, incident in [*self.open.items()]:
            problem = problem_of(states[target], now) if target in states else None
            goes_on = problem is not None and problem.subject == incident.problem.subject
            if not goes_on and _is_dropped(target, incident.problem, blamers):
                del self.open[target]
                yield _unwatched(target, incident, now)

    def _of(
        self, target: str, state: TargetState, now: float, detail: Detail, *, limited: bool
    ) -> Note | None:
        problem, incident = problem_of(state, now), self.open.get(target)
        if problem is not None and Severity(problem.severity).rank < self.receiver.min_severity.rank:
            problem = None
        if problem is None:
            self._waiting.pop(target, None)
            if incident is None or limited or not _is_over(incident, state):
                return None
            del self.open[target]
            return _resolved(target, incident, now)
        if incident is not None and incident.problem.subject == problem.subject:
            self._waiting.pop(target, None)
            if limited or now - incident.told_at < REMIND_S:
                return None
            self.open[target] = replace(incident, told_at=now)
            return _note(target, replace(problem, since=incident.problem.since), "reminder", detail)
        subject, seen_at = self._waiting.get(target, (problem.subject, now))
        # What one cause brings first may not be what it is called when it has settled.
        if incident is not None and subject != problem.subject:
            seen_at = now
        self._waiting[target] = (problem.subject, seen_at)
        if limited or now - seen_at < self.receiver.after_s:
            return None
        del self._waiting[target]
        self.open[target] = Incident(problem=problem, told_at=now)
        return _note(target, problem, "problem", detail)

    def as_json(self) -> dict[str, Any]:
        return {"open": {target: asdict(one) for target, one in self.open.items()}, "sent": self.sent}

    def take_json(self, value: Any) -> None:
        """What another process, or this one before a restart, has told. A damaged value is nothing."""
        try:
            found = {
                str(target): Incident(problem=Problem(**one["problem"]), told_at=float(one["told_at"]))
                for target, one in value["open"].items()
            }
            for one in found.values():
                StateLayer(one.problem.layer)
            self.open, self.sent = found, [float(at) for at in value["sent"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            return


def _note(target: str, problem: Problem, status: str, detail: Detail) -> Note:
    layer, said = StateLayer(problem.layer), detail(target, problem.reason)
    whose = "the watching, not AstrBot" if problem.subject == BUDGET else WHOSE[layer]
    still = "still " if status == "reminder" else ""
    return Note(
        title=f"{target} {still}{problem.title}: {seen(problem.reason, said)}",
        text=f"Whose fault: {whose} ({layer.label}: {problem.reason}).\n"
        f"What to do: {cure(layer, problem.reason, said)}\nSince {utc(problem.since)}.",
        status=status,
        severity=problem.severity,
        target=target,
        layer=problem.layer,
        reason=problem.reason,
    )


def _resolved(target: str, incident: Incident, now: float) -> Note:
    problem = incident.problem
    return Note(
        title=f"{target} is well again: it was {problem.title}",
        text=f"It lasted {format_span(max(0.0, now - problem.since))}, from {utc(problem.since)}: "
        f"{seen(problem.reason)}.",
        status="resolved",
        severity=problem.severity,
        target=target,
        layer=problem.layer,
        reason=problem.reason,
    )


def _unwatched(target: str, incident: Incident, now: float) -> Note:
    """Nobody knows whether it is over."""
    problem = incident.problem
    return replace(
        _resolved(target, incident, now),
        title=f"{target} is no longer probed for this: it was {problem.title}",
        text="The config has no more probe that could tell its end.\n"
        f"It lasted at least {format_span(max(0.0, now - problem.since))}, from {utc(problem.since)}: "
        f"{seen(problem.reason)}.",
    )


def _joined(notes: list[Note], *, last: bool) -> Note:
    held = f"No more messages for an hour: {MOST_PER_HOUR} an hour is the limit. The status page goes on."
    tail = [held] if last else []
    if len(notes) == 1:
        return replace(notes[0], text="\n".join([notes[0].text, *tail]))
    first = max(notes, key=lambda note: (note.status != "resolved", Severity(note.severity).rank))
    lines = [part for note in notes for part in (note.title, note.text)]
    return replace(
        first,
        title=f"{len(notes)} targets: {first.title}",
        text="\n".join([*lines, *tail]),
        target=", ".join(note.target for note in notes),
    )
