"""A process id -> the server's process: its memory, CPU, threads, open files, database and log.

Only reads. Its children count in; what those used that have ended is in their parent's times.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from astrometer.measure.server_usage import ServerEndKind

DATABASE = "data_v4.db"
CHILDREN_EVERY = 5  # readings: to look through all processes costs ten times the rest
LOG_CHUNK = 1_000_000  # bytes of a log that are read at once; the rest waits for the next reading
_COLOUR = rb"(?:\x1b\[[\d;]*m)*"
# [02:02:57.557] [Core] [WARN] [v4.29.3] ...
_LOGGED = re.compile(
    rb"^" + _COLOUR + rb"\[[^\]\n]*\]" + _COLOUR + rb" \[[^\]\n]*\] " + _COLOUR + rb"\[(WARN|ERRO|CRIT)\]",
    re.MULTILINE,
)


class ServerProcessError(ValueError):
    """A process that cannot be watched: why, and what to do."""


class ServerGoneError(RuntimeError):
    """The process ended."""

    def __init__(self, how: ServerEndKind) -> None:
        super().__init__(how.value)
        self.how = how


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReading:
    """The process and its children now. None: not known."""

    rss_bytes: int
    cpu_s: float
    threads: int
    open_files: int
    processes: int
    database_bytes: int | None
    wal_bytes: int | None
    log_warnings: int | None  # since the process was found
    log_errors: int | None


class LogCounter:
    """A log file that grows -> how many warnings and errors were added to it since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.warnings = self.errors = 0
        self._at = path.stat().st_size
        self._rest = b""

    def read(self) -> None:
        """Count what is new. A file that became shorter was begun anew."""
        with suppress(OSError), self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._at:
                self._at, self._rest = 0, b""
            file.seek(self._at)
            new = file.read(LOG_CHUNK)
            self._at += len(new)
            lines, newline, self._rest = (self._rest + new).rpartition(b"\n")
            self._rest = self._rest[-LOG_CHUNK:]
            for level in _LOGGED.findall(lines + newline):
                if level == b"WARN":
                    self.warnings += 1
                else:
                    self.errors += 1


class ServerProcess:
    def __init__(self, process: psutil.Process, *, listens: bool) -> None:
        self.pid = process.pid
        self.listens = listens
        self._process = process
        self._readings = 0
        self._children: list[psutil.Process] = []
        self._database = _database(process)
        self._log = _log(process)

    def read(self) -> ServerReading:
        """Raises ServerGoneError."""
        try:
            if self._process.status() == psutil.STATUS_ZOMBIE:
                raise ServerGoneError(ServerEndKind.GONE)
            if not self._process.is_running():
                raise ServerGoneError(self._how())
            if self._readings % CHILDREN_EVERY == 0:
                self._children = self._process.children(recursive=True)
            self._readings += 1
            parts = [_part(self._process), *self._of_children()]
        except (psutil.NoSuchProcess, psutil.AccessDenied) as exc:
            raise ServerGoneError(self._how()) from exc
        if self._log is not None:
            self._log.read()
        database = self._database
        return ServerReading(
            rss_bytes=sum(part.rss_bytes for part in parts),
            cpu_s=sum(part.cpu_s for part in parts),
            threads=sum(part.threads for part in parts),
            open_files=sum(part.open_files for part in parts),
            processes=len(parts),
            database_bytes=_size(database),
            wal_bytes=_size(database.with_name(f"{database.name}-wal")) if database else None,
            log_warnings=None if self._log is None else self._log.warnings,
            log_errors=None if self._log is None else self._log.errors,
        )

    def _of_children(self) -> Iterator["_Part"]:
        for child in self._children:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                    yield _part(child)

    def _how(self) -> ServerEndKind:
        return ServerEndKind.RESTARTED if psutil.pid_exists(self.pid) else ServerEndKind.GONE


@dataclass(frozen=True, slots=True)
class _Part:
    rss_bytes: int
    cpu_s: float
    threads: int
    open_files: int


def find_server(pid: int, url: str) -> ServerProcess:
    """The process `pid`, which is the AstrBot at `url`. Raises ServerProcessError."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            raise ServerProcessError(f"process {pid} has ended")
        _part(process)  # what cannot be read now cannot be read later
        # Not its children: the shell that an AstrBot was started from is not one.
        if _port(url) not in _ports(process) and not _looks_like_astrbot(process):
            raise ServerProcessError(
                f"process {pid} ({process.name()}) is not an AstrBot: it does not listen on port "
                f"{_port(url)}, and neither its command nor its data folder is AstrBot's"
            )
        family = [process, *process.children(recursive=True)]
        listens = any(_port(url) in _ports(member) for member in family)
        return ServerProcess(process, listens=listens)
    except psutil.NoSuchProcess as exc:
        raise ServerProcessError(
            f"there is no process {pid} on this machine; name the one that runs AstrBot"
        ) from exc
    except psutil.AccessDenied as exc:
        raise ServerProcessError(
            f"process {pid} belongs to somebody else and cannot be read; run astrometer as its user"
        ) from exc


def _part(process: psutil.Process) -> _Part:
    with process.oneshot():
        times = process.cpu_times()
        # Windows knows handles instead of files.
        count = getattr(process, "num_fds" if hasattr(process, "num_fds") else "num_handles")
        return _Part(
            rss_bytes=process.memory_info().rss,
            cpu_s=times.user + times.system + times.children_user + times.children_system,
            threads=process.num_threads(),
            open_files=count(),
        )


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _ports(process: psutil.Process) -> set[int]:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        found = process.net_connections("tcp")
        return {item.laddr.port for item in found if item.status == psutil.CONN_LISTEN}
    return set()


def _looks_like_astrbot(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        named = any("astrbot" in word.lower() for word in process.cmdline())
        return named or _database(process) is not None
    return False


def _database(process: psutil.Process) -> Path | None:
    """Where AstrBot keeps it: in `data` of $ASTRBOT_ROOT or of its working directory."""
    found: list[Path] = []
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        found += [Path(item.path) for item in process.open_files() if Path(item.path).name == DATABASE]
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        root = process.environ().get("ASTRBOT_ROOT")
        found += [Path(root) / "data" / DATABASE] if root else []
        # The link leads into the process's own file system, a container's for instance.
        found += [Path(f"/proc/{process.pid}/cwd", "data", DATABASE), Path(process.cwd(), "data", DATABASE)]
    return next((path for path in found if _size(path) is not None), None)


def _log(process: psutil.Process) -> LogCounter | None:
    """The file that its output goes to; None when it goes elsewhere."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        for item in process.open_files():
            if item.fd in {1, 2}:
                return LogCounter(Path(item.path))
    return None


def _size(path: Path | None) -> int | None:
    try:
        return None if path is None else path.stat().st_size
    except OSError:
        return None
