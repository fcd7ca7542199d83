"""Where the exporter listens."""

import socket

import pytest
from click import UsageError

from astrometer.cli.probe import _listen
from astrometer.probing.exporter.serve import listen


@pytest.mark.parametrize("address", ["", "::"])
def test_all_addresses_are_those_of_ipv4_and_ipv6(address):
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no dual stack")
    with listen(address, 0) as listener:
        port = listener.getsockname()[1]
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as client:
                client.settimeout(5)
                client.connect((host, port))


def test_one_address_is_no_other():
    with listen("127.0.0.1", 0) as listener, socket.socket(socket.AF_INET6) as client:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert client.connect_ex(("::1", listener.getsockname()[1])) != 0


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (":16185", ("", 16185)),
        ("[::]:0", ("::", 0)),
        ("[::1]:80", ("::1", 80)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("probe.example:9", ("probe.example", 9)),
    ],
)
def test_addresses_as_prometheus_writes_them(text, where):
    assert _listen(text) == where


@pytest.mark.parametrize(
    "text", ["16185", "::1:16185", "a:", "a:65536", "a:\u0661", "a:" + "9" * 5000, ":-1"]
)
def test_what_is_no_address_is_refused_before_anything_starts(text):
    with pytest.raises(UsageError):
        _listen(text)
