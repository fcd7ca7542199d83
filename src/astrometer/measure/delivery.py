"""IM pushes as sent, messages as they arrived -> delivered, lost, doubled, overtaken, how late. No clock.

Every followed push carries a token of its own in its text, `[im-BURST-NUMBER]`, by which its message is
found at the far end. Times are `perf_counter` seconds; whether both ends share a clock is for others to say.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally

METRIC = "delivery"
OPERATION = "im"  # under which a load test counts its pushes
_TOKEN = re.compile(r"\[(im-[0-9A-Za-z_-]+-\d+)\]")


def token_in(text: str) -> str | None:
    """The token that a push carries, without its brackets."""
    found = _TOKEN.search(text)
    return found[1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A message as it was handed to AstrBot. `accepted`: AstrBot said ok.

    `t_s` is when its exchange was intended, since the run's start, which decides whether it is in the window.
    """

    scenario: str
    umo: str
    token: str
    t_s: float
    t_sent: float
    t_done: float
    accepted: bool

    @property
    def burst(self) -> str:
        return self.token.removeprefix("im-").rpartition("-")[0]

    def to_wire(self) -> list[Any]:
        return [self.scenario, self.umo, self.token, self.t_s, self.t_sent, self.t_done, self.accepted]

    @classmethod
    def from_wire(cls, wire: Sequence[Any]) -> "Push":
        scenario, umo, token, t_s, t_sent, t_done, accepted = wire
        return cls(
            scenario=scenario,
            umo=umo,
            token=token,
            t_s=t_s,
            t_sent=t_sent,
            t_done=t_done,
            accepted=bool(accepted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message as the far end got it. `token` None: it carries none."""

    umo: str
    token: str | None
    t: float


@dataclass(frozen=True, slots=True)
class Match:
    """A push and what became of it. `place`: of its first arrival among all arrivals."""

    push: Push
    place: int | None = None
    t_arrived: float | None = None
    copies: int = 0

    @property
    def latency_s(self) -> float | None:
        return None if self.t_arrived is None else self.t_arrived - self.push.t_sent


@dataclass(slots=True, kw_only=True)
class Delivery:
    """Counts of a burst, or of all. `sent` = `delivered` + `lost` + what failed and did not arrive either."""

    sent: int = 0
    accepted: int = 0
    delivered: int = 0  # arrived at least once, where they should
    lost: int = 0  # accepted, and never arrived
    delivered_though_failed: int = 0  # arrived, though the sender was told it had failed
    duplicates: int = 0  # arrivals beyond the first
    reordered: int = 0  # pairs of one umo that arrived in the wrong order
    latency: Histogram = field(default_factory=Histogram)
    t_first: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What one run's pushes came to. `unexpected`: arrivals that none of them explains."""

    matches: Sequence[Match]
    total: Delivery
    bursts: Mapping[str, Delivery]
    unexpected: int

    @property
    def worst_burst(self) -> Delivery | None:
        """The one with most losses; among equals with most disorder; then the slowest."""
        return max(
            self.bursts.values(),
            key=lambda burst: (burst.lost, burst.duplicates + burst.reordered, burst.latency.max or 0.0),
            default=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A report, and what its reader has to know of how it came about."""

    report: Report
    t_start: float = 0.0  # when the run began, by the clock of the pushes
    latency_refused: str | None = None  # why the far end's times cannot be compared with ours
    untracked: int = 0  # pushes beyond those that were kept for comparison
    forgotten: int = 0  # messages that the far end no longer had when it was asked


def match(pushes: Iterable[Push], arrivals: Iterable[Arrival]) -> Report:
    """Find each push's message. `arrivals` are in the order of arrival; tokens are unique among the pushes.

    A message that arrived at another umo than it was sent to is unexpected, and its push is not delivered.
    """
    wanted = {(push.umo, push.token): push for push in pushes}
    first: dict[tuple[str, str], tuple[int, float]] = {}
    copies: Counter[tuple[str, str]] = Counter()
    unexpected = 0
    for place, arrival in enumerate(arrivals):
        key = (arrival.umo, arrival.token or "")
        if key not in wanted:
            unexpected += 1
            continue
        first.setdefault(key, (place, arrival.t))
        copies[key] += 1
    matches = []
    for key, push in wanted.items():
        if key in first:
            place, t_arrived = first[key]
            matches.append(Match(push, place, t_arrived, copies[key]))
        else:
            matches.append(Match(push))
    by_burst: dict[str, list[Match]] = defaultdict(list)
    for member in matches:
        by_burst[member.push.burst].append(member)
    bursts = {burst: count(members) for burst, members in by_burst.items()}
    return Report(matches, count(matches), bursts, unexpected)


def count(matches: Iterable[Match]) -> Delivery:
    """Sum up; order is looked at umo by umo."""
    result = Delivery()
    by_umo: dict[str, list[Match]] = defaultdict(list)
    for found in matches:
        push, arrived = found.push, found.copies > 0
        result.sent += 1
        result.accepted += push.accepted
        result.delivered += arrived
        result.lost += push.accepted and not arrived
        result.delivered_though_failed += arrived and not push.accepted
        result.duplicates += max(0, found.copies - 1)
        if found.latency_s is not None:
            result.latency.record(found.latency_s)
            by_umo[push.umo].append(found)
        if result.t_first is None or push.t_sent < result.t_first:
            result.t_first = push.t_sent
    result.reordered = sum(_overtakings(members) for members in by_umo.values())
    return result


def _overtakings(arrived: Sequence[Match]) -> int:
    """Pairs of one umo in which the later push arrived first.

    Later means: sent when the other had already been accepted. Pushes under way at the same time have no
    order that anybody could keep.
    """
    ranks = {found.place: rank for rank, found in enumerate(sorted(arrived, key=_place), 1)}
    accepted = sorted(
        (found for found in arrived if found.push.accepted), key=lambda found: found.push.t_done
    )
    tree = [0] * (len(arrived) + 1)  # a Fenwick tree: how many accepted before, by rank of arrival
    added = pairs = 0
    for later in sorted(arrived, key=lambda found: found.push.t_sent):
        while added < len(accepted) and accepted[added].push.t_done <= later.push.t_sent:
            rank = ranks[accepted[added].place]
            while rank < len(tree):
                tree[rank] += 1
                rank += rank & -rank
            added += 1
        before, rank = 0, ranks[later.place]
        while rank:
            before += tree[rank]
            rank &= rank - 1
        pairs += added - before
    return pairs


def _place(found: Match) -> int:
    return -1 if found.place is None else found.place


def record(tally: Tally, matches: Iterable[Match], operation: str = OPERATION) -> None:
    """Add the metric `delivery` to the pushes' own stats: what was not delivered is infinitely slow."""
    for found in matches:
        for stats in tally.counting(found.push.scenario, operation, found.push.t_s):
            if found.latency_s is not None:
                (stats.ok if found.push.accepted else stats.failed)[METRIC].record(found.latency_s)
            if found.latency_s is None or not found.push.accepted:
                stats.missed[METRIC] += 1
