"""Options that several commands take -> click's types and decorators."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from astrometer.units import parse_duration, parse_percent, parse_rate

F = TypeVar("F", bound=Callable[..., Any])


class Parsed(click.ParamType[Any]):
    """What `read` makes of a text; its ValueError is the complaint."""

    def __init__(self, name: str, read: Callable[[Any], Any], *, keep_text: bool = False) -> None:
        self.name = name
        self._read = read
        self._keep_text = keep_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            read = self._read(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        return value if self._keep_text else read


class Duration(Parsed):
    """`90s`, `1m30s`, or a number of seconds."""

    def __init__(self, *, positive: bool = False, whole: bool = False) -> None:
        super().__init__("time", self._seconds)
        self._positive = positive
        self._whole = whole

    def _seconds(self, value: str | float) -> float:
        seconds = parse_duration(value)
        if self._positive and seconds <= 0:
            raise ValueError(f"{value!r} must be more than zero")
        if self._whole and not seconds.is_integer():
            raise ValueError(f"{value!r}: Locust knows whole seconds only (write 90s or 1m30s)")
        return seconds


class Rate(Parsed):
    """`5/s`, `90/m`, `600/h` -> arrivals per second."""

    def __init__(self) -> None:
        super().__init__("rate", parse_rate)


class Percentage(Parsed):
    """`5%` or `2pp` -> a share, between 0 and 1."""

    def __init__(self, unit: str = "%") -> None:
        super().__init__(f"N{unit}", self._share)
        self._unit = unit

    def _share(self, value: str | float) -> float:
        if isinstance(value, float):
            return value
        try:
            share = parse_percent(value.strip().removesuffix(self._unit))
        except ValueError:
            share = 0.0
        if not 0 < share < 1:
            raise ValueError(f"{value!r} is not a percentage between 0 and 100 (write 5{self._unit})")
        return share


def duration_option(*flags: str, default: str, help: str) -> Callable[[F], F]:  # noqa: A002 (click's word)
    return click.option(*flags, type=Duration(positive=True), default=default, show_default=True, help=help)


def yes_option(help: str) -> Callable[[F], F]:  # noqa: A002 (click's word)
    """`help`: what is done without being asked."""
    return click.option("-y", "--yes", is_flag=True, help=help)


def deletable_option(command: F) -> F:
    return click.option(
        "--deletable",
        is_flag=True,
        help="Chat as the API key itself, so that `astrometer clean` can delete the sessions (AstrBot 4.26 "
        "or newer).",
    )(command)
