"""TOML and environment -> frozen settings: targets with named keys, probes, objectives.

Secrets come from the environment or from files, never from the TOML itself. A key belongs to one target.
Every error names the file, the place in it and the cure.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from astrometer.api.endpoints import SCOPES, SUB_SCOPES
from astrometer.config.exporter_table import build as build_exporter
from astrometer.config.notify_settings import ReceiverKind
from astrometer.config.notify_tables import build as build_notify
from astrometer.config.secret import Secret
from astrometer.config.settings import (
    ALL_SCOPES,
    DEFAULT_FILE,
    ENVIRONMENT,
    Budget,
    Config,
    ConfigError,
    Key,
    ProbeSettings,
    Target,
    TargetMessenger,
)
from astrometer.config.tables import (
    FileTable,
    KeyTable,
    MessengerTable,
    ProbeTable,
    SecretUrlTable,
    TargetProbeTable,
    explain,
)
from astrometer.config.target_access import (
    checked_secret,
    checked_url,
    is_url,
    messenger_access,
    read_secret,
    target_from_options,
    usable_tls,
)
from astrometer.input_files import read_text
from astrometer.measure.slo.slo_parser import ObjectiveError, parse_objective
from astrometer.outside_text import shown
from astrometer.suggestion import did_you_mean
from astrometer.wire import tls

_TIMES = ("interval", "timeout", "connect", "first_token", "idle", "cleanup")  # of a probe
KNOWN_SCOPES = (*SCOPES, *SUB_SCOPES, ALL_SCOPES)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read `path`, or `astrometer.toml` here if there is one, or ASTRBOT_URL and ASTRBOT_API_KEY.

    Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    if path is None:
        return _from_environment(environ)
    try:
        raw = tomllib.loads(read_text(path))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror})") from exc
    except RecursionError:
        raise ConfigError(f"{path}: is not valid TOML: nested too deeply") from None
    except ValueError as exc:  # not UTF-8, no TOML, or a number of thousands of digits
        raise ConfigError(f"{path}: is not valid TOML: {shown(str(exc))}") from exc
    try:
        parsed = FileTable.model_validate(raw)
    except ValidationError as exc:
        raise ConfigError("\n".join(explain(str(path), exc))) from None
    return _build(parsed, path, environ)


def _messenger(
    place: str, item: MessengerTable | None, path: Path, environ: Mapping[str, str]
) -> TargetMessenger | None:
    if item is None:
        return None
    if item.env is not None and item.file is not None:
        raise ConfigError(f'{place}: the token is in env = "NAME" or in file = "PATH", not in both')
    token = _named_secret(place, item, path, environ, "a token") or Secret("")
    return messenger_access(item.url, token, f"{place}.url")


def _named_secret(
    place: str,
    item: KeyTable | MessengerTable | SecretUrlTable,
    path: Path,
    environ: Mapping[str, str],
    what: str,
) -> Secret | None:
    """What the variable or the file of a table holds. None: it names neither."""
    if item.env is not None:
        if not (text := environ.get(item.env)):
            raise ConfigError(f"{place}.env: the environment variable {item.env} is not set")
        return checked_secret(text, f"{place}.env", what)
    return None if item.file is None else read_secret(path.parent / item.file, f"{place}.file", what)


def _from_environment(environ: Mapping[str, str]) -> Config:
    url = environ.get("ASTRBOT_URL")
    if not url:
        raise ConfigError(
            f"no target: give --host, write {DEFAULT_FILE}, or set ASTRBOT_URL; the key is in "
            "ASTRBOT_API_KEY (or ASTRBOT_API_KEY_FILE)"
        )
    return Config(source=ENVIRONMENT, targets={"default": target_from_options(url, environ, "ASTRBOT_URL")})


def _build(parsed: FileTable, path: Path, environ: Mapping[str, str]) -> Config:
    targets = {}
    for name, target in parsed.targets.items():
        place = f"{path}: targets.{name}"
        keys = {
            key: _key(f"{place}.keys.{key}", key, item, path, environ) for key, item in target.keys.items()
        }
        url = checked_url(target.url, f"{place}.url")
        files = {
            setting: path.parent / file
            for setting in ("ca_file", "client_cert", "client_key")
            if (file := getattr(target, setting)) is not None
        }
        settings = tls.TlsSettings(insecure_skip_verify=target.insecure_skip_verify, **files)
        targets[name] = Target(
            name=name,
            url=url,
            tls=usable_tls(settings, url, place),
            keys=MappingProxyType(keys),
            budget=Budget(**target.budget.model_dump()),
            concurrency=target.concurrency,
            messenger=_messenger(f"{place}.messenger", target.messenger, path, environ),
        )
    if not targets:
        raise ConfigError(f'{path}: no targets; add [targets.NAME] with url = "http://..."')
    probes = {}
    for name, probe in parsed.probes.items():
        for wanted in probe.targets or ():
            if wanted not in targets:
                raise ConfigError(
                    f"{path}: probes.{name}.targets: no target {wanted!r}{did_you_mean(wanted, targets)}"
                )
        probes[name] = _probe_settings(probe)
    objectives = []
    for index, text in enumerate(parsed.slo.objectives):
        try:
            objectives.append(parse_objective(text))
        except ObjectiveError as exc:
            raise ConfigError(f"{path}: slo.objectives[{index}]: {exc}") from exc

    def receiver_url(item: SecretUrlTable, place: str) -> Secret:
        return _receiver_url(item, f"{path}: {place}", path, environ)

    try:
        notify = build_notify(parsed.notify, targets, receiver_url)
    except ConfigError:
        raise
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    return Config(
        source=str(path),
        targets=MappingProxyType(targets),
        probes=MappingProxyType(probes),
        objectives=tuple(objectives),
        exporter=build_exporter(parsed.exporter, objectives),
        notify=notify,
        target_probes=MappingProxyType(
            {
                (target, name): _probe_settings(parsed.probes.get(name, ProbeTable()), own)
                for target, item in parsed.targets.items()
                for name, own in item.probes.items()
            }
        ),
        state_dir=path.parent / parsed.state_dir if parsed.state_dir is not None else None,
    )


def _receiver_url(item: SecretUrlTable, place: str, path: Path, environ: Mapping[str, str]) -> Secret:
    """The errors never show it."""
    if sum(given is not None for given in (item.url, item.env, item.file)) != 1:
        raise ConfigError(f'{place}: write "URL", {{ env = "NAME" }} or {{ file = "PATH" }}')
    if item.url is not None:
        url = checked_secret(item.url, place, "a URL")
    else:
        url = _named_secret(place, item, path, environ, "a URL") or Secret("")
    is_apprise = place.endswith(f".{ReceiverKind.APPRISE}")
    if not (is_apprise and "://" in url.reveal()) and not is_url(url.reveal()):
        meant = "its documentation lists them" if is_apprise else "https://... expected"
        raise ConfigError(f"{place}: not a URL ({meant})")
    return url


def _probe_settings(common: ProbeTable, own: TargetProbeTable | None = None) -> ProbeSettings:
    """`own` replaces what it names; of `options` one by one."""
    told = common.model_dump()
    if own is not None:
        changes = own.model_dump(exclude_unset=True)
        told = {**told, **changes, "options": {**told["options"], **changes.get("options", {})}}
    times = {f"{name}_s": told.pop(name) for name in _TIMES}
    targets = None if told["targets"] is None else tuple(told["targets"])
    return ProbeSettings(
        **{**told, "targets": targets, "options": MappingProxyType(told["options"])}, **times
    )


def _key(place: str, name: str, item: KeyTable, path: Path, environ: Mapping[str, str]) -> Key:
    secret = None
    if item.env is None or item.file is None:
        secret = _named_secret(place, item, path, environ, "an API key")
    if secret is None:
        raise ConfigError(f'{place}: say where the key is: env = "NAME" or file = "PATH" (one of the two)')
    for scope in item.scopes or ():
        if scope not in KNOWN_SCOPES:
            raise ConfigError(f"{place}.scopes: no scope {scope!r}{did_you_mean(scope, KNOWN_SCOPES)}")
    scopes = frozenset(item.scopes) if item.scopes is not None else None
    return Key(name=name, secret=secret, scopes=scopes, id=item.id)
