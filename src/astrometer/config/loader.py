"""TOML and environment -> frozen settings: targets with named keys, probes, objectives.

Secrets come from the environment or from files, never from the TOML itself. A key belongs to one target.
Every error names the file, the place in it and the cure.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import httpx
from pydantic import ValidationError

from astrometer.api.endpoints import SCOPES, SUB_SCOPES
from astrometer.config.exporter_settings import build as build_exporter
from astrometer.config.notify_settings import ReceiverKind, SecretUrlTable
from astrometer.config.notify_settings import build as build_notify
from astrometer.config.settings import (
    ALL_SCOPES,
    Budget,
    Config,
    ConfigError,
    Key,
    ProbeSettings,
    Secret,
    Target,
    TargetMessenger,
)
from astrometer.config.tables import (
    FileTable,
    KeyTable,
    MessengerTable,
    ProbeTable,
    TargetProbeTable,
    explain,
)
from astrometer.im.link.link_address import LinkAddress, LinkAddressError
from astrometer.input_files import read_text
from astrometer.measure.slo.slo_parser import ObjectiveError, parse_objective
from astrometer.outside_text import shown
from astrometer.suggestion import did_you_mean
from astrometer.wire import tls

_TIMES = ("interval", "timeout", "connect", "first_token", "idle", "cleanup")  # of a probe
DEFAULT_FILE = "astrometer.toml"
ENVIRONMENT = "environment"  # the source of a configuration without a file
# Names of containers may have underscores, which DNS has not.
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_ZONE = re.compile(r"[A-Za-z0-9._~-]{1,32}")
MOST_HOST_CHARS = 253
_IN_PATHS = "/%:@!$&'()*+,;=~"  # RFC 3986, what need not be quoted, and what is already
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


def target_from_options(url: str, environ: Mapping[str, str], place: str = "--host") -> Target:
    """A target given by its URL, with the key of ASTRBOT_API_KEY or of the file ASTRBOT_API_KEY_FILE.

    ASTRBOT_API_KEY_ID: AstrBot's own id of that key. ASTRBOT_MESSENGER_URL: its adapter for probes, with the
    token of ASTRBOT_MESSENGER_TOKEN or of a file. `place`: where the URL was given. Raises ConfigError.
    """
    keys = {}
    if (secret := _exported(environ, "ASTRBOT_API_KEY")) is not None:
        own_id = environ.get("ASTRBOT_API_KEY_ID") or None
        keys["default"] = Key(name="default", secret=secret, id=own_id)
    checked = _url(url, place)
    settings = tls.from_environment(environ)
    return Target(
        name="default",
        url=checked,
        keys=MappingProxyType(keys),
        tls=_usable(settings, checked, "TLS", may_be_idle=True),
        messenger=_messenger_from(environ),
    )


def _messenger_from(environ: Mapping[str, str]) -> TargetMessenger | None:
    if not (url := environ.get("ASTRBOT_MESSENGER_URL")):
        return None
    first = url.split(",")[0]  # a load of several processes may have one for each
    return _access(first, messenger_token(environ), "ASTRBOT_MESSENGER_URL")


def messenger_token(environ: Mapping[str, str]) -> Secret:
    """That of ASTRBOT_MESSENGER_TOKEN, or of the file ASTRBOT_MESSENGER_TOKEN_FILE; empty without either.

    Raises ConfigError.
    """
    return _exported(environ, "ASTRBOT_MESSENGER_TOKEN", "a token") or Secret("")


def _exported(environ: Mapping[str, str], name: str, what: str = "an API key") -> Secret | None:
    """The variable `name`, or the file that NAME_FILE says. None: neither is set."""
    if text := environ.get(name):
        return _secret(text, name, what)
    file = environ.get(f"{name}_FILE")
    return _read_secret(Path(file), f"{name}_FILE", what) if file else None


def _messenger(
    place: str, item: MessengerTable | None, path: Path, environ: Mapping[str, str]
) -> TargetMessenger | None:
    if item is None:
        return None
    if item.env is not None and item.file is not None:
        raise ConfigError(f'{place}: the token is in env = "NAME" or in file = "PATH", not in both')
    token = _named_secret(place, item, path, environ, "a token") or Secret("")
    return _access(item.url, token, f"{place}.url")


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
        return _secret(text, f"{place}.env", what)
    return None if item.file is None else _read_secret(path.parent / item.file, f"{place}.file", what)


def _access(url: str, token: Secret, place: str) -> TargetMessenger:
    try:
        LinkAddress.parse(url, self_id=1, token=token.reveal())
    except LinkAddressError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
    return TargetMessenger(url=url.strip(), token=token)


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
        url = _url(target.url, f"{place}.url")
        files = {
            setting: path.parent / file
            for setting in ("ca_file", "client_cert", "client_key")
            if (file := getattr(target, setting)) is not None
        }
        settings = tls.TlsSettings(insecure_skip_verify=target.insecure_skip_verify, **files)
        targets[name] = Target(
            name=name,
            url=url,
            tls=_usable(settings, url, place),
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
    try:
        exporter = build_exporter(parsed.exporter, objectives)
    except ValueError as exc:
        raise ConfigError(f"{path}: exporter.{exc}") from exc

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
        exporter=exporter,
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
        url = _secret(item.url, place, "a URL")
    else:
        url = _named_secret(place, item, path, environ, "a URL") or Secret("")
    is_apprise = place.endswith(f".{ReceiverKind.APPRISE}")
    if not (is_apprise and "://" in url.reveal()) and not _is_url(url.reveal()):
        meant = "its documentation lists them" if is_apprise else "https://... expected"
        raise ConfigError(f"{place}: not a URL ({meant})")
    return url


def _usable(settings: tls.TlsSettings, url: str, place: str, *, may_be_idle: bool = False) -> tls.TlsSettings:
    """`settings`, tried before the first connection. Raises ConfigError.

    `may_be_idle`: variables may be set for another server than this one without TLS.
    """
    if not url.startswith("https:"):
        if settings != tls.DEFAULT and not may_be_idle:
            raise ConfigError(
                f"{place}: ca_file, client_cert and insecure_skip_verify need a URL with https://"
            )
        return settings
    try:
        tls.context_of(settings)
    except tls.TlsError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
    return settings


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


def _read_secret(path: Path, place: str, what: str) -> Secret:
    try:
        return _secret(read_text(path), place, what)
    except OSError as exc:
        raise ConfigError(f"{place}: {path} cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError:
        raise ConfigError(f"{place}: {path} is not a text file") from None


def _secret(text: str, place: str, what: str) -> Secret:
    # Files end with a line break, and Kubernetes makes variables of files.
    text = text.strip()
    # It goes into a header: a line break would be a second header.
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{place}: not {what} (empty, or with spaces, line breaks or non-ASCII letters)")
    return Secret(text)


def _url(url: str, place: str) -> str:
    if not _is_url(url):
        meant = f"http://{url}"
        like = meant if "://" not in url and _is_url(meant) else "http://127.0.0.1:6185"
        raise ConfigError(f"{place}: {shown(url, 120)!r} is not a URL like {like}")
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{place}: only scheme, host, port and path; keys go into [targets.NAME.keys]")
    host = _ascii_host(parts.hostname or "")
    port = "" if parts.port is None else f":{parts.port}"
    shown_host = f"[{host}]" if ":" in host else host
    # Both transports write it into requests, where only ASCII may stand.
    return f"{parts.scheme}://{shown_host}{port}{quote(parts.path, safe=_IN_PATHS)}".rstrip("/")


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
        _ascii_host(parts.hostname or "")
        parts.path.encode()
    except ValueError:  # a UnicodeError is one
        return False
    whole = not any(char.isspace() or not char.isprintable() for char in url)
    return whole and port_is_fine and parts.scheme in ("http", "https")


def _ascii_host(host: str) -> str:
    """As it is looked up and asked for. Raises ValueError."""
    if ":" in host:
        address, percent, zone = host.partition("%")
        if percent and not _ZONE.fullmatch(zone.removeprefix("25")):
            raise ValueError("not a zone of an address")
        ip_address(address)
        return host
    name = host.removesuffix(".").encode("idna").decode("ascii").lower()
    if name.startswith("xn--"):
        try:
            _ = httpx.URL(f"http://{name}").host  # it decodes what IDNA 2008 allows, and fails at the rest
        except httpx.InvalidURL as exc:
            raise ValueError("not a host name") from exc
    if not _HOST.fullmatch(name) or len(name) > MOST_HOST_CHARS:
        raise ValueError("not a host name")
    return name
