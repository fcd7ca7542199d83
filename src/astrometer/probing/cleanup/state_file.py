"""Small facts that outlive a process <-> files: whole or not at all, one writer at a time, loud when damaged.

A state that cannot be read or written never stops the probing: it is said once, and memory serves instead.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: one exporter per state folder, as the documentation says
    fcntl = None  # type: ignore[assignment]

Say = Callable[[str], None]
FOLDER_MODE = 0o700
FILE_MODE = 0o600


class StateFile:
    """One JSON object on disk that several processes may change: `with file.changing() as value:`."""

    def __init__(self, path: Path, say: Say) -> None:
        self.path = path
        self._say = say
        self._said: set[str] = set()
        self._memory: dict[str, Any] = {}  # what was last known, for a disk that fails
        self._dirty = False  # memory knows more than the disk, which could not be written

    def read(self) -> dict[str, Any]:
        """What is there now; the last known value when the disk fails, `{}` when the file was damaged."""
        if self._dirty:
            return self._memory
        try:
            text = self.path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, UnicodeDecodeError) as exc:
            return self._unreadable(exc)
        try:
            value = json.loads(text)
        except ValueError as exc:
            return self._unreadable(exc)
        if not isinstance(value, dict):
            return self._unreadable(TypeError("not an object"))
        self._memory = value
        return value

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Read, let the caller change, write: no other process in between."""
        try:
            lock = self._lock()
        except OSError as exc:
            value = self.read()
            yield value
            self._unwritable(value, exc)
            return
        with lock:
            value = self.read()
            yield value
            self._write(value)

    def _lock(self) -> IO[str]:
        """Held until it is closed. Raises OSError, also where the file system has no locks."""
        self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        lock = open_private(self.path.with_suffix(".lock"))
        try:
            lock_file(lock, wait=True)
        except OSError:
            lock.close()
            raise
        return lock

    def _write(self, value: dict[str, Any]) -> None:
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            with open_private(part, "w") as file:
                json.dump(value, file)
            part.replace(self.path)
        except OSError as exc:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            self._unwritable(value, exc)
        else:
            self._memory, self._dirty = value, False
            self._said.clear()  # the next failure is another one

    def _unwritable(self, value: dict[str, Any], error: OSError) -> None:
        self._memory, self._dirty = value, True
        self._say_once(f"{self.path}: cannot be written ({error.strerror}); kept in memory until it can")

    def _unreadable(self, error: Exception) -> dict[str, Any]:
        if isinstance(error, OSError):
            self._say_once(f"{self.path}: cannot be read ({error.strerror})")
            return self._memory
        aside = self.path.with_suffix(f".damaged-{int(time.time())}")
        try:
            self.path.replace(aside)
        except OSError:
            aside = self.path
        self._say(f"{self.path}: is damaged ({error}); put aside as {aside.name}, starting from nothing")
        return {}

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def instance_of(folder: Path, say: Say) -> str:
    """The name of the exporter whose state is in `folder`: random, made once; "" when it cannot be kept."""
    file = folder / "instance"
    for _ in range(2):
        try:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            if not file.exists():
                part = folder / f"instance.{secrets.token_hex(4)}.part"
                with open_private(part, "w") as new:
                    new.write(secrets.token_hex(3))
                try:
                    os.link(part, file)  # of two that start at once, one wins
                except FileExistsError:
                    pass
                finally:
                    part.unlink(missing_ok=True)
            known = file.read_text("utf-8", "replace").strip()
        except OSError as exc:
            say(f"{folder}: cannot be used for the state of the probes ({exc.strerror})")
            return ""
        if re.fullmatch("[0-9a-f]{6}", known):
            return known
        file.unlink(missing_ok=True)
    return ""


def open_private(path: Path, mode: str = "a") -> IO[str]:
    """Open a file that only its owner may read. Raises OSError."""
    flags = {
        "a": os.O_RDWR | os.O_CREAT | os.O_APPEND,
        "w": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
        "r+": os.O_RDWR,
    }[mode]
    number = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), FILE_MODE)
    return os.fdopen(number, mode, encoding="utf-8", errors="replace")


def lock_file(file: IO[str], *, wait: bool) -> bool:
    """Lock `file` until it is closed or its process ends, however that ends. False: somebody else has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
