"""Which Host and Origin may speak to a page of ours."""

import pytest

from astrometer.same_origin import refusal


def is_refused(host, origin=None, *, listens_on="127.0.0.1", allowed=()):
    return refusal(host=host, origin=origin, listens_on=listens_on, allowed_hosts=allowed) is not None


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8089", "localhost:8089", "LOCALHOST", "localhost.", "[::1]:8089", "0.0.0.0:8089"]
)
def test_the_loopback_is_called_by_any_of_its_names(host):
    assert not is_refused(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8089", "127.0.0.1.nip.io:8089", "localhost.evil.example", "", None,
        "127.0.0.1@evil.example", "evil.example/127.0.0.1", "127.0.0.1, evil.example", "127.0.0.1:x",
        "192.168.1.5:8089", "2130706433", "[::1", "127.0.0.1:8089:1",
    ],
)  # fmt: skip
def test_a_name_that_was_rebound_to_the_loopback_is_refused(host):
    assert is_refused(host)


def test_who_listens_everywhere_is_called_by_address_or_by_an_allowed_name():
    assert not is_refused("192.168.1.5:8089", listens_on="0.0.0.0")
    assert not is_refused("[2001:db8::1]:8089", listens_on="")
    assert is_refused("load.example:8089", listens_on="0.0.0.0")
    assert not is_refused("load.example:8089", listens_on="0.0.0.0", allowed=["Load.Example"])


def test_who_listens_on_one_address_or_name_is_called_by_that():
    assert not is_refused("192.168.1.5:8089", listens_on="192.168.1.5")
    assert is_refused("192.168.1.6:8089", listens_on="192.168.1.5")
    assert is_refused("localhost:8089", listens_on="192.168.1.5")
    assert not is_refused("load.example", listens_on="load.example")
    assert not is_refused("[2001:DB8:0::1]:8089", listens_on="2001:db8::1")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8089", "http://127.0.0.1:8089"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost:443"),
        ("[::1]:8089", "http://[::1]:8089"),
    ],
)
def test_a_page_of_our_own_may_ask(host, origin):
    assert not is_refused(host, origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:3000", "http://localhost:8089",
        "file://", "http://127.0.0.1:8089@evil.example", "chrome-extension://abc", "http://127.0.0.1:8089.evil.example",
        "http://[::1", "ftp://127.0.0.1:8089",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_may_not(origin):
    assert is_refused("127.0.0.1:8089", origin)


def test_behind_a_proxy_the_public_name_is_allowed_by_hand():
    assert not is_refused("127.0.0.1:8089", "https://load.example", allowed=["load.example"])
    assert is_refused("127.0.0.1:8089", "https://other.example", allowed=["load.example"])


def test_the_sentence_names_the_cure_and_cannot_carry_control_characters():
    said = refusal(
        host="evil\x1b[31m\n.example" * 50,
        origin=None,
        listens_on="127.0.0.1",
        option="--astrometer-allowed-host",
    )
    assert "--astrometer-allowed-host NAME" in said
    assert said.isprintable()
    assert len(said) < 500
