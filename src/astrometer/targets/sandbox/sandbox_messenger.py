"""A running AstrBot -> an adapter for OneBot clients, with a profile and a route. Over its dashboard.

One way for all versions: the older routes of the dashboard (`/api/config/...`) make an adapter live at once,
from 4.18 to 4.29. The profile belongs to this adapter alone; web chats keep the server's default one.
"""

import secrets
import socket
from dataclasses import dataclass, field
from typing import Any

from astrometer.api.management_endpoints import adapter_settings
from astrometer.targets.messenger.messenger_profile import MESSENGER, MessengerProfile
from astrometer.targets.sandbox.provision import LOOPBACK, Dashboard

ROUTE = f"{MESSENGER}::"  # every session of this adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerAccess:
    """Where a OneBot client connects, and with which token."""

    port: int
    token: str = field(repr=False)
    profile_id: str

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def is_open(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def open_messenger(dashboard: Dashboard, profile: MessengerProfile, port: int) -> MessengerAccess:
    """Raises ProvisionError."""
    config = dashboard.config()
    profile.apply(config)
    made = dashboard.call("POST", "/api/config/abconf/new", {"name": MESSENGER, "config": config})
    access = MessengerAccess(port=port, token=secrets.token_urlsafe(24), profile_id=made["conf_id"])
    change_profile(dashboard, access, profile)
    dashboard.call(
        "POST", "/api/config/umo_abconf_route/update", {"umo": ROUTE, "conf_id": access.profile_id}
    )
    dashboard.call(
        "POST", "/api/config/platform/new", adapter_settings(MESSENGER, port, LOOPBACK, access.token)
    )
    return access


def change_profile(dashboard: Dashboard, access: MessengerAccess, profile: MessengerProfile) -> None:
    """Take another profile at once; its rate limit counts from zero again. Raises ProvisionError."""
    config: dict[str, Any] = dashboard.call("GET", "/api/config/abconf", id=access.profile_id)["config"]
    profile.apply(config)
    dashboard.call("POST", "/api/config/astrbot/update", {"conf_id": access.profile_id, "config": config})
