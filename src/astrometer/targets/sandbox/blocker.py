"""A data folder -> the same with an AstrBot plugin whose command blocks the server's event loop.

That is what a plugin with a slow library in it does to a server: the port takes connections, and nobody is
answered.
"""

from pathlib import Path

COMMAND = "astrometer_block"
_MAIN = f'''"""Blocks the event loop for a while, as a plugin with a slow library in it does."""

import time

from astrbot.api.event import AstrMessageEvent, filter
from astrbot.api.star import Context, Star, register


@register("{COMMAND}", "astrometer", "Blocks the event loop on command.", "1.0.0")
class Blocker(Star):
    def __init__(self, context: Context):
        super().__init__(context)

    @filter.command("{COMMAND}")
    async def block(self, event: AstrMessageEvent, seconds: int = 5):
        time.sleep(seconds)
        yield event.plain_result("unblocked")
'''
_METADATA = f"""name: {COMMAND}
desc: Blocks the event loop on command.
help: /{COMMAND} SECONDS
version: v1.0.0
author: astrometer
repo: https://example.invalid/{COMMAND}
"""


def install_blocker(data: Path) -> None:
    """Put the plugin where the next start of the server finds it."""
    folder = data / "plugins" / COMMAND
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(_MAIN, encoding="utf-8")
    (folder / "metadata.yaml").write_text(_METADATA, encoding="utf-8")
