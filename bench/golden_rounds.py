"""What benches against the golden server share: steps, which rounds count, their options, Markdown tables.

A step is STREAMSxEVENTS per second of each stream. The golden server has one core, what is measured another.
A round counts when nobody else disturbed the machine in it.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from programs import bench_parser

SERVER_CPU, CLIENT_CPU = 1, 0
MOST_TRIES = 3  # rounds that are made for each that is to count

Round = TypeVar("Round")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many streams, each with so many events per second."""

    streams: int
    rate: float

    @classmethod
    def parse(cls, text: str) -> "Load":
        streams, _, rate = text.partition("x")
        return cls(streams=int(streams), rate=float(rate))

    @property
    def heading(self) -> str:
        return f"## {self.streams:,} streams, {self.rate:g} events/s each\n"


def parser(doc: str | None, *, steps: Sequence[str], rounds: int, quiet: float) -> argparse.ArgumentParser:
    """Options `steps`, `rounds`, and `quiet`, which becomes a share of the machine; a bench adds its own."""
    made = bench_parser(doc)
    made.add_argument(
        "--step", type=Load.parse, action="append", dest="steps", metavar="STREAMSxRATE",
        help=f"[{', '.join(steps)}]",
    )  # fmt: skip
    made.add_argument(
        "--rounds", type=int, default=rounds, help=f"that count; at most {MOST_TRIES} times as many are made"
    )
    made.add_argument(
        "--quiet", type=lambda text: float(text) / 100, default=quiet / 100, metavar="PERCENT",
        help="most of the machine that the host (steal) and other programs may take in a round that counts",
    )  # fmt: skip
    made.set_defaults(all_steps=[Load.parse(text) for text in steps])
    return made


def steps_of(options: argparse.Namespace) -> list[Load]:
    steps: list[Load] = options.steps or options.all_steps
    return steps


def rounds_until_quiet(
    options: argparse.Namespace, make: Callable[[], Round], counts: Callable[[Round], bool]
) -> list[Round]:
    """All that were made: until enough of them count, or there were MOST_TRIES times as many."""
    made: list[Round] = []
    while sum(map(counts, made)) < options.rounds and len(made) < MOST_TRIES * options.rounds:
        made.append(make())
    return made


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(cells)} |" if cells else f"|{'---|' * len(titles)}" for cells in (titles, (), *rows)
    ]
