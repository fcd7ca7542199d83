"""One field of `Settings` -> one option: how it is written, read, explained, and which commands take it.

    session_turns: int = option("--session-turns", whole(1), 1, metavar="N", help="Turns before ...")

click's options, Locust's arguments, the environment variables and the docs are made from these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from astrometer.units import parse_duration
from astrometer.user_error import UserError

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Reader = Callable[[Any], T]  # text, or a value that was read before -> a value; raises ValueError

COMMANDS = ("load", "capacity", "release")


class OptionError(UserError):
    """An option of the run that cannot be used: name and cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option. `default` is what a web form shows: text, a number, a bool or a list."""

    flags: tuple[str, ...]
    variable: str
    read: Reader[Any]
    default: Any
    metavar: str | None
    choices: tuple[str, ...] | None
    help: str
    in_web_form: bool
    of_one_process: bool  # a worker keeps its own, whatever its master's is: files, keys and ports
    commands: tuple[str, ...]  # of ours, which take it
    refused: Mapping[str, str]  # by a command: why
    of_plan: bool  # our commands pass it on or leave it out; a Locust config file or variable cannot add it
    needs: str | None  # the field without which it does nothing
    of_one_run: bool  # where a run happened or was written, and what chance it drew: `compare` does not mind

    @property
    def flag(self) -> str:
        return self.flags[0]

    @property
    def dest(self) -> str:
        """Its name among Locust's parsed options."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def is_switch(self) -> bool:
        return isinstance(self.default, bool)

    @property
    def is_list(self) -> bool:
        return isinstance(self.default, list)

    def value_of(self, given: Any) -> Any:
        """Raises OptionError."""
        try:
            return self.read(given)
        except (TypeError, ValueError) as exc:
            raise OptionError(f"{self.flag}: {exc}") from exc

    def words(self, given: Any) -> list[str]:
        if self.is_switch:
            return [self.flag] if self.read(given) else []
        return [word for item in (given if self.is_list else [given]) for word in (self.flag, str(item))]


def option(
    flags: str,
    read: Reader[Any],
    default: Any,
    *,
    help: str,  # noqa: A002 (argparse's and click's word)
    metavar: str | None = None,
    choices: tuple[str, ...] | None = None,
    variable: str = "",
    in_web_form: bool | None = None,
    of_one_process: bool = False,
    commands: tuple[str, ...] = COMMANDS,
    refused: Mapping[str, str] | None = None,
    of_plan: bool = False,
    of_one_run: bool = False,
    needs: str | None = None,
) -> Any:
    """A field of `Settings`. `flags`: `--one-way, --another`; `variable` [ASTROMETER_ONE_WAY].

    `in_web_form`: unless it is said, of what `load` takes, but nothing of one process.
    `of_plan`: any that none of our commands takes is. `of_one_run`: any of one process is.
    """
    names = tuple(name.strip() for name in flags.split(","))
    word = names[0].removeprefix("--").removeprefix("astrometer-").replace("-", "_").upper()
    entry = Option(
        flags=names,
        variable=variable or f"ASTROMETER_{word}",
        read=read,
        default=default,
        metavar=metavar,
        choices=choices,
        help=help,
        in_web_form="load" in commands and not of_one_process if in_web_form is None else in_web_form,
        of_one_process=of_one_process,
        commands=commands,
        refused=refused or {},
        of_plan=of_plan or not commands,
        of_one_run=of_one_run or of_one_process,
        needs=needs,
    )
    return field(default=read(default), metadata={"option": entry})


# Readers. The web form sends text where the command line had numbers.


def text(given: Any) -> str:
    return str(given or "").strip()


def raw_text(given: Any) -> str:
    """With its blanks."""
    return str(given or "")


def switch(given: Any) -> bool:
    return given is True or str(given).lower() == "true"


def whole(least: int) -> Reader[int]:
    """A whole number, `least` or more."""

    def read(given: Any) -> int:
        try:
            number = int(given)
        except (TypeError, ValueError):
            raise ValueError(f"{given!r} is not a whole number") from None
        if number < least:
            raise ValueError(f"{number} is less than {least}")
        return number

    return read


def number(least: float, most: float = float("inf")) -> Reader[float]:
    """A number from `least` to `most`."""

    def read(given: Any) -> float:
        try:
            value = float(given)
        except (TypeError, ValueError):
            raise ValueError(f"{given!r} is not a number") from None
        if not least <= value <= most or value == float("inf"):
            limits = f"{least:g} or more" if most == float("inf") else f"between {least:g} and {most:g}"
            raise ValueError(f"{value:g} is not {limits}")
        return value

    return read


def duration(given: Any) -> float:
    return parse_duration(given)


def positive_duration(given: Any) -> float:
    seconds = parse_duration(given)
    if seconds <= 0:
        raise ValueError(f"{given!r} must be more than zero")
    return seconds


def one_of(kind: type[E]) -> Reader[E]:
    def read(given: Any) -> E:
        try:
            return kind(given)
        except ValueError:
            raise ValueError(f"{given!r} is not one of {', '.join(kind)}") from None

    return read


def or_none(read: Reader[T]) -> Reader[T | None]:
    """Empty text is None."""

    def maybe(given: Any) -> T | None:
        return None if given is None or not str(given).strip() else read(given)

    return maybe


def listed(given: Any) -> tuple[str, ...]:
    """`one, two` -> its parts."""
    return tuple(part.strip() for part in str(given or "").split(",") if part.strip())


def texts(given: Any) -> Sequence[str]:
    """The command line gives a list, a web form one text with commas."""
    found = given.split(",") if isinstance(given, str) else given or ()
    return [item for item in found if item.strip()]
