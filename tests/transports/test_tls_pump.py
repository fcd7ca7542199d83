"""Ciphertext in any pieces -> the same plain bytes, and whether the last byte was that of a record."""

import ssl
from contextlib import suppress

import pytest
from tls_files import Authority

from astrometer.wire.tls_pump import TlsPump


@pytest.fixture(scope="module", params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def contexts(request, tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("pump"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue("server"))
    server.maximum_version = request.param
    client = ssl.create_default_context(cafile=str(authority.file))
    return client, server


class Server:
    """The other side, in memory."""

    def __init__(self, context):
        self.heard, self.said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.heard, self.said, server_side=True)

    def step(self, ciphertext):
        self.heard.write(ciphertext)
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.said.read()

    def goodbye(self):
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.said.read()


def no_answer(_ciphertext):
    raise AssertionError("nothing is to be sent")


@pytest.mark.parametrize("step", [1, 3, 5, 7, 100, 5000])
def test_any_pieces_give_the_same_and_only_a_record_s_end_is_whole(contexts, step):
    client, server = TlsPump(contexts[0], "127.0.0.1"), Server(contexts[1])
    while not client.handshake():
        if answer := server.step(client.take()):
            for at in range(0, len(answer), step):
                client.feed(answer[at : at + step])
    if tickets := server.step(client.take()):
        assert client.receive(tickets, no_answer) == b""
    assert not client.is_whole  # nothing of what came was data
    ends, ciphertext = set(), b""
    for size in (1, 300, 20_000):  # the last one is two records
        server.tls.write(b"x" * size)
        ciphertext += server.said.read()
        ends.add(len(ciphertext))
    told, plain, at = set(), b"", 0
    while at < len(ciphertext):
        plain += client.receive(ciphertext[at : at + step], no_answer)
        at = min(at + step, len(ciphertext))
        if client.is_whole:
            told.add(at)
    assert plain == b"x" * 20_301
    assert len(ciphertext) in told
    assert all(at in ends or at > 16_384 for at in told)
    server.tls.write(b"the last word")
    assert client.receive(server.said.read() + server.goodbye(), no_answer) == b"the last word"
    assert client.is_over
    assert not client.is_whole
    assert client.end() == b""


def shaken(contexts):
    client, server = TlsPump(contexts[0], "127.0.0.1"), Server(contexts[1])
    while not client.handshake():
        if answer := server.step(client.take()):
            client.feed(answer)
    if tickets := server.step(client.take()):
        client.receive(tickets, no_answer)
    return client, server


def record(server, plain):
    server.tls.write(plain)
    return server.said.read()


BROKEN = b"\x17\x03\x03\x00\x20" + bytes(32)


def test_what_was_decrypted_comes_before_the_error_of_what_came_with_it(contexts):
    client, server = shaken(contexts)
    said = bytearray()

    def send(ciphertext):
        said.extend(ciphertext)
        return len(ciphertext)

    assert client.receive(record(server, b"one") + BROKEN, send) == b"one"
    assert not client.is_whole
    assert said  # an alert
    for _ in range(2):
        assert client.is_over
        with pytest.raises(ssl.SSLError, match=r"(?i)bad record mac"):
            client.end()


def test_a_write_that_fails_loses_nothing_of_what_is_still_to_be_read(contexts):
    client, server = shaken(contexts)
    client.write(b"a question")

    def broken(_ciphertext):
        raise BrokenPipeError

    assert client.receive(record(server, b"one"), broken) == b"one"
    assert client.receive(record(server, b"two"), broken) == b"two"
    with pytest.raises(BrokenPipeError):
        client.receive(b"", broken)
    with pytest.raises(BrokenPipeError):
        client.end()


def test_what_the_system_does_not_take_stays_the_next_to_go(contexts):
    client, server = shaken(contexts)
    room, said = [3], bytearray()

    def send(ciphertext):
        if not room[0]:
            raise BlockingIOError
        count = min(room[0], len(ciphertext))
        room[0] -= count
        said.extend(ciphertext[:count])
        return count

    client.write(b"a question")
    assert not client.flush(send)
    room[0] = 10_000
    client.write(b", and its rest")
    assert client.flush(send)
    server.heard.write(said)
    assert server.tls.read(100) + server.tls.read(100) == b"a question, and its rest"
