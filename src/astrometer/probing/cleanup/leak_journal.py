"""What is made on a server -> a line on disk before it is made, and another once it is surely gone.

A process that dies leaves its file; the next start adopts what is still open in it. A file belongs to whoever
holds its lock, so an exporter never sweeps away what another one is using right now.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from astrometer.config.settings import Key, Target
from astrometer.probing.cleanup.identity import Server
from astrometer.probing.cleanup.state_file import FOLDER_MODE, Say, instance_of, lock_file, open_private

FOLDER = "journal"
FORGET_AFTER_S = 30 * 86400.0  # a server that is gone for a month takes its rubbish along
COMPACT_AFTER_LINES = 1000  # and two more for each open entry: else many open ones would be written each time


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakEntry:
    """One thing that was, or was about to be, made. `item` is its id on the server; no secret is in here."""

    resource: str  # session | upload | conversation
    target: str
    url: str
    key: str  # the name of the key that made it
    probe: str
    item: str
    made_at: float
    id: str
    mark: str = ""  # what it holds that nothing else does, where its id says too little

    @property
    def server(self) -> Server:
        return self.target, self.url


class LeakJournal:
    """The open entries of this process, and those that dead processes left. Without a folder: nothing."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        say: Say = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder / FOLDER if folder is not None else None
        # Which of several exporters this is, the same after a restart; "" without a folder.
        self.instance = instance_of(folder, say) if folder is not None else ""
        self.say = say
        self._clock = clock
        self._file: IO[str] | None = None
        self._path: Path | None = None
        self._open: dict[str, LeakEntry] = {}
        self._lines = 0
        self._failed = False

    def __len__(self) -> int:
        return len(self._open)

    def note(
        self, resource: str, target: Target, key: Key, probe: str, item: str, *, mark: str = ""
    ) -> LeakEntry:
        """Call before it is made, or as soon as its id is known."""
        entry = LeakEntry(
            resource=resource,
            target=target.name,
            url=target.url,
            key=key.name,
            probe=probe,
            item=item,
            made_at=self._clock(),
            mark=mark,
            # The same thing tried again is the same entry.
            id=hashlib.sha256(f"{resource} {target.url} {item}".encode()).hexdigest()[:16],
        )
        self._keep(entry)
        return entry

    def done(self, entry: LeakEntry) -> None:
        """It is surely gone, or was never made."""
        if self._open.pop(entry.id, None) is not None:
            self._write({"done": entry.id})

    def forgets(self, entry: LeakEntry) -> bool:
        """Whether `entry` is too old to be tried again; then it is said, and done with."""
        if self._clock() - entry.made_at <= FORGET_AFTER_S:
            return False
        self.say(f"{entry.target}: {entry.resource} {entry.item}: given up after 30 days")
        self.done(entry)
        return True

    def adopt(self) -> list[LeakEntry]:
        """The open entries of processes that are no more; from now on they are ours."""
        if self._folder is None or not self._folder.is_dir():
            return []
        adopted: dict[str, LeakEntry] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            if path == self._path:
                continue
            try:
                with open_private(path, "r+") as file:
                    if not lock_file(file, wait=False):
                        continue  # its process lives
                    found = [entry for entry in read_entries(file, path, self.say) if not self.forgets(entry)]
                    adopted |= {entry.id: entry for entry in found}
                    written = [self._keep(entry) for entry in found]
                    if all(written):
                        path.unlink()
            except FileNotFoundError:
                continue  # another start was quicker
            except OSError as exc:
                self.say(f"{path}: cannot be swept ({exc.strerror})")
        return list(adopted.values())

    def close(self) -> None:
        """End in order: an empty journal leaves no file."""
        if self._file is None or self._path is None:
            return
        with suppress(OSError):
            if not self._open:
                self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
        self._file = self._path = None

    def _keep(self, entry: LeakEntry) -> bool:
        self._open[entry.id] = entry
        return self._write({"made": asdict(entry)})

    def _write(self, line: dict[str, Any]) -> bool:
        """False: it is not on disk, but will be with the next line that is."""
        if self._folder is None:
            return True
        try:
            if self._file is None or self._failed or self._lines > COMPACT_AFTER_LINES + 2 * len(self._open):
                self._begin(self._folder)
            else:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
                self._lines += 1
        except OSError as exc:
            if not self._failed:
                said = f"the journal cannot be written ({exc.strerror}): what a crash leaves stays"
                self.say(f"{self._folder}: {said}")
            self._failed = True
            return False
        self._failed = False
        return True

    def _begin(self, folder: Path) -> None:
        """Go on in a new file with all that is open; a crash in between leaves an entry twice, never none.

        It has its name once it is locked: before, who adopts would remove it.
        """
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        path = folder / f"{secrets.token_hex(6)}.jsonl"
        part = path.with_suffix(".part")
        file = open_private(part, "w")
        try:
            lock_file(file, wait=False)
            file.writelines(json.dumps({"made": asdict(entry)}) + "\n" for entry in self._open.values())
            file.flush()
            part.rename(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            with suppress(OSError):
                file.close()
            raise
        old_file, old_path = self._file, self._path
        self._file, self._path, self._lines = file, path, len(self._open)
        if old_file is not None and old_path is not None:
            with suppress(OSError):
                old_path.unlink()
            with suppress(OSError):
                old_file.close()


def read_entries(lines: Iterator[str] | IO[str], path: Path, say: Say) -> list[LeakEntry]:
    """The entries without a `done`. A damaged line, such as a torn last one, is named and left out."""
    found: dict[str, LeakEntry] = {}
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text.encode("ascii"))  # as it was written
            if "done" in line:
                found.pop(line["done"], None)
            else:
                entry = LeakEntry(**{**line["made"], "made_at": float(line["made"]["made_at"])})
                found[entry.id] = entry
        except (ValueError, TypeError, KeyError):
            say(f"{path}:{number}: is damaged, left out")
    return list(found.values())
