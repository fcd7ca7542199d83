"""A server that tells everybody its version (4.26 on) -> that version: no key, no token, no trace."""

from astrometer.api.server_versions import QUESTIONS, ServerVersions, versions_told
from astrometer.probing.exchanges import Exchanges

TIMEOUT_S = 5.0  # it takes milliseconds


async def ask_without_key(asks: Exchanges) -> ServerVersions | None:
    """None: it does not say."""
    for endpoint in QUESTIONS:
        answer = await asks.call(endpoint, None, timeout_s=min(TIMEOUT_S, asks.left_s / 3))
        told = versions_told(answer)
        if told is not None or answer.status is None:
            return told
    return None
