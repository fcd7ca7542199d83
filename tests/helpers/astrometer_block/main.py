"""Blocks the event loop for a while, as a plugin with a slow library in it does."""

import time

from astrbot.api.event import AstrMessageEvent, filter  # noqa: A004 (AstrBot's own name)
from astrbot.api.star import Context, Star, register


@register("astrometer_block", "astrometer", "Blocks the event loop on command.", "1.0.0")
class Blocker(Star):
    def __init__(self, context: Context):
        super().__init__(context)

    @filter.command("astrometer_block")
    async def block(self, event: AstrMessageEvent, seconds: int = 5):
        time.sleep(seconds)
        yield event.plain_result("unblocked")
