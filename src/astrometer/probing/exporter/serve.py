"""Listen, schedule, reload on SIGHUP, and end in order on SIGTERM: the exporter as a program."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress

import uvicorn

from astrometer.probing.exporter.access import WebAccess
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.reload import Loaded, Read, Reloader
from astrometer.probing.notify.notifier import Notifier
from astrometer.probing.runner import Runner
from astrometer.probing.schedule import Schedule
from astrometer.probing.status.state_history import StateHistory
from astrometer.same_origin import refusal

FINISH_S = 5.0
# After the runs are given up: their cleanup has 15 s of its own.
GIVE_UP_S = 17.0


class ListenError(OSError):
    """The address cannot be listened on."""


def _why_not(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror) or exc.errno is None:
        return exc.strerror or str(exc)
    why = os.strerror(exc.errno).lower()  # the exception's own text repeats the address
    another = "; another exporter? --listen 127.0.0.1:0 takes a free port"
    return why + another if exc.errno == errno.EADDRINUSE else why


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to us: it would die of them, and the cleanup with it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listen(address: str, port: int) -> socket.socket:
    """Bind a socket. "" and "::" are all addresses, of IPv4 and IPv6 where there are both. Raises OSError."""
    if address in ("", "::") and socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512
            )
        except OSError as exc:
            if address or exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise  # else: IPv6 is switched off
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=512)


async def serve(
    loaded: Loaded,
    read: Read,
    *,
    address: str,
    port: int,
    allowed_hosts: Collection[str] = (),
    runner: Runner | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Export until SIGTERM or SIGINT; then stop, clean up and return. Raises ListenError.

    `allowed_hosts`: names beside `address` by which browsers and scrapers may call the exporter.
    """
    try:
        listener = listen(address, port)
    except OSError as exc:
        raise ListenError(f"cannot listen on {address}:{port}: {_why_not(exc)}") from exc

    def refuse(host: str | None, origin: str | None) -> str | None:
        return refusal(host=host, origin=origin, listens_on=address, allowed_hosts=allowed_hosts)

    guard = WebAccess(loaded.web, refuse=refuse, say=say)
    notifier = Notifier(loaded.config.notify, loaded.config.state_dir, say=say)
    records = StateHistory(loaded.config.state_dir, say=say)
    exporter = Exporter(loaded.config, loaded.plans, runner, guard, notifier=notifier, past=records)
    schedule = Schedule(exporter.runner, loaded.plans, exporter, say=say)
    reloader = Reloader(exporter, schedule, read, say)
    exporter.reload = reloader.reload
    server = _server(exporter, guard)
    stop = asyncio.Event()
    _on_signals(stop, reloader)
    answering = asyncio.create_task(server.serve(sockets=[listener]))
    lag = asyncio.create_task(exporter.watch_loop())
    sweeping = asyncio.create_task(_sweep(exporter))
    schedule.start()
    notifier.start()
    exporter.ready = True
    scheme = "http" if guard.tls is None else "https"
    name, bound = listener.getsockname()[:2]
    where = f"{scheme}://{f'[{name}]' if ':' in name else name}:{bound}/metrics"
    say(f"astrometer probes on {where} ({loaded.summary})")
    try:
        await stop.wait()
    finally:
        exporter.ready = False
        exporter.stopping = True
        say("stopping: finishing runs and cleaning up")
        await schedule.stop(finish_s=FINISH_S, give_up_s=GIVE_UP_S)
        await notifier.stop()
        sweeping.cancel()
        lag.cancel()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await answering
        listener.close()
        exporter.runner.journal.close()
        records.close()


async def _sweep(exporter: Exporter) -> None:
    """What a crash left on the servers: removed, or counted as a leak."""
    targets = [*exporter.config.targets.values()]
    for run in await exporter.runner.orphans.sweep(targets):
        exporter.finished_on_demand(run)


def _server(exporter: Exporter, guard: WebAccess) -> _Server:
    settings = uvicorn.Config(
        exporter.app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,  # longer than a usual scrape interval
    )
    settings.load()
    settings.ssl = guard.tls
    return _Server(settings)


def _on_signals(stop: asyncio.Event, reloader: Reloader) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reloader.reload)
