"""A connected TCP socket -> what the kernel knows of its network: round trip, retransmissions (TCP_INFO).

What a client cannot know: how many segments the server sent again (`out_of_order` is the sign of most of
them), and for how long this side's receive window held the server back. The kernel counts both at the sender.
"""

import socket
import struct
import sys
from typing import Any, NamedTuple

_ROOM = 256  # the newest kernel's struct; an older one returns less
# Offsets in `struct tcp_info` of linux/tcp.h, which only ever grows at its end.
_TOTAL_RETRANS, _MIN_RTT, _DATA_SEGMENTS, _OUT_OF_ORDER = 100, 148, 152, 224
_WHOLE_BYTES = _OUT_OF_ORDER + 4
_u32 = struct.Struct("=I")
_whole = struct.Struct(f"={_TOTAL_RETRANS}xI{_MIN_RTT - 104}xI{_OUT_OF_ORDER - 152}xI")
_UNKNOWN = 0xFFFFFFFF  # of the minimum, before there was one


class TcpInfo(NamedTuple):
    """Of one connection since it began. None: this kernel does not tell, or has not measured yet."""

    # The smallest round trip of the last five minutes, which is the network's. The handshake is one. The
    # kernel's mean is not: a server may delay its acknowledgement until it answers, by 40 ms at most.
    min_rtt_s: float | None
    retransmits: int | None  # segments that this side sent again, SYN included
    # Segments that came after a gap: the one before was lost on its way here, or overtaken.
    out_of_order: int | None


def tcp_info(sock: Any) -> TcpInfo | None:
    """What the kernel says of `sock`; None where it says nothing (not Linux, not TCP, closed)."""
    if not sys.platform.startswith("linux"):
        return None  # BSD has the name for a struct of its own
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROOM)
    except OSError:
        return None
    return parsed(data)


def data_segments(sock: Any) -> int | None:
    """How many segments with data have come in on `sock`; None where the kernel does not count them."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        data = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGMENTS + _u32.size)
    except OSError:
        return None
    whole = len(data) == _DATA_SEGMENTS + _u32.size
    return int(_u32.unpack_from(data, _DATA_SEGMENTS)[0]) if whole else None


def parsed(data: bytes) -> TcpInfo:
    """`struct tcp_info`, which ends early on old kernels."""
    if len(data) >= _WHOLE_BYTES:
        retransmits, min_rtt, out_of_order = _whole.unpack_from(data)
    else:
        retransmits, min_rtt, out_of_order = (
            _u32.unpack_from(data, at)[0] if len(data) >= at + _u32.size else None
            for at in (_TOTAL_RETRANS, _MIN_RTT, _OUT_OF_ORDER)
        )
    return TcpInfo(
        min_rtt_s=None if min_rtt == _UNKNOWN else _seconds(min_rtt),
        retransmits=retransmits,
        out_of_order=out_of_order,
    )


def _seconds(us: int | None) -> float | None:
    """0 means not measured: the kernel's shortest is a microsecond."""
    return us * 1e-6 if us else None
