"""A way for an ASGI app to close its connection in mid-reply, as a crashing server or a proxy would.

ASGI has no word for it, so the HTTP protocol of uvicorn hands the app the connection's close in the scope.
"""

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

EXTENSION = "astrometer.close"


class CuttableH11(H11Protocol):
    """uvicorn's HTTP/1.1 protocol; give it to `uvicorn.Config(http=CuttableH11)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app: Any = self.app

        async def app_that_can_cut(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), EXTENSION: transport.close}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = app_that_can_cut


async def cut(scope: Scope, receive: Receive) -> None:
    """Close the connection now (what was sent still arrives) and return when it is gone.

    Raises KeyError under a server that does not run CuttableH11.
    """
    scope["extensions"][EXTENSION]()
    while (await receive())["type"] != "http.disconnect":
        pass
