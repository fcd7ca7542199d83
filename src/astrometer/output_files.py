"""Texts -> files, whole or not at all; a place that is tried before the work, and another one when it fails.

What was measured is worth more than where it was to be kept: a full disk at the end of a run loses nothing.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from astrometer.user_error import UserError

TRIED_BYTES = 1 << 20  # reports and results of a long run


def write_whole(path: Path, text: str) -> None:
    """Replace `path`, whose folder is made if need be. Raises OSError, and leaves no part of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, "utf-8")
        os.replace(partial, path)  # noqa: PTH105 (the atomic one, by its name)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def json_text(value: object) -> str:
    """As every file of ours has it. Raises ValueError for what JSON has no word for, such as infinity."""
    return json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_all(folder: Path, texts: Mapping[str, str]) -> None:
    """Each text into the file of its name. Raises OSError."""
    for name, text in texts.items():
        write_whole(folder / name, text)


def try_place(folder: Path, option: str) -> None:
    """Write something into `folder`, which is made if need be, and leave no trace of it. Raises UserError.

    `option`: how a person names another place.
    """
    made: list[Path] = []
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=".try-", dir=folder)
        try:
            with os.fdopen(number, "wb", buffering=0) as file:
                left = TRIED_BYTES
                while left > 0:
                    left -= file.write(bytes(left)) or 0
        finally:
            Path(name).unlink()
    except (OSError, ValueError) as exc:
        raise UserError(
            f"{ascii(str(folder))[1:-1]}: nothing can be written there ({reason(exc)}); "
            f"name another folder with {option}"
        ) from exc
    finally:
        for path in made:
            with suppress(OSError, ValueError):
                path.rmdir()


def write_somewhere(folder: Path, write: Callable[[Path], object], say: Callable[[str], None]) -> Path | None:
    """Call `write` with `folder`, or with another one when that fails; the one that it was. None: nowhere.

    `write` raises OSError when it cannot. `say` hears what failed, and where the files are instead.
    """
    try:
        write(folder)
    except (OSError, ValueError) as exc:
        why = f"{ascii(str(folder))[1:-1]}: cannot be written ({reason(exc)})"
    else:
        return folder
    for other in _others():
        with suppress(OSError):
            place = Path(tempfile.mkdtemp(prefix="astrometer-results-", dir=other))
            try:
                write(place)
            except OSError:
                _remove(place)
                continue
            say(f"{why}; the files are in {place}")
            return place
    say(f"{why}, and nor can any other place")
    return None


def reason(problem: Exception) -> str:
    """Of an OSError the system's words, without the path."""
    return (
        (problem.strerror if isinstance(problem, OSError) else None) or str(problem) or type(problem).__name__
    )


def _others() -> Iterator[Path]:
    with suppress(OSError):  # no usable folder at all
        yield Path(tempfile.gettempdir())
    yield Path("/dev/shm")  # noqa: S108 (in memory: there when every disk is full)
    with suppress(RuntimeError):
        yield Path.home()
    with suppress(OSError):
        yield Path.cwd()


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
