"""Recent runs -> the state of each target by layer: well, or since when not, and why. No sockets, no clock.

The one definition. Landing page, `probe --once`, metrics, alert rules and dashboards show this one.

FAILING: the newest run of a probe failed, and at least three did within three of its intervals or 15 minutes,
whichever is longer. OK again after two good runs, since the first of them. UNKNOWN: no run told of the layer
for two intervals of the probe that asks most often. One leak is enough. Once something gets through again,
what failed while nothing did counts no more.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf

from astrometer.probing.plan import Plan
from astrometer.probing.status.layer_evidence import (
    RETRANSMITS,
    LayerEvidence,
    Sign,
    StateLayer,
    covers,
    evidence_of,
)
from astrometer.probing.verdict import ProbeReason, ProbeRun

NEEDED = 3  # bad runs that make a layer FAILING
TO_RECOVER = 2  # good runs in a row that make it OK again
WINDOW_S = 900.0
INTERVALS = 3
KNOWN_INTERVALS = 2
SLOW, LEAK, OK_REASON = ProbeReason.SLOW.value, ProbeReason.LEAK.value, "ok"
NOT_PROBED, NO_RUN, TOO_FEW, LATE = "not_probed", "no_run", "too_few_runs", "late"
FOR_THE_BUDGET = ("budget", "pace")
REACHED = (StateLayer.NETWORK, StateLayer.ASTRBOT)


class State(StrEnum):
    """Of one layer. Values are labels of metrics."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"


class TargetStatus(StrEnum):
    """Of a whole target: the worst that its layers say, in this order. Values are labels of metrics."""

    DOWN = "down"  # network or AstrBot, and nothing gets through
    LEAK = "leak"
    KEY_REJECTED = "key_rejected"
    PARTLY_DOWN = "partly_down"  # network or AstrBot, and something does
    MODEL_FAILING = "model_failing"
    MESSENGER_FAILING = "messenger_failing"
    WRONG_CONTENT = "wrong_content"
    SLOW = "slow"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    OK = "ok"


_FAILING = {
    StateLayer.NETWORK: TargetStatus.PARTLY_DOWN,
    StateLayer.ASTRBOT: TargetStatus.PARTLY_DOWN,
    StateLayer.KEY: TargetStatus.KEY_REJECTED,
    StateLayer.MODEL: TargetStatus.MODEL_FAILING,
    StateLayer.MESSENGER: TargetStatus.MESSENGER_FAILING,
    StateLayer.CONTENT: TargetStatus.WRONG_CONTENT,
}
_ORDER = list(TargetStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerState:
    """Of one layer. `since`: epoch seconds. `reason`: the most frequent one of the runs that made it so.

    `probes`: whose runs these were, or that do not run; none where it is well.
    """

    layer: StateLayer
    state: State
    since: float
    reason: str
    probes: tuple[str, ...] = ()

    @property
    def status(self) -> TargetStatus:
        """What a target is called whose worst layer this is."""
        if self.state is State.FAILING:
            if self.reason == LEAK:
                return TargetStatus.LEAK
            return TargetStatus.SLOW if self.reason == SLOW else _FAILING[self.layer]
        if self.state is State.DEGRADED:
            return TargetStatus.SLOW if self.reason == SLOW else TargetStatus.DEGRADED
        if self.state is State.UNKNOWN and (self.is_probed or self.layer in REACHED):
            return TargetStatus.UNKNOWN
        return TargetStatus.OK

    @property
    def is_probed(self) -> bool:
        return self.reason != NOT_PROBED

    @property
    def title(self) -> str:
        """For people: OK, FAILING, LEAK."""
        return (LEAK if self.reason == LEAK else self.state.value).upper()

    @property
    def why(self) -> str:
        """For people; nothing where it is well."""
        return "" if self.state is State.OK else self.reason.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """Of one target: its layers, and the one that names the whole."""

    status: TargetStatus
    worst: LayerState
    layers: tuple[LayerState, ...]
    outdated_since: float | None = None  # updated on disk and not restarted, as far as anybody asked

    @property
    def title(self) -> str:
        """For people: SLOW (model)."""
        whose = f" ({self.worst.layer.label})" if self.status is TargetStatus.SLOW else ""
        return self.status.value.replace("_", " ").upper() + whose


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """What the runs of one probe said of one layer so far. Times are those at which runs ended."""

    state: State = State.UNKNOWN
    since: float = -inf
    at: float = -inf
    good_at: float = -inf
    good_since: float = -inf  # the first of those in a row
    goods: int = 0  # in a row
    bads: tuple[tuple[float, str], ...] = ()  # within the window
    worn: tuple[tuple[float, str], ...] = ()  # degraded ones, in a row

    def after(self, found: LayerEvidence, at: float, window_s: float, needed: int) -> "_Course":
        if found.sign is Sign.BAD:
            bads = (*(bad for bad in self.bads if bad[0] >= at - window_s), (at, found.reason))
            course = replace(self, at=at, goods=0, bads=bads, worn=())
            if self.state is State.FAILING or len(bads) < (1 if found.reason == LEAK else needed):
                return course
            return replace(course, state=State.FAILING, since=bads[0][0])
        goods = self.goods + 1
        good_since = self.good_since if self.goods else at
        # One lost segment does not make a bad network, even where each probe runs once.
        needed = NEEDED if found.reason == RETRANSMITS else needed
        worn = (*self.worn, (at, found.reason))[-needed:] if found.sign is Sign.DEGRADED else ()
        course = replace(self, at=at, good_at=at, good_since=good_since, goods=goods, worn=worn)
        if self.state is State.FAILING and goods < TO_RECOVER:
            return course
        state = State.DEGRADED if len(worn) >= needed else State.OK
        since = self.since if state is self.state else worn[0][0] if state is State.DEGRADED else good_since
        return replace(course, state=state, since=since, bads=() if goods >= TO_RECOVER else self.bads)

    def stops_all(self, good_at: float, needed: int) -> bool:
        """FAILING, and nothing has got through since the runs that prove it."""
        return self.state is State.FAILING and self.bads[-needed:][0][0] > good_at


@dataclass(slots=True, kw_only=True)
class _Watched:
    """A plan, and what its runs said."""

    plan: Plan
    since: float
    applies: bool = True
    skipped: tuple[float, str] = (-inf, "")
    courses: dict[StateLayer, _Course] = field(default_factory=dict)

    @property
    def known_s(self) -> float:
        """How long what a run said is news: two intervals, and the time that a run may take."""
        return KNOWN_INTERVALS * self.plan.interval_s + self.plan.limits.total_s

    def course(self, layer: StateLayer) -> _Course:
        return self.courses.get(layer, _Course())

    def forgive(self) -> None:
        """Failures of a time when the server was down say nothing of the time after."""
        for layer, course in self.courses.items():
            state = State.UNKNOWN if course.state is State.FAILING else course.state
            self.courses[layer] = replace(course, state=state, bads=())


class StateBook:
    """Keeps what the runs of the plans in force said."""

    def __init__(self, needed: int = NEEDED) -> None:
        """`needed`: bad runs that make a layer FAILING; 1 where each probe runs once."""
        self._needed = needed
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._goods_after_down: dict[str, int] = {}

    def keep(self, plans: Iterable[Plan], now: float) -> None:
        """The plans from now on. What another server said is forgotten."""
        before, self._watched = self._watched, {}
        for plan in plans:
            same = before.get(plan.place)
            if same is None or same.plan.target != plan.target:
                same = _Watched(plan=plan, since=now)
            same.plan = plan
            self._watched[plan.place] = same

    def add(self, run: ProbeRun) -> None:
        """A run of a plan in force; one that did not start is noted, and says nothing of anything."""
        watched = self._watched.get((run.target, run.probe))
        if watched is None:
            return
        if run.skipped is not None:
            self.skip(watched.plan, run.skipped, run.started_at)
            return
        watched.applies = run.verdict is not None
        at, plan = run.started_at + run.duration_s, watched.plan
        window_s = max(WINDOW_S, INTERVALS * plan.interval_s)
        for layer, found in evidence_of(run, plan).items():
            watched.courses[layer] = watched.course(layer).after(found, at, window_s, self._needed)
            if (
                layer is StateLayer.ASTRBOT
                and found.sign is not Sign.BAD
                and run.target in self._goods_after_down
            ):
                self._goods_after_down[run.target] += 1
        self._after_down(run.target)

    def skip(self, plan: Plan, cause: str, at: float) -> None:
        """A run that was due and did not start. One that came too soon after another says nothing."""
        if plan.place in self._watched and cause in FOR_THE_BUDGET:
            self._watched[plan.place].skipped = (at, cause)

    def states(self, now: float) -> dict[str, TargetState]:
        names = dict.fromkeys(target for target, _ in self._watched)
        return {name: self._target([*self._of(name)], now) for name in names}

    def _after_down(self, target: str) -> None:
        of_target = [*self._of(target)]
        if any(_stopping(layer, of_target, self._needed) for layer in REACHED):
            self._goods_after_down[target] = 0
        elif self._goods_after_down.get(target, 0) >= TO_RECOVER:
            del self._goods_after_down[target]
            for watched in of_target:
                watched.forgive()

    def _of(self, target: str) -> Iterator[_Watched]:
        return (watched for (name, _), watched in self._watched.items() if name == target)

    def _target(self, watched: list[_Watched], now: float) -> TargetState:
        layers = tuple(_layer(layer, watched, now) for layer in StateLayer)
        worst = min(layers, key=lambda one: _ORDER.index(one.status))
        for layer in layers:
            if layer.state is State.FAILING and _stopping(layer.layer, watched, self._needed):
                return TargetState(status=TargetStatus.DOWN, worst=layer, layers=layers)
        return TargetState(status=worst.status, worst=worst, layers=layers)


def _stopping(layer: StateLayer, watched: list[_Watched], needed: int) -> bool:
    """Whether it is FAILING and nothing got through to AstrBot since the runs that prove it."""
    good_at = max((one.course(StateLayer.ASTRBOT).good_at for one in watched), default=-inf)
    courses = [one.course(layer) for one in watched]
    return layer in REACHED and any(course.stops_all(good_at, needed) for course in courses)


def _layer(layer: StateLayer, watched: list[_Watched], now: float) -> LayerState:
    """The worst that any probe says of it, as long as somebody asks often enough."""
    asked = [one for one in watched if one.applies and (layer in covers(one.plan) or layer in one.courses)]
    known = [one for one in asked if now - one.course(layer).at <= one.known_s]
    told = {one.plan.probe.name: one.course(layer) for one in known}
    failing = {name: course for name, course in told.items() if course.state is State.FAILING}
    if failing:
        seen = [bad for course in failing.values() for bad in course.bads]
        return _made_of(layer, State.FAILING, failing, seen)
    if not asked:
        since = min((one.since for one in watched), default=now)
        return LayerState(layer=layer, state=State.UNKNOWN, since=since, reason=NOT_PROBED)
    often = min(asked, key=lambda one: one.plan.interval_s)
    newest = max(one.course(layer).at for one in asked)
    if now - newest > often.known_s:
        skipped_at, cause = max(one.skipped for one in asked)
        silent = NO_RUN if newest == -inf else LATE
        reason = cause if skipped_at > newest else silent
        since = max(newest, often.since)
        names = tuple(one.plan.probe.name for one in asked)
        return LayerState(layer=layer, state=State.UNKNOWN, since=since, reason=reason, probes=names)
    worn = {name: course for name, course in told.items() if course.state is State.DEGRADED}
    if worn:
        return _made_of(layer, State.DEGRADED, worn, [one for course in worn.values() for one in course.worn])
    good = [course for course in told.values() if course.state is State.OK]
    if not good:
        return LayerState(layer=layer, state=State.UNKNOWN, since=often.since, reason=TOO_FEW)
    since = max(course.since for course in good)
    return LayerState(layer=layer, state=State.OK, since=since, reason=OK_REASON)


def _made_of(
    layer: StateLayer, state: State, courses: Mapping[str, _Course], seen: list[tuple[float, str]]
) -> LayerState:
    reasons = Counter(reason for _, reason in sorted(seen, reverse=True))  # of equals the newest comes first
    top = LEAK if LEAK in reasons else reasons.most_common(1)[0][0]
    since = min(course.since for course in courses.values())
    return LayerState(layer=layer, state=state, since=since, reason=top, probes=tuple(courses))


def states_of_once(plans: Iterable[Plan], runs: Iterable[ProbeRun], now: float) -> dict[str, TargetState]:
    """By target, where each probe ran once: one bad run is enough."""
    book = StateBook(needed=1)
    book.keep(plans, now)
    for run in runs:
        book.add(run)
    return book.states(now)
