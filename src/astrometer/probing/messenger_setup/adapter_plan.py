"""Names and addresses -> the adapter to make, its route and profile, and how they are known again. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astrometer.api.management_endpoints import ADAPTER_TYPE, adapter_settings
from astrometer.config.secret import Secret
from astrometer.im.link.link_address import LinkAddress
from astrometer.user_error import UserError

DEFAULT_ID = "astrometer-probe"
DEFAULT_PORT = 16186
DEFAULT_LISTEN = "127.0.0.1"
# In the adapter's settings, with the server's time. AstrBot keeps settings that it does not know.
MARK = "made_by_astrometer"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterPlan:
    """`listen` is where AstrBot listens, `url` how this machine reaches it."""

    adapter_id: str
    port: int
    listen: str
    url: str
    token: Secret

    @property
    def route(self) -> str:
        """Every session of the adapter."""
        return route_of(self.adapter_id)

    @property
    def profile_name(self) -> str:
        return profile_name_of(self.adapter_id)

    def address(self, self_id: int = 1) -> LinkAddress:
        """Raises LinkAddressError."""
        return LinkAddress.parse(self.url, self_id=self_id, token=self.token.reveal())

    def adapter(self, made_at: str) -> dict[str, Any]:
        """As AstrBot takes it, with the token."""
        return {
            **adapter_settings(self.adapter_id, self.port, self.listen, self.token.reveal()),
            MARK: made_at,
        }


def check_id(text: str) -> str:
    """An adapter's id, which is the first part of a route and of every session's name. Raises UserError."""
    if not _ID.fullmatch(text):
        raise UserError(f"{text!r}: an adapter's id is made of letters, digits, - and _")
    if text in ("webchat", "default"):
        raise UserError(f"{text!r} is AstrBot's own")
    return text


def route_of(adapter_id: str) -> str:
    return f"{adapter_id}::"


def profile_name_of(adapter_id: str) -> str:
    return f"astrometer messenger {adapter_id}"


def is_ours(adapter: Mapping[str, Any]) -> bool:
    return adapter.get("type") == ADAPTER_TYPE and bool(adapter.get(MARK))


def url_of(host: str, port: int) -> str:
    shown_host = f"[{host}]" if ":" in host else host
    return f"ws://{shown_host}:{port}/ws"
