"""Settings in force -> the same as TOML, with nothing secret in it, for `/config` and the debug page."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from astrometer.config.secret import Secret
from astrometer.config.settings import Config, Key
from astrometer.masking import MASK, mask
from astrometer.probing.plan import Plan

# An option of a probe may hold what nobody should read.
_TELLING = re.compile(r"key|token|secret|passw|auth|cookie|credential", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def secrets_of(config: Config) -> list[str]:
    """Every key and token of every target, and every URL of a receiver."""
    urls = [receiver.url.reveal() for receiver in config.notify]
    return [*(secret for target in config.targets.values() for secret in target.secrets), *urls]


def whole(config: Config, plans: Iterable[Plan]) -> str:
    """All settings, with what each probe runs under on each target."""
    lines = [f"# {config.source}"]
    if config.state_dir is not None:
        lines.append(f"state_dir = {_value(str(config.state_dir))}")
    for target in config.targets.values():
        lines += ["", f"[targets.{_name(target.name)}]", *_fields(target, skip=("name", "keys"))]
        for key in target.keys.values():
            lines += ["", f"[targets.{_name(target.name)}.keys.{_name(key.name)}]", *_key(key)]
    for plan in plans:
        lines += ["", *_plan(plan)]
    lines += ["", "[exporter]", *_fields(config.exporter)]
    if config.objectives:
        texts = ", ".join(_value(objective.text) for objective in config.objectives)
        lines += ["", "[slo]", f"objectives = [{texts}]"]
    for receiver in config.notify:
        lines += ["", "[[notify]]", *_fields(receiver, skip=("kind", "url", "template"))]
        lines.append(f"{receiver.kind} = {_value(MASK)}")
    return mask("\n".join(lines) + "\n", secrets_of(config))


def of_plan(plan: Plan, config: Config) -> str:
    """What one probe on one target runs under."""
    target = plan.target
    lines = [f"# {config.source}", f"[targets.{_name(target.name)}]", *_fields(target, skip=("name", "keys"))]
    for key in target.keys.values():
        lines += [f"[targets.{_name(target.name)}.keys.{_name(key.name)}]", *_key(key)]
    text = "\n".join([*lines, *_plan(plan)])
    return mask(text, target.secrets)


def _plan(plan: Plan) -> list[str]:
    lines = [f"[targets.{_name(plan.target.name)}.probes.{_name(plan.probe.name)}]"]
    if plan.missing is not None:
        lines.append(f"# not probed: {plan.missing}")
    lines += [f"schedule = {_value(plan.schedule)}", f"interval_s = {_value(plan.interval_s)}"]
    lines += _fields(plan.limits)
    lines += [f"options.{_name(name)} = {_option(name, value)}" for name, value in plan.options.items()]
    return lines


def _key(key: Key) -> list[str]:
    scopes = "" if key.scopes is None else f"scopes = {_value(sorted(key.scopes))}"
    lines = [f"secret = {_value(MASK)}", scopes, f"id = {_value(key.id)}" if key.id else ""]
    return [line for line in lines if line]


def _fields(value: Any, prefix: str = "", skip: tuple[str, ...] = ()) -> Iterator[str]:
    for field in fields(value):
        inner = getattr(value, field.name)
        if field.name in skip or inner is None:
            continue
        if is_dataclass(inner):
            yield from _fields(inner, f"{prefix}{field.name}.")
        elif isinstance(inner, Mapping):
            yield from (f"{prefix}{field.name}.{_name(k)} = {_option(k, v)}" for k, v in inner.items())
        else:
            yield f"{prefix}{field.name} = {_value(inner)}"


def _option(name: str, value: Any) -> str:
    return _value(MASK) if _TELLING.search(name) else _value(value)


def _name(text: str) -> str:
    return text if _BARE.fullmatch(text) else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, Secret):
        return f'"{MASK}"'
    if isinstance(value, frozenset | set | tuple):
        value = list(value)
    # TOML's basic strings, numbers, lists and truth values are written as JSON's are.
    return json.dumps(value, ensure_ascii=False, default=str)
