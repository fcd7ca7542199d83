"""A plan of ways -> one capacity search after the other, each a Locust run in a directory of its own."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from astrometer.load import launch
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.report import write_reports
from astrometer.report.view import capacity_view
from astrometer.ways.ways_plan import WaySearch, WaysPlan, order


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedWay:
    """A search that is over. `results` None: it left none."""

    search: WaySearch
    directory: str
    results: Mapping[str, Any] | None

    @property
    def turns(self) -> int:
        return 0 if self.results is None else int(self.results["turns"]["started"])

    @property
    def server(self) -> Mapping[str, Any] | None:
        """What its process used meanwhile; None: nobody knew it."""
        return None if self.results is None else self.results["server"]


@dataclass(slots=True, kw_only=True)
class WaysSession:
    """`load`: as `launch.run`."""

    plan: WaysPlan
    say: Callable[[str], None]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    load: Callable[..., int] = launch.run
    interrupted: bool = False
    done: list[SearchedWay] = field(default_factory=list)

    def execute(self) -> None:
        """All searches, or those until it is interrupted; they are in `done`, whatever ends this."""
        searches = order(self.plan.ways, self.plan.rounds)
        for place, search in enumerate(searches, 1):
            self.say(f"search {place} of {len(searches)}: {search}")
            found = self._measure(search)
            self.done.append(found)
            if found.results is None:
                log = self.plan.load_of(search).out / "locust.log"
                self.say(f"Error: {search} left no results; see {log}")
                return
            self.say(f"{search}: {capacity_view.sentence(found.results)}")
            if self.interrupted:
                return

    def _measure(self, search: WaySearch) -> SearchedWay:
        load, piped_results = self.plan.load_of(search), list[bytes]()
        self.load(load, self.environ, interrupted=self._interrupt, on_results=piped_results.append)
        return SearchedWay(
            search=search,
            directory=f"{search.way}/{search.number}",
            results=self._kept(load, b"".join(piped_results)),
        )

    def _interrupt(self) -> None:
        self.interrupted = True

    def _kept(self, load: LoadPlan, piped_results: bytes) -> dict[str, Any] | None:
        try:
            return write_reports.read_and_keep(load.out, piped_results, self.say)
        except document.ResultsError:
            return None
