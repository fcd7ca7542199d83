"""An IM push of the simulator -> its sink, with the delays and faults that the sink was told.

As AstrBot's OneBot adapter does it: the push is answered when the messenger has acknowledged the message.
"""

import asyncio
from time import perf_counter

from astrometer.targets.messenger.sink import FRIEND, GROUP, PLATFORM, Sink

ACK_TIMEOUT_S = 180.0


async def deliver(sink: Sink, message_type: str, session: str, text: str) -> str | None:
    """Returns what AstrBot says went wrong, None when the message was acknowledged."""
    kind = GROUP if message_type == GROUP else FRIEND
    identity = session.rsplit("_", 1)[-1] if kind == GROUP else session
    if not identity.isdigit():
        return f"无法发送消息：缺少有效的数字 session_id({identity}) 或 event(None)"
    sink.action()
    await asyncio.sleep(sink.faults.delivery_delay_s)
    if not sink.arrived(perf_counter(), f"{PLATFORM}:{kind}:{int(identity)}", text):
        await asyncio.sleep(ACK_TIMEOUT_S)
        return "Failed to send message: WebSocket API call timeout"
    await asyncio.sleep(sink.faults.delay_ack_s)
    return None
