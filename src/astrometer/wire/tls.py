"""TLS settings of a target -> the one context of all connections to it; a failed handshake -> its reason.

Load, probes and what is asked before a run trust the same: the system's store, SSL_CERT_FILE, `ca_file`.
"""

import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi

from astrometer.outside_text import shown

NOT_VERIFIED = (
    "its TLS certificate is NOT verified (insecure_skip_verify): anybody in between can read the key"
)
# OpenSSL's X509_V_ERR_*: the number is stable, the text is not.
_NOT_YET_VALID, _EXPIRED, _REVOKED = 9, 10, 23
_SELF_SIGNED, _UNKNOWN_ISSUER = 18, frozenset({2, 19, 20, 21})
_WRONG_NAME = frozenset({62, 64})  # host name, IP address
_TRUST_IT = "if it is yours, name its CA in ca_file, ASTRBOT_CA_FILE or SSL_CERT_FILE"
_ALERTS = {
    "CERTIFICATE_REQUIRED": "the server asks for a client certificate: set client_cert and client_key",
    "BAD_CERTIFICATE": "the server refuses our client certificate, or asks for one: see client_cert",
    "HANDSHAKE_FAILURE": "the server refuses the handshake (TLS version, ciphers, or a client certificate)",
    "UNKNOWN_CA": "the server does not know the issuer of our client certificate",
    "CERTIFICATE_EXPIRED": "our client certificate has expired",
    "PROTOCOL_VERSION": "the server speaks no TLS version that this machine allows",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "the server does not speak TLS on this port",
    "UNRECOGNIZED_NAME": "the server does not know this host name",
}


class TlsError(ValueError):
    """A file of certificates that cannot be used: setting, path and reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How connections to one target are secured. Paths to PEM files."""

    ca_file: Path | None = None  # trusted besides the system's store
    client_cert: Path | None = None
    client_key: Path | None = None  # None: in `client_cert`, too
    insecure_skip_verify: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.ca_file, self.client_cert, self.client_key) if file is not None)


DEFAULT = TlsSettings()
VARIABLES = {
    "ca_file": "ASTRBOT_CA_FILE",
    "client_cert": "ASTRBOT_CLIENT_CERT",
    "client_key": "ASTRBOT_CLIENT_KEY",
    "insecure_skip_verify": "ASTRBOT_INSECURE_SKIP_VERIFY",
}
_contexts: dict[tuple[TlsSettings, type], tuple[object, Any]] = {}


def from_environment(environ: Mapping[str, str]) -> TlsSettings:
    """The settings of a target that is given by its URL."""
    files = {
        name: Path(environ[variable])
        for name, variable in VARIABLES.items()
        if name != "insecure_skip_verify" and environ.get(variable)
    }
    skip = environ.get(VARIABLES["insecure_skip_verify"], "").strip().lower()
    return TlsSettings(insecure_skip_verify=skip in ("1", "true", "yes", "on"), **files)


def to_environment(settings: TlsSettings) -> dict[str, str]:
    """The same for a child process."""
    told = {VARIABLES[name]: getattr(settings, name) for name in VARIABLES}
    return {name: "1" if value is True else str(value) for name, value in told.items() if value}


def context_of(settings: TlsSettings = DEFAULT, kind: type = ssl.SSLContext) -> Any:
    """The client's context, made once and again when one of its files changed. Raises TlsError.

    `kind` is the class to make one of, such as gevent's. Files that became unusable change nothing.
    """
    place, version = (settings, kind), _version(settings)
    known = _contexts.get(place)
    if known is not None and known[0] == version:
        return known[1]
    try:
        context = _made(settings, kind)
    except TlsError:
        if known is None:
            raise
        context = known[1]
    _contexts[place] = (version, context)
    return context


def reason_of(error: BaseException) -> str:
    """What was wrong, for people: expired, another host's, an unknown issuer, or not TLS at all."""
    if isinstance(error, ssl.SSLCertVerificationError):
        code, said = error.verify_code, shown(error.verify_message or "", 120)
        if code in _WRONG_NAME:
            return f"the certificate is for another host name ({said})"
        if code == _EXPIRED:
            return "the certificate has expired"
        if code == _NOT_YET_VALID:
            return "the certificate is not valid yet: check both clocks"
        if code == _SELF_SIGNED:
            return f"the certificate is self-signed and not trusted: {_TRUST_IT}"
        if code in _UNKNOWN_ISSUER:
            return f"the certificate's issuer is unknown here ({said}): {_TRUST_IT}"
        return f"the certificate does not verify ({said})"
    told = str(getattr(error, "reason", "") or "")
    for name, sentence in _ALERTS.items():
        if name in told:
            return sentence
    return shown(told or "the handshake failed", 120)


def _made(settings: TlsSettings, kind: type) -> Any:
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])  # as AstrBot speaks it
    context.load_default_certs()
    paths = ssl.get_default_verify_paths()
    if named := os.environ.get("SSL_CERT_FILE"):
        # OpenSSL reads it instead of the system's own file, and says nothing when it cannot.
        _trust(context, "SSL_CERT_FILE", Path(named))
        if Path(paths.openssl_cafile).is_file():
            context.load_verify_locations(cafile=paths.openssl_cafile)
    if sys.platform != "win32" and paths.cafile is None and paths.capath is None:
        context.load_verify_locations(cafile=certifi.where())  # a system without a store of its own
    if settings.ca_file is not None:
        _trust(context, "ca_file", settings.ca_file)
    if settings.client_cert is not None:
        _identify(context, settings.client_cert, settings.client_key)
    elif settings.client_key is not None:
        raise TlsError("client_key needs client_cert")
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trust(context: Any, name: str, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(file))
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise TlsError(f"{name}: {file}: {_reason(exc, 'has no certificate in PEM form')}") from exc


def _identify(context: Any, cert: Path, key: Path | None) -> None:
    try:
        # Without a password it would ask for one at the terminal.
        context.load_cert_chain(str(cert), None if key is None else str(key), password=str)
    except (OSError, ValueError) as exc:
        unlike = "not a certificate and its key in PEM form, without a password"
        raise TlsError(f"client_cert: {cert}{f' with {key}' if key else ''}: {_reason(exc, unlike)}") from exc


def _reason(error: Exception, otherwise: str) -> str:
    is_file_trouble = isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror
    return f"cannot be read ({error.strerror})" if is_file_trouble else otherwise  # type: ignore[attr-defined]


def _version(settings: TlsSettings) -> object:
    named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return named, tuple(
        _changed_at(file) for file in (*settings.files, *(Path(item) for item in named[:1] if item))
    )


def _changed_at(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
