"""A web config file as the Prometheus exporter-toolkit has it -> how to encrypt and whom to let in.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md: what is here means the
same there. What is there and not here is refused by name, never ignored.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from astrometer.config.settings import ConfigError
from astrometer.input_files import read_text

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
# Each step doubles the time of a check; 14 takes about a second.
MOST_ROUNDS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """`users`: names with their bcrypt hashes; empty: everybody. `tls` None: plain HTTP."""

    tls: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}), repr=False)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Tls(_Table):
    cert_file: str
    key_file: str
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = (
        "NoClientCert"
    )
    client_ca_file: str | None = None
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] | None = None


class _File(_Table):
    tls_server_config: _Tls | None = None
    basic_auth_users: dict[str, str] = Field(default_factory=dict)


def load_web_config(path: Path) -> WebConfig:
    """Read it and the files that it names. Raises ConfigError."""
    try:
        raw = yaml.safe_load(read_text(path))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror})") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: is not valid YAML{_place_of(exc)}") from None
    try:
        parsed = _File.model_validate({} if raw is None else raw)
    except ValidationError as exc:
        # Without the values: one of them may be a hash.
        raise ConfigError("\n".join(_explain(path, item) for item in exc.errors())) from None
    users = {name: _hash(path, name, text) for name, text in parsed.basic_auth_users.items()}
    tls = _context(path, parsed.tls_server_config) if parsed.tls_server_config else None
    return WebConfig(tls=tls, users=MappingProxyType(users))


def _explain(path: Path, problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _Tls if problem["loc"][0] == "tls_server_config" else _File
        return f"{path}: {place}: not supported here (there are: {', '.join(known.model_fields)})"
    if problem["type"] == "missing":
        return f"{path}: {place} is missing"
    return f"{path}: {place or 'top level'}: {problem['msg']}"


def _place_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark is not None else ""


def _hash(path: Path, name: str, text: str) -> bytes:
    place = f"{path}: basic_auth_users.{name}"
    if not name or ":" in name:
        raise ConfigError(f"{place}: a user's name is not empty and has no colon")
    if not _BCRYPT.fullmatch(text):
        raise ConfigError(f"{place}: not a bcrypt hash; make one with: htpasswd -nBC 10 '' | tr -d ':\\n'")
    if not 4 <= int(text[4:6]) <= MOST_ROUNDS:
        raise ConfigError(f"{place}: a bcrypt cost from 4 to {MOST_ROUNDS} expected, not {int(text[4:6])}")
    return text.encode("ascii")


def _context(path: Path, table: _Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[table.min_version]
    if table.max_version is not None:
        if VERSIONS[table.max_version] < VERSIONS[table.min_version]:
            raise ConfigError(f"{path}: tls_server_config.max_version: is below min_version")
        context.maximum_version = VERSIONS[table.max_version]
    certificate, key = path.parent / table.cert_file, path.parent / table.key_file
    for name, file in (("cert_file", certificate), ("key_file", key)):
        _readable(f"{path}: tls_server_config.{name}", file)
    try:
        # An empty password: a key that wants one fails instead of asking the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as exc:
        reason = getattr(exc, "reason", None) or type(exc).__name__
        raise ConfigError(
            f"{path}: tls_server_config: {table.cert_file} and {table.key_file} are no PEM pair ({reason})"
        ) from None
    context.verify_mode = VERIFY[table.client_auth_type]
    if (context.verify_mode is ssl.CERT_NONE) != (table.client_ca_file is None):
        raise ConfigError(
            f"{path}: tls_server_config: client_ca_file goes with client_auth_type "
            "RequireAndVerifyClientCert or VerifyClientCertIfGiven, and these with it"
        )
    if table.client_ca_file is not None:
        authority = path.parent / table.client_ca_file
        _readable(f"{path}: tls_server_config.client_ca_file", authority)
        try:
            context.load_verify_locations(authority)
        except (ssl.SSLError, OSError):
            raise ConfigError(
                f"{path}: tls_server_config.client_ca_file: {table.client_ca_file} is no PEM certificate"
            ) from None
    return context


def _readable(place: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as exc:
        raise ConfigError(f"{place}: {file} cannot be read ({exc.strerror})") from exc
