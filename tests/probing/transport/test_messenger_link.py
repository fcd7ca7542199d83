"""What a probe began to write to the messenger goes on; a peer that takes nothing is lost."""

import asyncio

from deaf_peer import LONG, deaf_peer

from astrometer.api.outcome import Outcome
from astrometer.im.im_exchange import ImDeadlines, ImQuestion
from astrometer.probing.transport.messenger_link import MessengerLink

SOON = ImDeadlines(reply_s=10.0, quiet_s=0.1, quoted_quiet_s=0.1)


async def cancelled(link, peer):
    """Somebody's question of which a part went out, and the next one's."""
    first = asyncio.create_task(link.ask(ImQuestion.of_text(5001, LONG), SOON))
    await asyncio.sleep(0)  # until it waits for room
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    peer.hears()
    return await link.ask(ImQuestion.of_text(5002, "hi"), SOON)


def test_a_question_that_was_cancelled_while_it_was_written_does_not_spoil_the_next():
    with deaf_peer() as peer:

        async def go():
            link = MessengerLink(peer.address)
            await link.open(5.0)
            try:
                return await cancelled(link, peer)
            finally:
                await link.aclose()

        turn = asyncio.run(go())
        assert turn.outcome is Outcome.OK
        assert [event["user_id"] for event in peer.peer.events] == [5001, 5002]


def test_a_peer_that_takes_nothing_ends_the_link_and_its_question():
    with deaf_peer() as peer:

        async def go():
            link = MessengerLink(peer.address, send_limit_s=0.3)
            await link.open(5.0)
            try:
                return await link.ask(ImQuestion.of_text(5001, LONG), SOON), link.session.end
            finally:
                await link.aclose()

        turn, end = asyncio.run(go())
        assert turn.outcome is end.outcome is Outcome.LOST_LINK
        assert "took nothing of what was sent for 0.3 s" in turn.detail
