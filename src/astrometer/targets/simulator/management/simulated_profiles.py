"""Configuration profiles, and the routes from sessions to them. AstrBot takes the first route that fits."""

import copy
import fnmatch
import uuid
from typing import Any

from astrometer.targets.messenger.messenger_profile import MessengerProfile

DEFAULT = "default"
ADMINS = ["astrbot"]
# Those of AstrBot's own settings that a fresh server has.
FACTORY = MessengerProfile(
    reply_with_quote=False, disable_builtin_commands=False, rate_limit_messages=30, rate_limit_seconds=60
)
# Without one of these a profile can be stored, and not be used: 500.
NEEDED = ("platform_settings", "provider_settings", "content_safety")


class ProfileRefused(ValueError):
    """What AstrBot answers with HTTP 400."""


class AdminsRefused(ProfileRefused):
    """HTTP 403: a key without config:edit_admin wants other administrators (4.29)."""


class SimulatedProfiles:
    """`routes` in the order in which they are tried."""

    def __init__(self) -> None:
        config: dict[str, Any] = {"admins_id": list(ADMINS), "platform": [], "provider": []}
        FACTORY.apply(config)
        self.configs: dict[str, dict[str, Any]] = {DEFAULT: config}
        self.names: dict[str, str] = {}
        self.routes: dict[str, str] = {}

    def listed(self) -> list[dict[str, str]]:
        made = [{"id": one, "name": name, "path": f"abconf_{one}.json"} for one, name in self.names.items()]
        return [*made, {"id": DEFAULT, "name": DEFAULT, "path": "data/cmd_config.json"}]

    def create(self, name: str, config: dict[str, Any], *, checks_admins: bool) -> tuple[str, bool]:
        """Its id, and whether it can be used: it is stored either way. Raises AdminsRefused."""
        if checks_admins and config.get("admins_id", ADMINS) != ADMINS:
            raise AdminsRefused("config:edit_admin scope is required to change admins_id")
        profile_id = str(uuid.uuid4())
        self.configs[profile_id] = copy.deepcopy(config)
        self.names[profile_id] = name
        return profile_id, all(part in config for part in NEEDED)

    def get(self, profile_id: str) -> dict[str, Any]:
        """Raises ProfileRefused."""
        if profile_id not in self.configs:
            raise ProfileRefused(f"Config file {profile_id} does not exist")
        return self.configs[profile_id]

    def delete(self, profile_id: str) -> None:
        """Raises ProfileRefused."""
        if profile_id not in self.names:
            raise ProfileRefused("Failed to delete config profile")
        del self.configs[profile_id], self.names[profile_id]

    def of_adapter(self, platform: str) -> MessengerProfile:
        """What a private message gets there."""
        question = (platform, "FriendMessage", "1")
        for route, profile_id in self.routes.items():
            pairs = zip(question, route.split(":", 2), strict=True)
            if all(not pattern or fnmatch.fnmatchcase(part, pattern) for part, pattern in pairs):
                return MessengerProfile.read(self.configs.get(profile_id, self.configs[DEFAULT]))
        return MessengerProfile.read(self.configs[DEFAULT])
