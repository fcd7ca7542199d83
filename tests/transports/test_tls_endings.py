"""However a TLS connection ends: what was decrypted before is not lost, and the end has its reason."""

import socket
import struct
import threading
import time
from contextlib import suppress

import pytest
from scripted_wire import CHUNKED, HEAD, LAST_CHUNK, OPENING, TOKEN, WHOLE, chunk
from tls_files import Authority
from tls_stage import encrypted, tls_stage

from astrometer.api.outcome import Outcome
from astrometer.wire.tls import TlsSettings

BROKEN_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("endings"))


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def chat(asked, url, authority, **deadlines):
    return asked.chat(url, tls=TlsSettings(ca_file=authority.file), **deadlines)


def test_an_event_before_a_broken_record_and_a_reset(asked, authority):
    """What OpenSSL says to the broken record cannot be sent any more."""

    def play(pump, sock):
        sock.sendall(encrypted(pump, CHUNKED + chunk(OPENING + TOKEN)) + BROKEN_RECORD)
        reset(sock)

    with tls_stage(authority, play) as url:
        turn = chat(asked, url, authority)
    assert (turn.outcome, turn.text) == (Outcome.RESET, "word ")
    assert turn.timings.ttft_s is not None


def test_an_event_before_a_broken_record_of_a_server_that_says_no_more(asked, authority):
    """The broken record ends the connection at once, not at a deadline."""
    over = threading.Event()

    def play(pump, sock):
        sock.sendall(encrypted(pump, CHUNKED + chunk(OPENING + TOKEN)) + BROKEN_RECORD)
        over.wait(10)

    with tls_stage(authority, play) as url:
        began = time.perf_counter()
        turn = chat(asked, url, authority, idle_s=4.0)
        took_s = time.perf_counter() - began
        over.set()
    assert (turn.outcome, turn.text) == (Outcome.RESET, "word ")
    assert took_s < 3.0


def test_an_event_before_an_alert_keeps_both(asked, authority):
    def play(pump, sock):
        ciphertext = encrypted(pump, CHUNKED + chunk(OPENING + TOKEN))
        pump.feed(BROKEN_RECORD)
        with suppress(OSError):
            pump.read()
        sock.sendall(ciphertext + pump.take())  # a fatal alert

    with tls_stage(authority, play) as url:
        turn = chat(asked, url, authority)
    assert (turn.outcome, turn.text) == (Outcome.TLS, "word ")


def test_the_end_that_tls_announces_is_one_although_the_connection_stays_open(asked, authority):
    over = threading.Event()

    def play(pump, sock):
        pump.write(HEAD + b"Connection: close\r\n\r\n" + WHOLE)
        pump.close()
        sock.sendall(pump.take())
        over.wait(10)

    with tls_stage(authority, play) as url:
        turn = chat(asked, url, authority, idle_s=3.0)
        over.set()
    assert turn.outcome is Outcome.OK
    assert turn.timings.t_close - turn.timings.t_terminal < 1.0


def test_a_reset_after_the_announced_end_spoils_nothing(asked, authority):
    def play(pump, sock):
        pump.write(CHUNKED + chunk(WHOLE) + LAST_CHUNK)
        pump.close()
        sock.sendall(pump.take())
        reset(sock)

    with tls_stage(authority, play) as url:
        turn = chat(asked, url, authority)
    assert turn.outcome is Outcome.OK
