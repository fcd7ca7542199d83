"""A host -> its addresses. A name that hangs holds up nobody who asks for another one.

The event loop's own lookup shares a few threads with everything else, keeps one for each lookup that was
given up, and at the end waits for them all.
"""

import asyncio
import socket
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Thread

_asked: dict[str, Future[list[str]]] = {}  # by name, while it is looked up


async def resolve(host: str) -> list[str]:
    """The addresses in the system's order. Raises socket.gaierror, UnicodeError."""
    try:
        ip_address(host)
    except ValueError:
        return await asyncio.wrap_future(_look_up(host))
    return [host]


def _look_up(name: str) -> Future[list[str]]:
    """In a thread of its own, which all share who ask meanwhile; it keeps no process from ending.

    Raises socket.gaierror when there is no thread to be had.
    """
    shared = _asked.get(name)
    if shared is not None:
        return shared
    found: Future[list[str]] = Future()
    found.set_running_or_notify_cancel()  # who gives up does not take it from the others

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except Exception as exc:  # noqa: BLE001 (whoever asked gets it)
            found.set_exception(exc)
        finally:
            del _asked[name]

    _asked[name] = found
    try:
        Thread(target=ask, name=f"resolve {name}", daemon=True).start()
    except Exception as exc:
        del _asked[name]
        raise socket.gaierror(socket.EAI_AGAIN, f"the lookup could not start: {exc}") from exc
    return found
