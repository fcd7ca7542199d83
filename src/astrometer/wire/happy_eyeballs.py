"""Addresses of one name -> the order and the pace in which to try them (RFC 8305). No sockets, no clock."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")

ATTEMPT_DELAY_S = 0.25  # RFC 8305, 5: between the start of one attempt and the next, while none has failed
MOST_ATTEMPTS = 16


def in_turns(addresses: Iterable[T], family: Callable[[T], Hashable]) -> list[T]:
    """The system's order, but the families take turns (RFC 8305, 4): one may be dead as a whole."""
    by_family: dict[Hashable, list[T]] = {}
    for address in dict.fromkeys(addresses):
        by_family.setdefault(family(address), []).append(address)
    ordered: list[T] = []
    while lists := [rest for rest in by_family.values() if rest]:
        ordered += [rest.pop(0) for rest in lists]
    return ordered[:MOST_ATTEMPTS]
