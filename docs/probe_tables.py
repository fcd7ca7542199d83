"""probes/*.py -> the tables of docs/reference/probes.md: what each asks, how often, and its options.

What an option means is the comment behind it in OPTIONS, or above it.
"""

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from astrometer import bundled
from astrometer.probing.probe_files import Probe, load_folder

FOLDER = bundled.folder("probes")
LONGEST_DEFAULT = 40


def filled(text: str) -> str:
    """docs/reference/probes.md with its tables made anew."""
    probes = load_folder(FOLDER).probes
    return with_tables(text, {"probes": map(probe_row, probes.values()), "options": option_rows(probes)})


def with_tables(text: str, tables: Mapping[str, Iterable[tuple[str, ...]]]) -> str:
    """A page, with new rows in the table behind each `<!-- NAME: made by ... -->`."""
    for name, rows in tables.items():
        made = "".join(f"| {' | '.join(row)} |\n".replace("|  |", "| |") for row in rows)
        text, found = re.subn(
            rf"(<!-- {name}: made by docs/make_reference.py -->\n(?:\|.*\n){{2}})(?:\|.*\n)*",
            lambda head, made=made: head[1] + made,
            text,
        )
        if found != 1:
            raise SystemExit(f"no place for the table of {name}")
    return text


def probe_row(probe: Probe) -> tuple[str, ...]:
    scopes = "[messenger](#the-messenger)" if probe.needs_messenger else ", ".join(probe.scopes) or "any key"
    answers = "none" if not probe.costs_tokens else f"{probe.turns} short answer{'s' * (probe.turns > 1)}"
    return f"`{probe.name}`", probe.summary, every(probe.interval_s), scopes, answers


def every(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:g} h"
    return f"{seconds / 60:g} min" if seconds > 60 else f"{seconds:g} s"


def option_rows(probes: dict[str, Probe]) -> Iterator[tuple[str, ...]]:
    for probe in probes.values():
        meanings = meanings_of(FOLDER / f"{probe.name}.py")
        for name, default in probe.options.items():
            yield f"`{probe.name}.{name}`", meanings[name], default_of(default)


def default_of(value: Any) -> str:
    if value in ("", []):
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{textwrap.shorten(text, LONGEST_DEFAULT, placeholder=' ...')}`"


def meanings_of(file: Path) -> dict[str, str]:
    """By the option's name. Raises SystemExit where an option has no comment."""
    source = file.read_text("utf-8")
    lines = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body:
        is_options = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "OPTIONS"
        if not (is_options and isinstance(node.value, ast.Dict)):
            continue
        for key, value in zip(node.value.keys, node.value.values, strict=True):
            above = key.lineno
            while lines[above - 2].lstrip().startswith("#"):
                above -= 1
            said = [comments[line] for line in range(above, key.lineno)]
            said += [comments[value.end_lineno]] if value.end_lineno in comments else []
            if not said:
                raise SystemExit(f"{file}: OPTIONS: {key.value}: say what it means in a comment")
            found[key.value] = " ".join(said)
    return found
