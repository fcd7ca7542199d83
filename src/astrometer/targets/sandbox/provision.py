"""A fresh AstrBot -> one that knows the stub model and has keys: its first settings, and its dashboard's API.

The dashboard's older routes (`/api/...`) are used: 4.18 has no others and 4.29 still has them.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from astrometer.api import endpoints
from astrometer.api.management_endpoints import adapter_settings
from astrometer.targets.messenger.sink import PLATFORM
from astrometer.targets.sandbox.config_patch import ConfigPatch
from astrometer.targets.sandbox.database import expire_key

SCOPES = ("chat", "config", "file", "im")
USERNAME = "astrbot"
LOOPBACK = "127.0.0.1"
PROVIDER = "stub/stub-model"


class ProvisionError(RuntimeError):
    """AstrBot did not do what was asked of its dashboard."""


class Strategy(StrEnum):
    """What AstrBot does with a message over its rate limit."""

    STALL = "stall"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `messages` in `seconds` for each session. The defaults are AstrBot's own."""

    messages: int = 30
    seconds: int = 60
    strategy: Strategy = Strategy.STALL


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionSettings:
    """What a sandboxed server is told. `rate_limit` None is AstrBot's default."""

    rate_limit: RateLimit | None = None
    model_timeout_s: int = 20
    model_enabled: bool = True


def new_password() -> str:
    """One that all versions accept: letters of both cases and digits."""
    return f"Aa1{secrets.token_hex(12)}"


def write_settings(
    data: Path,
    settings: ProvisionSettings,
    *,
    stub_url: str,
    password: str,
    im_port: int | None = None,
    patch: ConfigPatch | None = None,
) -> None:
    """Put the settings into `data/cmd_config.json`; what is already there and not named stays.

    `im_port`: where AstrBot shall listen for a OneBot messenger. `patch`: more, which takes precedence.
    """
    file = data / "cmd_config.json"
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig")) if file.exists() else {}
    dashboard = config.setdefault("dashboard", {})
    if not dashboard.get("password"):
        # All versions can verify an MD5 password; the older ones know nothing else.
        digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
        dashboard.update({"username": USERNAME, "password": digest})
    # From 4.29 on three changes of the configuration in a moment are taken for an attack (HTTP 429).
    dashboard["auth_rate_limit"] = {"enable": False}
    config["provider_sources"] = [
        {
            "id": "stub",
            "provider": "openai",
            "type": "openai_chat_completion",
            "provider_type": "chat_completion",
            "enable": True,
            "key": ["stub"],
            "api_base": f"{stub_url}/v1",
            "timeout": settings.model_timeout_s,
        }
    ]
    config["provider"] = [
        {
            "id": PROVIDER,
            "provider_source_id": "stub",
            "model": "stub-model",
            "modalities": ["text", "image"],
            "custom_extra_body": {},
            "enable": True,
        }
    ]
    config.setdefault("provider_settings", {})["default_provider_id"] = PROVIDER
    if im_port is not None:
        # All versions read it from here at their start; the dashboard's own way differs between them.
        others = [adapter for adapter in config.get("platform", []) if adapter["id"] != PLATFORM]
        config["platform"] = [*others, adapter_settings(PLATFORM, im_port, LOOPBACK, "")]
    apply_settings(config, settings)
    if patch is not None:
        patch.apply(config)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    part.replace(file)


def apply_settings(config: dict[str, Any], settings: ProvisionSettings) -> None:
    """Write what AstrBot can also take over while it runs into its configuration."""
    limit = settings.rate_limit or RateLimit()
    config.setdefault("provider_settings", {})["enable"] = settings.model_enabled
    config.setdefault("platform_settings", {})["rate_limit"] = {
        "time": limit.seconds,
        "count": limit.messages,
        "strategy": limit.strategy.value,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as its server gave it out; `secret` is never part of a repr."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r})"


class Dashboard:
    """The dashboard's API as its user. Raises ProvisionError when a call is refused."""

    def __init__(self, url: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._password = password
        self.token = ""

    def close(self) -> None:
        self._client.close()

    def log_in(self) -> None:
        """Older versions expect the MD5 of the password, newer ones the password."""
        digest = hashlib.md5(self._password.encode(), usedforsecurity=False).hexdigest()
        refused: ProvisionError | None = None
        for password in (digest, self._password):
            try:
                data = self.call("POST", "/api/auth/login", {"username": USERNAME, "password": password})
            except ProvisionError as exc:
                refused = exc
                continue
            self.token = data["token"]
            self._client.headers["Authorization"] = f"Bearer {self.token}"
            return
        raise refused or ProvisionError("no password was tried")

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """The `data` of the answer's envelope."""
        response = self._client.request(method, path, json=body, params=params or None)
        try:
            envelope = response.json()
        except ValueError as exc:
            raise ProvisionError(f"{method} {path}: HTTP {response.status_code}, not JSON") from exc
        if not isinstance(envelope, dict) or envelope.get("status") != "ok":
            message = envelope.get("message") if isinstance(envelope, dict) else None
            raise ProvisionError(f"{method} {path}: HTTP {response.status_code}, {message}")
        return envelope.get("data")

    def create_key(self, name: str, scopes: tuple[str, ...]) -> ApiKey:
        body = {"name": name, "scopes": list(scopes), "expires_in_days": 1}
        data = self.call("POST", "/api/apikey/create", body)
        return ApiKey(id=data["key_id"], secret=data["api_key"])

    def revoke_key(self, key_id: str) -> None:
        self.call("POST", "/api/apikey/revoke", {"key_id": key_id})

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.call("GET", "/api/config/abconf", id="default")["config"]
        return config


def make_keys(dashboard: Dashboard, data: Path) -> dict[str, ApiKey]:
    """One key for each scope, `all` with every scope, and `revoked` and `expired` that had every scope."""
    keys = {scope: dashboard.create_key(f"sandbox-{scope}", (scope,)) for scope in SCOPES}
    for name in ("all", "revoked", "expired"):
        keys[name] = dashboard.create_key(f"sandbox-{name}", SCOPES)
    dashboard.revoke_key(keys["revoked"].id)
    expire_key(data, keys["expired"].id)
    return keys


def messenger_listed(client: httpx.Client, url: str, key: str) -> bool:
    """Whether AstrBot lists the messenger among its bots."""
    response = client.get(endpoints.IM_BOTS.url(url), headers={"X-API-Key": key})
    return response.status_code == 200 and PLATFORM in response.json()["data"]["bot_ids"]


def messenger_connected(client: httpx.Client, sink_url: str) -> bool:
    response = client.get(sink_url)
    return response.status_code == 200 and response.json()["connected"] is True
