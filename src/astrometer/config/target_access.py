"""URL, key and token of a server, as options, variables or files give them -> a `Target`, or what is wrong.

Every command that asks a server imports this; what only a configuration file needs (pydantic) is in `loader`.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, urlsplit

from astrometer.config.secret import Secret
from astrometer.config.settings import ConfigError, Key, Target, TargetMessenger
from astrometer.im.link.link_address import LinkAddress, LinkAddressError
from astrometer.input_files import read_text
from astrometer.outside_text import shown
from astrometer.wire import tls

# Names of containers may have underscores, which DNS has not.
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_ZONE = re.compile(r"[A-Za-z0-9._~-]{1,32}")
MOST_HOST_CHARS = 253
_IN_PATHS = "/%:@!$&'()*+,;=~"  # RFC 3986, what need not be quoted, and what is already


def target_from_options(url: str, environ: Mapping[str, str], place: str = "--host") -> Target:
    """A target given by its URL, with the key of ASTRBOT_API_KEY or of the file ASTRBOT_API_KEY_FILE.

    ASTRBOT_API_KEY_ID: AstrBot's own id of that key. ASTRBOT_MESSENGER_URL: its adapter for probes, with the
    token of ASTRBOT_MESSENGER_TOKEN or of a file. `place`: where the URL was given. Raises ConfigError.
    """
    keys = {}
    if (secret := _exported(environ, "ASTRBOT_API_KEY")) is not None:
        own_id = environ.get("ASTRBOT_API_KEY_ID") or None
        keys["default"] = Key(name="default", secret=secret, id=own_id)
    checked = checked_url(url, place)
    settings = tls.from_environment(environ)
    return Target(
        name="default",
        url=checked,
        keys=MappingProxyType(keys),
        tls=usable_tls(settings, checked, "TLS", may_be_idle=True),
        messenger=_messenger_from(environ),
    )


def _messenger_from(environ: Mapping[str, str]) -> TargetMessenger | None:
    if not (url := environ.get("ASTRBOT_MESSENGER_URL")):
        return None
    first = url.split(",")[0]  # a load of several processes may have one for each
    return messenger_access(first, messenger_token(environ), "ASTRBOT_MESSENGER_URL")


def messenger_token(environ: Mapping[str, str]) -> Secret:
    """That of ASTRBOT_MESSENGER_TOKEN, or of the file ASTRBOT_MESSENGER_TOKEN_FILE; empty without either.

    Raises ConfigError.
    """
    return _exported(environ, "ASTRBOT_MESSENGER_TOKEN", "a token") or Secret("")


def _exported(environ: Mapping[str, str], name: str, what: str = "an API key") -> Secret | None:
    """The variable `name`, or the file that NAME_FILE says. None: neither is set."""
    if text := environ.get(name):
        return checked_secret(text, name, what)
    file = environ.get(f"{name}_FILE")
    return read_secret(Path(file), f"{name}_FILE", what) if file else None


def messenger_access(url: str, token: Secret, place: str) -> TargetMessenger:
    try:
        LinkAddress.parse(url, self_id=1, token=token.reveal())
    except LinkAddressError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
    return TargetMessenger(url=url.strip(), token=token)


def usable_tls(
    settings: tls.TlsSettings, url: str, place: str, *, may_be_idle: bool = False
) -> tls.TlsSettings:
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


def read_secret(path: Path, place: str, what: str) -> Secret:
    try:
        return checked_secret(read_text(path), place, what)
    except OSError as exc:
        raise ConfigError(f"{place}: {path} cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError:
        raise ConfigError(f"{place}: {path} is not a text file") from None


def checked_secret(text: str, place: str, what: str) -> Secret:
    # Files end with a line break, and Kubernetes makes variables of files.
    text = text.strip()
    # It goes into a header: a line break would be a second header.
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigError(f"{place}: not {what} (empty, or with spaces, line breaks or non-ASCII letters)")
    return Secret(text)


def checked_url(url: str, place: str) -> str:
    if not is_url(url):
        meant = f"http://{url}"
        like = meant if "://" not in url and is_url(meant) else "http://127.0.0.1:6185"
        raise ConfigError(f"{place}: {shown(url, 120)!r} is not a URL like {like}")
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{place}: only scheme, host, port and path; keys go into [targets.NAME.keys]")
    host = _ascii_host(parts.hostname or "")
    port = "" if parts.port is None else f":{parts.port}"
    shown_host = f"[{host}]" if ":" in host else host
    # Both transports write it into requests, where only ASCII may stand.
    return f"{parts.scheme}://{shown_host}{port}{quote(parts.path, safe=_IN_PATHS)}".rstrip("/")


def is_url(url: str) -> bool:
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
        import httpx  # noqa: PLC0415 (only for such a name: every command would pay for it)

        try:
            _ = httpx.URL(f"http://{name}").host  # it decodes what IDNA 2008 allows, and fails at the rest
        except httpx.InvalidURL as exc:
            raise ValueError("not a host name") from exc
    if not _HOST.fullmatch(name) or len(name) > MOST_HOST_CHARS:
        raise ValueError("not a host name")
    return name
