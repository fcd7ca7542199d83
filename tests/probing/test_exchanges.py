"""One run's way to its target: deadlines, keys, a record of what was asked."""

import asyncio

import httpx
import pytest

from astrometer.api import endpoints as ep
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.chat.sse import ServerEvent
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.budget import Ledger
from astrometer.probing.exchanges import Exchanges
from astrometer.probing.run_record import Limits
from astrometer.probing.transport.network_backend import Phases
from astrometer.probing.verdict import NotApplicable
from astrometer.wire.receive_stamps import StampClock

TARGET = Target(
    name="t", url="http://t", keys={"k": Key(name="k", secret=Secret("abk_s"), scopes=frozenset({"im"}))}
)


def exchanges(limits: Limits | None = None, **answer: object) -> Exchanges:
    async def pieces():
        yield answer.get("content", b"{}")

    async def respond(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(answer.get("after_s", 0))
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=pieces())

    return Exchanges(TARGET, limits or Limits(), Ledger(), httpx.MockTransport(respond))


def test_a_call_never_outlasts_the_run_and_a_cleanup_gets_its_own_time():
    async def go() -> tuple[str, float]:
        asks = exchanges(Limits(total_s=0.05), after_s=5)
        late = await asks.call(ep.IM_BOTS, asks.key("im"), timeout_s=60)
        asks.extend(7)
        left_s = asks.left_s
        await asks.close()
        return late.outcome.value, left_s

    outcome, left_s = asyncio.run(go())
    assert outcome == "timeout_total"
    assert 6 < left_s <= 7


def test_what_was_asked_is_in_the_record_without_the_key():
    async def go() -> Exchanges:
        asks = exchanges(content=b'{"status": "ok", "data": {"bot_ids": []}}')
        await asks.call(ep.IM_BOTS, asks.key("im"))
        await asks.close()
        return asks

    (line,) = asyncio.run(go()).record.log
    assert line.text.startswith(f"GET {ep.IM_BOTS.path} with key k: 200 ok in ")


def test_a_first_token_that_was_read_late_is_in_the_log_with_its_bounds():
    exchange = ChatExchange(streaming=True, deadlines=Deadlines())
    exchange.sent(10.0)
    exchange.headers(10.1, 200, "text/event-stream")
    words = ServerEvent('{"type":"plain","data":"x","streaming":true}')
    exchange.take(10.5, [words], since=10.2, is_last=False)
    exchange.eof(10.5)
    asks = exchanges()
    asks._note_turn(exchange.result(), Phases(clock=StampClock.KERNEL))
    assert [line.text for line in asks.record.log][-2:] == [
        "  clock: kernel",
        "  the first token came after 0.2000 to 0.5000 s: read late",
    ]


def test_a_scope_without_a_key_is_not_applicable():
    with pytest.raises(NotApplicable, match="no key of target t has the scope chat"):
        exchanges().key("chat")


@pytest.mark.parametrize(("limit_s", "connect_s"), [(100, 10), (1, 0.9)])
def test_to_connect_takes_less_than_what_would_end_the_request(limit_s, connect_s):
    assert exchanges().connect_s(limit_s) == connect_s
