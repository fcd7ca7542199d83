"""Whom a command asks: its options, and the configuration that they choose."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import click

from astrometer.config.settings import DEFAULT_FILE, ENVIRONMENT, Config, ConfigError, Target
from astrometer.config.target_access import target_from_options
from astrometer.load.options import OF_TARGET, OPTIONS
from astrometer.wire.tls import NOT_VERIFIED

F = TypeVar("F", bound=Callable[..., Any])
HELP_OF_TARGET = {"key_file": "File that holds the API key for --host, in place of ASTRBOT_API_KEY."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What `target_options` say. `own`: of the table's options those that were given (key file and TLS)."""

    host: str | None = None
    target: str | None = None
    config_file: Path | None = None
    own: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def config(self) -> Config:
        """A target that was named is the only one. Raises ConfigError."""
        environ = {**os.environ, **self._environment()}
        if self.host is not None:
            if self.target is not None or self.config_file is not None:
                raise ConfigError("--host cannot be combined with --target or --config")
            found = target_from_options(self.host, environ)
            self._check_scheme(found.url)
            return Config(source="--host", targets={found.name: found})
        from astrometer.config.loader import load  # and pydantic

        config = load(self.config_file, environ)
        if config.source != ENVIRONMENT:
            self._refuse_beside(config.source)
        for known in config.targets.values():
            self._check_scheme(known.url)
        if self.config_file is None and (ignored := ignored_variables(config, environ)):
            are, them = ("is", "it") if len(ignored) == 1 else ("are", "them")
            names = " and ".join(ignored)
            click.echo(
                f"settings from {config.source}; {names} {are} ignored (--host takes {them})", err=True
            )
        if self.target is None:
            return config
        chosen = config.target(self.target)
        own = {place: told for place, told in config.target_probes.items() if place[0] == chosen.name}
        return replace(config, targets={chosen.name: chosen}, target_probes=own)

    def _environment(self) -> dict[str, str]:
        told = {
            OPTIONS[name].variable: "1" if value is True else str(value) for name, value in self.own.items()
        }
        return {**told, "ASTRBOT_API_KEY": ""} if "key_file" in self.own else told

    def _refuse_beside(self, source: str) -> None:
        for name in self.own:
            there = "keys.NAME.file" if name == "key_file" else name
            raise ConfigError(
                f"{OPTIONS[name].flag} needs --host: for a target of {source}, set {there} there"
            )

    def _check_scheme(self, url: str) -> None:
        for name in self.own:
            if name != "key_file" and not url.startswith("https:"):
                raise ConfigError(f"{OPTIONS[name].flag} needs a URL with https://, not {url}")


def target_options(command: F) -> F:
    """Whom a command asks: it gets a `Server` as `server`."""

    @wraps(command)
    def with_server(*args: Any, host: Any, target: Any, config_file: Any, **others: Any) -> Any:
        own = {name: value for name in OF_TARGET if (value := others.pop(name))}
        server = Server(host=host, target=target, config_file=config_file, own=own)
        return command(*args, server=server, **others)

    decorated: Any = with_server
    for name in reversed(OF_TARGET):
        entry = OPTIONS[name]
        kind: dict[str, Any] = {"is_flag": True}
        if not entry.is_switch:
            kind = {"type": click.Path(path_type=Path, dir_okay=False), "metavar": entry.metavar}
        decorated = click.option(entry.flag, name, help=HELP_OF_TARGET.get(name, entry.help), **kind)(
            decorated
        )
    for decorate in (
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Configuration file. [astrometer.toml here, else ASTRBOT_URL and ASTRBOT_API_KEY]",
        ),
        click.option("--target", metavar="NAME", help="Target by its name in the configuration."),
        click.option("--host", metavar="URL", help="Target by its URL, with the key in ASTRBOT_API_KEY."),
    ):
        decorated = decorate(decorated)
    return cast("F", decorated)


def warn_of_unverified(targets: Iterable[Target]) -> None:
    for target in targets:
        if target.tls.insecure_skip_verify and target.url.startswith("https:"):
            click.secho(f"WARNING: {target.url}: {NOT_VERIFIED}", err=True, fg="red", bold=True)


def ignored_variables(config: Config, environ: Mapping[str, str]) -> list[str]:
    """Those of ASTRBOT_URL and ASTRBOT_API_KEY that say otherwise than the settings; none without a URL."""
    url, key = environ.get("ASTRBOT_URL"), environ.get("ASTRBOT_API_KEY")
    if config.source != DEFAULT_FILE or not url:
        return []
    targets = config.targets.values()
    keys = {known.secret.reveal() for target in targets for known in target.keys.values()}
    given = {"ASTRBOT_URL": url.rstrip("/"), "ASTRBOT_API_KEY": key and key.strip()}
    used = keys | {target.url.rstrip("/") for target in targets}
    return [name for name, value in given.items() if value and value not in used]
