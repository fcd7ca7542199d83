"""A comparison of the ways to chat: which search comes when, for which objectives. Starts nothing."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from astrometer.load.launch import LoadPlan
from astrometer.load.options import ChatTransport
from astrometer.measure.slo.slo_parser import SHARES, Objective
from astrometer.suggestion import did_you_mean

# The whole answer is there: the one duration that people in a messenger know, too.
IN_MESSENGER = MappingProxyType({"e2e": "reply_last", "e2e_effective": "reply_last_effective"})
IN_CHAT = MappingProxyType({theirs: ours for ours, theirs in IN_MESSENGER.items()})
OF_EVERY_WAY = ("errors", "goodput", "ok")


class WaysError(ValueError):
    """Ways that cannot be compared, with the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaySearch:
    """One search of one way."""

    way: ChatTransport
    number: int  # from 1, of its way

    def __str__(self) -> str:
        return f"{self.way} {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysPlan:
    """`loads`: one of each way; the directory of a search is set when it begins."""

    loads: Mapping[ChatTransport, LoadPlan]
    rounds: int
    out: Path

    @property
    def ways(self) -> tuple[ChatTransport, ...]:
        return tuple(self.loads)

    def load_of(self, search: WaySearch) -> LoadPlan:
        return replace(self.loads[search.way], out=self.out / search.way / str(search.number))


def parse_ways(text: str) -> tuple[ChatTransport, ...]:
    """`sse,ws,messenger`, in the order of the report. Raises WaysError."""
    names = [name.strip() for name in text.split(",")]
    known = [way.value for way in ChatTransport]
    for name in names:
        if name not in known:
            raise WaysError(f"no way {name!r}{did_you_mean(name, known)}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise WaysError("at least two ways, each once: sse,ws,messenger")
    return tuple(map(ChatTransport, names))


def order(ways: Sequence[ChatTransport], rounds: int) -> list[WaySearch]:
    """A B C, C B A, ...: what changes slowly on the machine meets all alike."""
    return [
        WaySearch(way=way, number=number)
        for number in range(1, rounds + 1)
        for way in (ways if number % 2 else ways[::-1])
    ]


def objectives_of(
    ways: Sequence[ChatTransport], objectives: Iterable[Objective]
) -> dict[ChatTransport, list[str]]:
    """Each way's own words for the objectives. Raises WaysError for one that not every way knows."""
    wanted = list(objectives)
    if ChatTransport.MESSENGER in ways:
        for objective in wanted:
            _must_be_of_every_way(objective)
    return {way: [_said_by(way, objective) for objective in wanted] for way in ways}


def _must_be_of_every_way(objective: Objective) -> None:
    if objective.metric in {*OF_EVERY_WAY, *IN_MESSENGER, *IN_CHAT}:
        return
    if objective.metric in SHARES:
        raise WaysError(
            f"--slo {objective.text!r}: {objective.metric} is not the same in a messenger: "
            f"use {', '.join(OF_EVERY_WAY)}, or leave the messenger out: --ways sse,ws"
        )
    raise WaysError(
        f"--slo {objective.text!r}: a messenger sends whole answers, so {objective.metric} cannot be "
        "compared with it: use e2e_p95 (there it is reply_last_p95), or leave the messenger out: "
        "--ways sse,ws"
    )


def _said_by(way: ChatTransport, objective: Objective) -> str:
    names = IN_MESSENGER if way is ChatTransport.MESSENGER else IN_CHAT
    name = names.get(objective.metric, objective.metric)
    return re.sub(rf"\b{objective.metric}(?=_(?:p\d+|max)\b)", name, objective.text)
