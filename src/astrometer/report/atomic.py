"""Text -> a file, whole or not at all: a reader never sees half a report."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace `path`, whose folder is made if need be. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)  # noqa: PTH105 (the atomic one, by its name)
