"""A JSON file -> changes of AstrBot's configuration, and whether AstrBot took each of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astrometer.suggestion import did_you_mean

# The sandbox sets these: its stub model, its keys, its messenger.
OWN_KEYS = ("dashboard", "platform", "provider", "provider_sources")


class ConfigPatchError(ValueError):
    """A patch that cannot be applied; the text has the path of the key, and never a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPatch:
    """`name`: of its file. `values` may hold keys of other services: they are in no repr."""

    name: str
    values: Mapping[str, Any] = field(repr=False)

    def apply(self, config: dict[str, Any]) -> None:
        """Objects are merged; everything else, lists too, is replaced."""
        _merge(config, self.values)

    def check(self, config: Mapping[str, Any], version: str) -> None:
        """Raises ConfigPatchError where the running AstrBot, which drops unknown keys, lacks one."""
        for path, problem in _differences(self.values, config, ()):
            raise ConfigPatchError(f"{self.name}: {'.'.join(path)}: AstrBot {version} {problem}")


def read_config_patch(file: Path) -> ConfigPatch:
    """Raises ConfigPatchError."""
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as exc:
        raise ConfigPatchError(f"{file}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigPatchError(f"{file}: not JSON: {exc}") from exc
    if not isinstance(values, dict) or not values:
        raise ConfigPatchError(
            f'{file}: expected an object, as in {{"provider_settings": {{"wake_prefix": "!"}}}}'
        )
    for key in OWN_KEYS:
        if key in values:
            raise ConfigPatchError(f"{file}: {key}: the sandbox sets this itself; leave it out")
    return ConfigPatch(name=file.name, values=values)


def _merge(config: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def _differences(
    wanted: Mapping[str, Any], config: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The path of each key that AstrBot did not take as it is, and what became of it."""
    for key, value in wanted.items():
        path = (*above, key)
        if key not in config:
            yield path, f"has no such key{did_you_mean(key, config)}"
        elif isinstance(value, dict) and isinstance(config[key], dict):
            yield from _differences(value, config[key], path)
        elif value != config[key]:
            yield path, f"did not take this value; what it has there is of type {_kind(config[key])}"


def _kind(value: object) -> str:
    kinds: dict[type, str] = {dict: "object", list: "list", str: "string", bool: "boolean"}
    return kinds.get(type(value), "number" if isinstance(value, (int, float)) else "null")
