"""A workload <-> its file (TOML): how people used a server, in numbers alone. No texts, no names, no ids."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astrometer.input_files import read_text
from astrometer.load.workload.spread import Spread
from astrometer.user_error import UserError

FORMAT = 1
UNKNOWN_PAUSE = Spread((2.5,))  # where nobody went on: as long as the users of locustfiles/chat.py wait
MOST_VALUES = 1000
_SPREADS = {  # name in the file: what it says there, and whether a file must have it
    "turns": ("questions in a conversation", True),
    "pause_s": ("seconds from the end of an answer to the next question of the conversation", False),
    "answer_s": ("seconds from question to end of answer, on the server that was learnt from", False),
    "prompt_tokens": ("tokens of a question, estimated", False),
    "input_tokens": ("tokens that the model was sent for an answer, with the history", False),
    "output_tokens": ("tokens of an answer", False),
}
_HEAD = """\
# How people used an AstrBot server, learnt by `astrometer learn`: numbers alone, no texts, no names, no ids.
# Run it:  astrometer load chat --workload THIS_FILE --scale 2
"""


class WorkloadError(UserError):
    """A workload file that cannot be used: file, place and cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusiestHour:
    """The hour (from any minute on) with the most questions. `people`: who asked one in it."""

    turns_per_s: float
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHour:
    """Of an average day: what began in each of its 24 hours, in a time zone."""

    utc_offset: str
    turns: tuple[float, ...]
    conversations: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How people used a server. `spreads`: by the names of the file, of what the source told."""

    source: str
    days: float
    people: int
    web_share: float  # of the turns: through the API or the WebUI, and not in a messenger
    busiest_hour: BusiestHour
    by_hour: ByHour
    spreads: Mapping[str, Spread]

    @property
    def turns(self) -> Spread:
        return self.spreads["turns"]

    @property
    def pause_s(self) -> Spread:
        return self.spreads.get("pause_s", UNKNOWN_PAUSE)

    @property
    def conversations_per_s(self) -> float:
        """In the busiest hour."""
        return self.busiest_hour.turns_per_s / self.turns.mean

    @property
    def users(self) -> float:
        """Users of a closed model who ask as much as the people of the busiest hour, by Little's law."""
        answer = self.spreads.get("answer_s")
        turn_s = self.pause_s.mean + (0.0 if answer is None else answer.mean)
        return self.busiest_hour.turns_per_s * turn_s

    @property
    def paused_s(self) -> float:
        """How long an average conversation waits for its next question, in all."""
        return (self.turns.mean - 1) * self.pause_s.mean

    @property
    def tokens_per_turn(self) -> float | None:
        """Input and output; None: the source did not tell."""
        known = [self.spreads.get(name) for name in ("input_tokens", "output_tokens")]
        return None if None in known else sum(spread.mean for spread in known if spread is not None)


def write(workload: Workload) -> str:
    hours, busiest = workload.by_hour, workload.busiest_hour
    lines = [
        _HEAD,
        f"format = {FORMAT}",
        f'source = "{workload.source}"',
        f"days = {_number(workload.days)}  # from the first question to the last",
        f"people = {workload.people}  # chats of a messenger, users of the API and the WebUI",
        f"web_share = {_number(workload.web_share)}  # of the questions: not in a messenger",
        "",
        "[busiest_hour]  # --scale 1",
        f"turns_per_s = {_number(busiest.turns_per_s)}  # questions",
        f"people = {busiest.people}",
        "",
        "[by_hour]  # of an average day: what began from 0:00 to 1:00, from 1:00 to 2:00, ...",
        f'utc_offset = "{hours.utc_offset}"',
        f"turns = {_listed(hours.turns)}",
        f"conversations = {_listed(hours.conversations)}",
        "",
        "[spreads]  # each value is the mean of an equal share of all, from the smallest to the largest",
    ]
    for name, (words, _) in _SPREADS.items():
        if name in workload.spreads:
            lines += [f"# {words}", f"{name} = {_listed(workload.spreads[name].values)}"]
    return "\n".join(lines) + "\n"


def read(path: Path) -> Workload:
    """Raises WorkloadError."""
    try:
        content = tomllib.loads(read_text(path))
    except OSError as exc:
        raise WorkloadError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise WorkloadError(f"{path}: is not TOML ({exc}); make one with `astrometer learn`") from exc
    if content.get("format") != FORMAT:
        raise WorkloadError(
            f"{path}: format {content.get('format')!r} is not {FORMAT}; make the file again with "
            "`astrometer learn` of this version"
        )
    try:
        return _read(content)
    except KeyError as exc:
        raise WorkloadError(
            f"{path}: {exc.args[0]} is missing; make it again with `astrometer learn`"
        ) from exc
    except (TypeError, ValueError) as exc:
        raise WorkloadError(f"{path}: {exc}") from exc


def _read(content: Mapping[str, Any]) -> Workload:
    busiest, hours, spreads = (_table(content, name) for name in ("busiest_hour", "by_hour", "spreads"))
    found = {
        name: Spread(tuple(sorted(_values(spreads, f"spreads.{name}"))))
        for name, (_, needed) in _SPREADS.items()
        if needed or name in spreads
    }
    if found["turns"].values[0] < 1:
        raise ValueError("spreads.turns: a conversation has at least 1 turn")
    turns_per_s = _positive(busiest, "busiest_hour.turns_per_s")
    return Workload(
        source=str(content.get("source", "")),
        days=_positive(content, "days", least=0.0),
        people=int(_positive(content, "people")),
        web_share=_positive(content, "web_share", least=0.0),
        busiest_hour=BusiestHour(
            turns_per_s=turns_per_s, people=int(_positive(busiest, "busiest_hour.people"))
        ),
        by_hour=ByHour(
            utc_offset=str(hours.get("utc_offset", "")),
            turns=tuple(_values(hours, "by_hour.turns")),
            conversations=tuple(_values(hours, "by_hour.conversations")),
        ),
        spreads=found,
    )


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in content:
        raise KeyError(f"[{name}]")
    found = content[name]
    if not isinstance(found, dict):
        raise TypeError(f"{name}: write a table [{name}]")
    return found


def _positive(content: Mapping[str, Any], place: str, least: float | None = None) -> float:
    """A number above 0, or from `least` on."""
    name = place.rsplit(".", maxsplit=1)[-1]
    if name not in content:
        raise KeyError(place)
    value = content[name]
    if not _is_number(value) or value < (least or 0.0) or (least is None and value == 0):
        words = "more than 0" if least is None else f"{least:g} or more"
        raise ValueError(f"{place}: {value!r} is not a number, {words}")
    return float(value)


def _values(content: Mapping[str, Any], place: str) -> list[float]:
    name = place.rsplit(".", maxsplit=1)[-1]
    if name not in content:
        raise KeyError(place)
    values = content[name]
    if not isinstance(values, list) or not 0 < len(values) <= MOST_VALUES:
        raise ValueError(f"{place}: write a list of 1 to {MOST_VALUES} numbers")
    for value in values:
        if not _is_number(value) or value < 0:
            raise ValueError(f"{place}: {value!r} is not a number, 0 or more")
    return [float(value) for value in values]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _listed(values: Sequence[float]) -> str:
    rows = [", ".join(map(_number, values[first : first + 12])) for first in range(0, len(values), 12)]
    return "[" + ",\n  ".join(rows) + "]"


def _number(value: float) -> str:
    """Four figures: enough for 0.1 %."""
    return f"{float(f'{value:.4g}'):.6f}".rstrip("0").rstrip(".") if value < 1e6 else f"{value:.0f}"
