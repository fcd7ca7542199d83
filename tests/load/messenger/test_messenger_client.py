"""Who asks in a messenger waits for what became of it, whatever else the process does meanwhile."""

import ssl
from contextlib import contextmanager

import gevent

import pytest
from deaf_peer import LONG, deaf_peer
from tls_files import Authority

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImQuestion
from astrometer.im.link.reconnect import ReconnectLimits
from astrometer.im.messenger_session import MessengerSession
from astrometer.load.messenger.messenger_client import MessengerClient
from astrometer.wire.tls import TlsSettings

SOON = ImDeadlines(reply_s=20.0, quiet_s=0.1, quoted_quiet_s=0.1)


@pytest.fixture(params=["plain", "tls"])
def secured(request, tmp_path):
    """What the peer and the client are told of TLS."""
    if request.param == "plain":
        return {}, {}
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    return {"tls": context}, {"tls": TlsSettings(ca_file=authority.file)}


@contextmanager
def linked(peer, *, handshake_s=10.0, **options):
    limits = ReconnectLimits(handshake_s=handshake_s, settle_s=60.0, longest_s=60.0)
    session = MessengerSession(peer.address, first_message_id=1, deadlines=SOON, reconnect=limits)
    client = MessengerClient(session, **options)
    try:
        with gevent.Timeout(20):
            client.link_up()
            yield client
    finally:
        peer.hears()
        client.close()


def asking(client, user_id, text="hi"):
    """Who asks, and the question: as much of it has gone out as the system takes."""
    exchange = client.begin(ImQuestion.of_text(user_id, text))
    asker = gevent.spawn(client.wait_for, exchange)
    gevent.sleep(0)
    return asker, exchange


def test_a_reply_that_was_read_before_anybody_waited_for_it_is_not_missed():
    with deaf_peer() as peer, linked(peer) as client:
        peer.hears()
        exchange = client.begin(ImQuestion.of_text(5001, "hi"))
        other, _ = asking(client, 5002)  # writes both
        other.get()
        while not exchange.done:
            gevent.sleep(0.01)
        client.wait_for(exchange)
        assert exchange.result().outcome is Outcome.OK


def test_a_user_who_is_stopped_while_writing_cuts_nobody_elses_frames(secured):
    theirs, ours = secured
    with deaf_peer(**theirs) as peer, linked(peer, **ours) as client:
        stopped, cut = asking(client, 5001, LONG)
        other, question = asking(client, 5002)
        stopped.kill()
        peer.hears()
        other.get()
        assert question.result().outcome is Outcome.OK
        assert cut.result().outcome is Outcome.CUTOFF
        assert [event["user_id"] for event in peer.peer.events] == [5001, 5002]


def test_what_was_half_written_goes_on_although_nobody_writes_after_it(secured):
    theirs, ours = secured
    with deaf_peer(**theirs) as peer, linked(peer, **ours) as client:
        stopped, _ = asking(client, 5001, LONG)
        stopped.kill()
        peer.hears()
        while not peer.peer.events:
            gevent.sleep(0.01)
        assert client.session.is_open


def test_a_peer_that_takes_nothing_is_lost_with_all_who_wait(secured):
    theirs, ours = secured
    with deaf_peer(**theirs) as peer, linked(peer, send_limit_s=0.3, **ours) as client:
        askers = [asking(client, 5001, LONG), asking(client, 5002)]
        for asker, question in askers:
            asker.get()
            turn = question.result()
            assert turn.outcome is Outcome.LOST_LINK
            assert "took nothing of what was sent for 0.3 s" in turn.detail
        while client._link is not None:
            gevent.sleep(0.01)
        assert client.session.links_lost == 1


def test_a_peer_that_accepts_and_says_nothing_ends_the_wait_for_the_link():
    with deaf_peer(accepts=False) as peer, linked(peer, handshake_s=0.3) as client:
        assert client.session.end.outcome is Outcome.TIMEOUT_CONNECT
        assert client._link is None
        _, exchange = asking(client, 5001)
        assert exchange.result().outcome is Outcome.LOST_LINK


def test_a_peer_that_reads_again_in_time_keeps_its_link():
    limit_s = 1.0
    with deaf_peer() as peer, linked(peer, send_limit_s=limit_s) as client:
        asker, question = asking(client, 5001, LONG)
        peer.hears()
        asker.get()
        assert question.result().outcome is Outcome.OK
        gevent.sleep(limit_s)  # since it was last found full
        assert client.session.is_open
