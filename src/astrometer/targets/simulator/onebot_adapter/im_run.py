"""A model's answer as the messenger gets it: whole texts, or deltas of a stream. No sockets."""

import asyncio
from typing import Any

from astrometer.targets.simulator.version_traits import Wire


class ImRun:
    """One question's answer. Reasoning is never shown in a messenger."""

    shows_reasoning = False

    def __init__(self, wire: Wire, umo: str, username: str, *, streaming: bool = False) -> None:
        self.wire = wire
        self.session_id = umo
        self.username = username
        self.streaming = streaming
        self.stopping = False
        self.texts: list[str] = []
        self.deltas: asyncio.Queue[str | None] = asyncio.Queue()

    @property
    def umo(self) -> str:
        return self.session_id

    def text(self, text: str) -> None:
        self.deltas.put_nowait(text)

    def reasoning(self, text: str) -> None:
        """Thrown away."""

    def whole(self, text: str) -> None:
        self.texts.append(text)

    def stats(self, data: dict[str, Any]) -> None:
        """Written into AstrBot's database; nobody in the messenger sees them."""

    def complete(self) -> None:
        """The end of a stream comes from whoever asked the model."""
