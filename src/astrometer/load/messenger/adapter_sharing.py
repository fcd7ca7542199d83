"""Load processes, and the adapters that they share -> what AstrBot makes of it, before anybody writes.

Each process is a client of its own, and AstrBot's adapter was made for one: with two of them up to 4.25 every
answer to every user is lost, and later ones refuse the pushes through that adapter.
"""

from collections.abc import Sequence

from astrometer.api.endpoints import parse_version
from astrometer.load.option_table import OptionError

_ANSWERS_SEVERAL_SINCE = (4, 26, 0)
_ONE_EACH = "give an adapter to each process: --messenger ws://HOST:PORT/ws,ws://HOST:PORT/ws"


def are_shared(adapters: Sequence[str], processes: int) -> bool:
    return processes > len(set(adapters)) > 0


def answers_several(version: str | None) -> bool | None:
    """Whether that AstrBot answers when an adapter has two clients; None: not known."""
    try:
        return None if version is None else parse_version(version) >= _ANSWERS_SEVERAL_SINCE
    except ValueError:
        return None


def check(
    adapters: Sequence[str], processes: int, *, several: bool | None, umos: Sequence[str]
) -> str | None:
    """What to warn of. Raises OptionError where every answer would be lost.

    `several`: as AstrBot's version says. `umos`: where the run pushes messages to, too; none: to webchat, its
    default, which needs no adapter, or nowhere.
    """
    if not are_shared(adapters, processes):
        return None
    if several is False:
        raise OptionError(
            f"{_sharing(adapters, processes)}: up to 4.25 AstrBot loses every answer to every user while two "
            f"clients are connected to one. Use one process, or {_ONE_EACH}"
        )
    if not umos:
        return None
    return (
        f"{_sharing(adapters, processes)}: AstrBot refuses every push (POST /im/message) through such an "
        f"adapter. Push through another one, or {_ONE_EACH}"
    )


def _sharing(adapters: Sequence[str], processes: int) -> str:
    shared = (
        "one messenger adapter" if len(set(adapters)) == 1 else f"{len(set(adapters))} messenger adapters"
    )
    return f"{processes} load processes would share {shared}"
