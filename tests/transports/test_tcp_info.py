"""What the kernel says of a connection: real sockets, and the struct of old kernels."""

import socket
import struct
import sys

import pytest

from astrometer.wire.tcp_info import TcpInfo, parsed, tcp_info

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")


def struct_of(**at):
    """`struct tcp_info` of kernel 5.4 and later, with numbers at `at`'s offsets (`_68`)."""
    data = bytearray(232)
    for offset, value in at.items():
        struct.pack_into("=I", data, int(offset[1:]), value)
    return bytes(data)


FULL = struct_of(_100=3, _148=20_010, _224=7)


def test_every_field_has_its_place():
    assert parsed(FULL) == TcpInfo(
        min_rtt_s=pytest.approx(0.020_010),
        retransmits=3,
        out_of_order=7,
    )


def test_a_newer_kernel_appends():
    assert parsed(FULL + b"\xff" * 24) == parsed(FULL)


@pytest.mark.parametrize(
    ("length", "known"),
    [
        (228, {"min_rtt_s", "retransmits", "out_of_order"}),
        (227, {"min_rtt_s", "retransmits"}),
        (152, {"min_rtt_s", "retransmits"}),
        (104, {"retransmits"}),
        (103, set()),
        (0, set()),
    ],
)
def test_an_older_kernel_tells_less_and_nothing_is_made_up(length, known):
    short, full = parsed(FULL[:length]), parsed(FULL)
    for name in TcpInfo._fields:
        assert getattr(short, name) == (getattr(full, name) if name in known else None), name


def test_what_was_not_measured_yet_is_none_not_zero():
    fresh = parsed(struct_of(_148=0xFFFFFFFF))
    assert fresh.min_rtt_s is None
    assert (fresh.retransmits, fresh.out_of_order) == (0, 0)


@on_linux
def test_a_connection_on_this_machine_has_a_short_round_trip_and_no_loss():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname(), timeout=5)
        far, _ = server.accept()
        with near, far:
            far.settimeout(5)
            near.send(b"question")
            far.recv(100)
            info = tcp_info(near)
    assert info is not None
    assert 0 < info.min_rtt_s < 0.05
    assert info.retransmits == 0


def test_a_closed_socket_and_one_that_is_not_tcp_tell_nothing():
    near, far = socket.socketpair()
    with near, far:
        assert tcp_info(near) is None
    assert tcp_info(near) is None
