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


@pytest.mark.parametrize("step", [1, 3, 5, 7, 100, 5000])
def test_any_pieces_give_the_same_and_only_a_record_s_end_is_whole(contexts, step):
    client, server = TlsPump(contexts[0], "127.0.0.1"), Server(contexts[1])
    while not client.handshake():
        if answer := server.step(client.take()):
            for at in range(0, len(answer), step):
                client.feed(answer[at : at + step])
    if tickets := server.step(client.take()):
        client.feed(tickets)
        assert client.read() == b""
    assert client.is_whole
    ends, ciphertext = set(), b""
    for size in (1, 300, 20_000):  # the last one is two records
        server.tls.write(b"x" * size)
        ciphertext += server.said.read()
        ends.add(len(ciphertext))
    told, plain, at = set(), b"", 0
    while at < len(ciphertext):
        client.feed(ciphertext[at : at + step])
        at = min(at + step, len(ciphertext))
        plain += client.read()
        if client.is_whole:
            told.add(at)
    assert plain == b"x" * 20_301
    assert len(ciphertext) in told
    assert all(at in ends or at > 16_384 for at in told)
    client.feed(server.goodbye())
    assert client.read() == b""
    assert not client.is_whole
