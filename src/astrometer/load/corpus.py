"""Templates or a JSONL file -> prompts, none of them sent twice, none of them a command.

The built-in corpus has the spread of lengths that people type: most a line or two, some a paragraph, few a
pasted document; English and Chinese.
"""

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from astrometer.api.chat.commands import guard
from astrometer.outside_text import read_json, shown

_SLOT = re.compile(r"\{(\w+)(?::(\d+)-(\d+))?\}")
_FRESH_TRIES = 20


class CorpusError(ValueError):
    """A prompt file that cannot be used: file, line and reason."""


class Corpus:
    """Prompts without end. `random` decides the order; slots like {city} or {sentence:8-20} are filled in."""

    def __init__(
        self,
        templates: Sequence[tuple[str, float]],
        slots: Mapping[str, Sequence[str]],
        rng: random.Random | None = None,
    ) -> None:
        self._templates = [text for text, _ in templates]
        self._weights = [weight for _, weight in templates]
        self._slots = slots
        self._random = rng or random.Random()  # noqa: S311 (variety, no secret)
        self._sent: set[int] = set()

    def __len__(self) -> int:
        return len(self._templates)

    @classmethod
    def built_in(cls, rng: random.Random | None = None) -> "Corpus":
        raw = tomllib.loads(files("astrometer.load").joinpath("prompts.toml").read_text("utf-8"))
        templates = [
            (template, group["share"] / len(group["templates"]))
            for group in raw["groups"]
            for template in group["templates"]
        ]
        return cls(templates, raw["slots"], rng)

    @classmethod
    def from_file(cls, path: Path) -> "Corpus":
        """Read `{"prompt": "..."}` lines; blank lines are skipped. Raises CorpusError."""
        try:
            # Not `splitlines`, for which U+2028 and others end a line, too; a prompt may hold them.
            lines = path.read_text("utf-8-sig").split("\n")
        except OSError as exc:
            raise CorpusError(f"{path}: cannot be read ({exc.strerror})") from exc
        except UnicodeDecodeError as exc:
            raise CorpusError(f"{path}: is not UTF-8") from exc
        prompts = [
            (_prompt(path, number, line), 1.0) for number, line in enumerate(lines, start=1) if line.strip()
        ]
        if not prompts:
            raise CorpusError(f"{path}: has no prompts")
        return cls(prompts, {})

    def next(self) -> str:
        """A prompt that this process has not sent before, guarded against being taken for a command."""
        text = ""
        for _ in range(_FRESH_TRIES):
            (template,) = self._random.choices(self._templates, self._weights)
            text = self._fill(template) if self._slots else template
            if hash(text) not in self._sent:
                break
        else:
            # Everything was sent once: a number makes the next round differ, so that no cache answers it.
            text = f"[{len(self._sent)}] {text}"
        self._sent.add(hash(text))
        return guard(text)

    def sized(self, size: int) -> str:
        """One of so many bytes of UTF-8, made of several if need be; short ones may repeat."""
        text = self.next()
        while len(text.encode()) < size:
            text = f"{text}\n{self.next()}"
        return guard(text.encode()[: max(1, size)].decode("utf-8", "ignore") or text[0])

    def _fill(self, template: str) -> str:
        def pick(match: re.Match[str]) -> str:
            name, low, high = match.groups()
            if name == "number":
                return str(self._random.randint(int(low or 1), int(high or 999)))
            values = self._slots[name]
            count = self._random.randint(int(low), int(high)) if low else 1
            chosen = [values[self._random.randrange(len(values))] for _ in range(count)]
            joint = "" if name.endswith("_zh") else " "
            return joint.join(self._fill(text) if "{" in text else text for text in chosen)

        return _SLOT.sub(pick, template)


def _prompt(path: Path, number: int, line: str) -> str:
    try:
        item: Any = read_json(line)
    except ValueError as exc:
        raise CorpusError(f"{path}:{number}: is not valid JSON ({shown(str(exc))})") from exc
    prompt = item.get("prompt") if isinstance(item, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise CorpusError(f'{path}:{number}: write an object with a text: {{"prompt": "..."}}')
    return prompt
