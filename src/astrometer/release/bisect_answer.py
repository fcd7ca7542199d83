"""What a bisection knows -> the answer in words, the table of its steps, and bisect.json."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from astrometer.compare.gates import full_name
from astrometer.compare.output.compare_json import finite, interval_json
from astrometer.release.bisect_session import BisectSession, BisectStep
from astrometer.release.bisection import Mark
from astrometer.report import formatting
from astrometer.targets.sandbox.install import Installation

FILE_NAME = "bisect.json"
SCHEMA = 1
_STYLES = {Mark.GOOD: "green", Mark.BAD: "red", Mark.SKIPPED: "yellow", None: "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BisectAnswer:
    """`older` and `newer`: the nearest two of which one is good and one bad; the change came after the older.

    `suspects`: who may have made it, the newer one last; `is_tested`: whether both were tested.
    """

    older: str
    newer: str
    suspects: tuple[str, ...]
    is_mended: bool  # the bad end is the older one
    is_tested: bool

    @property
    def is_found(self) -> bool:
        return self.is_tested and len(self.suspects) == 1

    def sentence(self) -> str:
        what = "mended" if self.is_mended else "broke"
        kinds = ("bad", "good") if self.is_mended else ("good", "bad")
        if self.is_found:
            first, last = f"the first {kinds[1]} one", f"the last {kinds[0]} one"
            return f"{self.newer} {what} it: it is {first}; {self.older} is {last}."
        if not self.is_tested:
            return f"Not found out: {self.older} and {self.newer} were not both tested."
        return (
            f"Not found out. After {self.older} ({kinds[0]}) and up to {self.newer} ({kinds[1]}), "
            f"one of these {what} it: {', '.join(self.suspects)}."
        )


def answer_of(session: BisectSession) -> BisectAnswer:
    is_mended = session.range.is_mended
    search, names = session.search, [revision.name for revision in session.range.revisions]
    good, bad = search.last_good, search.first_bad
    return BisectAnswer(
        older=names[bad if is_mended else good],
        newer=names[good if is_mended else bad],
        suspects=tuple(names[good:bad][::-1] if is_mended else names[good + 1 : bad + 1]),
        is_mended=is_mended,
        is_tested={good, bad} <= search.marks.keys(),
    )


def steps_table(session: BisectSession) -> Table:
    """In the order of the row, the good end first: a change that crept in shows as a slope."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("revision", no_wrap=True)
    table.add_column("is", no_wrap=True)
    table.add_column(f"change against {session.range.revisions[0].name}", overflow="fold")
    for title in ("pairs", "time", "step"):
        table.add_column(title, justify="right", no_wrap=True)
    for number, step in sorted(enumerate(session.steps, 1), key=lambda item: item[1].place):
        table.add_row(
            Text(step.name),
            Text(step.mark or "cannot tell", style=_STYLES[step.mark]),
            Text("\n".join(formatting.plain(line) for line in _lines(step))),
            str(step.pairs),
            formatting.duration(step.elapsed_s),
            str(number),
        )
    return table


def _lines(step: BisectStep) -> list[str]:
    """Its change, and where that decides nothing, why: of a server's log the first and the last line."""
    is_decided = step.mark in {Mark.GOOD, Mark.BAD} and step.change()
    why = [] if is_decided else [line for line in step.why.splitlines() if line.strip()]
    return [text for text in (step.change(), *why[:1], *why[1:][-1:]) if text]


def to_json(session: BisectSession, answer: BisectAnswer, links: Sequence[str]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "good": session.range.revisions[0].name,
        "bad": session.range.revisions[-1].name,
        "fail_if": [gate.text for gate in session.plan.gates],
        "revisions": [{"name": one.name, "title": one.title} for one in session.range.revisions],
        "steps": [_step(step) for step in session.steps],
        "is_found": answer.is_found,
        "sentence": answer.sentence(),
        "older": answer.older,
        "newer": answer.newer,
        "suspects": list(answer.suspects),
        "links": list(links),
    }


def _step(step: BisectStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "is": step.mark,
        "why": step.why,
        "changes": {
            full_name(row.scope, row.name): {
                "change": finite(row.change),
                "interval": interval_json(row.interval),
            }
            for row in step.rows
        },
        "pairs": step.pairs,
        "elapsed_s": step.elapsed_s,
        "directory": step.directory.name,
    }


def release_links(installation: Installation, older: str, newer: str) -> list[str]:
    """Where the repository that AstrBot's package names shows what changed. They are not opened."""
    files = installation.directory.glob("lib/python*/site-packages/[aA]str[bB]ot-*.dist-info/METADATA")
    texts = [file.read_text("utf-8", errors="replace") for file in files]
    urls = [url for text in texts for url in HeaderParser().parsestr(text).get_all("Project-URL", [])]
    found = [
        match[1] for url in urls if (match := re.fullmatch(r"\w+, (https://github\.com/[\w./-]+?)/?", url))
    ]
    if not found or not all(re.fullmatch(r"[\d.]+", version) for version in (older, newer)):
        return []  # nothing tells how the tag of a pre-release is written
    return [f"{found[0]}/compare/v{older}...v{newer}", f"{found[0]}/releases/tag/v{newer}"]
