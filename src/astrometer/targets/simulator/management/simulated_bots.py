"""Adapters that are made over the API: each listens on a port of its own, or is in error when it cannot."""

from typing import Any

from astrometer.api.management_endpoints import ADAPTER_TYPE, adapter_settings
from astrometer.targets.messenger.messenger_profile import MESSENGER
from astrometer.targets.simulator.chats.chat import Pipeline
from astrometer.targets.simulator.management.simulated_profiles import SimulatedProfiles
from astrometer.targets.simulator.onebot_adapter.simulated_adapter import SimulatedAdapter
from astrometer.targets.simulator.simulated_faults import FaultPlan
from astrometer.targets.simulator.simulator_config import MessengerConfig


class BotRefused(ValueError):
    """What AstrBot answers with HTTP 400."""


class SimulatedBots:
    """`configs` as AstrBot stores them, with settings that it does not know. Only OneBot adapters listen."""

    def __init__(
        self,
        pipeline: Pipeline,
        plan: FaultPlan,
        profiles: SimulatedProfiles,
        built_in: SimulatedAdapter | None,
    ) -> None:
        self.configs: dict[str, dict[str, Any]] = {}
        self._pipeline = pipeline
        self._plan = plan
        self._profiles = profiles
        self._built_in = built_in
        self._adapters: dict[str, SimulatedAdapter] = {}
        self._errors: dict[str, str] = {}

    def adapter(self, bot_id: str) -> SimulatedAdapter | None:
        if bot_id == MESSENGER and self._built_in is not None:
            return self._built_in if self._built_in.is_open else None
        return self._adapters.get(bot_id)

    def listed(self) -> list[dict[str, Any]]:
        """With every token in clear, as AstrBot does."""
        found = [dict(config) for config in self.configs.values()]
        if self._built_in is not None:
            here = self._built_in
            found.insert(0, adapter_settings(MESSENGER, here.port, "127.0.0.1", here.token))
        return found

    def stats(self) -> list[dict[str, Any]]:
        """`running` says only that it listens."""
        rows = []
        for config in self.listed():
            if not config["enable"]:
                continue
            error = self._errors.get(config["id"])
            last = {"message": error, "timestamp": "", "traceback": ""} if error is not None else None
            rows.append(
                {
                    "id": config["id"],
                    "type": config["type"],
                    "status": "running" if last is None else "error",
                    "error_count": 0 if last is None else 1,
                    "last_error": last,
                }
            )
        return [*rows, {"id": "webchat", "type": "webchat", "status": "running", "error_count": 0}]

    async def create(self, config: dict[str, Any]) -> None:
        """Raises BotRefused. A port in use is accepted."""
        bot_id = config.get("id")
        if not bot_id:
            raise BotRefused("Bot config must have an 'id' field")
        if any(known["id"] == bot_id for known in self.listed()):
            raise BotRefused(f"Bot {bot_id} already exists")
        self.configs[bot_id] = {"enable": True, **config}
        await self._start(bot_id)

    async def enable(self, bot_id: str, *, enabled: bool) -> None:
        """Raises BotRefused."""
        self._stop(self._known(bot_id))
        self.configs[bot_id]["enable"] = enabled
        await self._start(bot_id)

    def delete(self, bot_id: str) -> None:
        """Raises BotRefused."""
        self._stop(self._known(bot_id))
        del self.configs[bot_id]

    def apply_profiles(self) -> None:
        """After a change of profiles or routes, which is in force at once."""
        for bot_id, adapter in self._adapters.items():
            adapter.use(self._profiles.of_adapter(bot_id))

    def kill(self) -> None:
        for adapter in self._adapters.values():
            adapter.kill()

    def _known(self, bot_id: str) -> str:
        if bot_id not in self.configs:
            raise BotRefused(f"Bot {bot_id} not found")
        return bot_id

    async def _start(self, bot_id: str) -> None:
        config = self.configs[bot_id]
        if not config["enable"] or config.get("type") != ADAPTER_TYPE:
            return
        settings = MessengerConfig(
            port=int(config["ws_reverse_port"]),
            token=str(config.get("ws_reverse_token") or ""),
            profile=self._profiles.of_adapter(bot_id),
        )
        adapter = SimulatedAdapter(self._pipeline, self._plan, settings, platform=bot_id)
        try:
            await adapter.open()
        except OSError as exc:
            self._errors[bot_id] = str(exc)
        else:
            self._adapters[bot_id] = adapter

    def _stop(self, bot_id: str) -> None:
        self._errors.pop(bot_id, None)
        if (adapter := self._adapters.pop(bot_id, None)) is not None:
            adapter.shut_down()
