"""What was odd about streams: counted, merged over the wire, and told in `results.json` where it happened."""

import msgpack
import pytest

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.measure.results.document import build
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.tally.tally import Tally


def turn(*, outcome=Outcome.OK, server_ttft_s=0.1, streamed=True, **more):
    timings = Timings(
        t_intended=0.0, t_send=0.0, t_token1=0.2, streamed=streamed, server_ttft_s=server_ttft_s
    )
    return ChatTurn(outcome=outcome, timings=timings, **more)


def tally_of(*turns):
    tally = Tally(stages=[0.0])
    for done in turns:
        tally.started("chat", "chat", 0.0)
        tally.finished("chat", "chat", 0.0, done)
    return tally


TURNS = (
    turn(),
    turn(blank_lead=3),
    turn(server_ttft_s=0.5, pushed=2),
    turn(streamed=False, blank_lead=1, pushed=1),
    turn(outcome=Outcome.RESET, blank_lead=1),
)


def told(tally):
    return build(tally, RunInfo(scenario="chat", url="http://127.0.0.1", start=0.0, duration_s=9.0))


def test_each_sign_is_counted_by_chats_and_has_its_share():
    results = told(tally_of(*TURNS))
    expected = {
        "blank_lead": {"chats": 2, "of": 4, "share": 0.5},
        "impossible_ttft": {"chats": 1, "of": 4, "share": 0.25},
        "pushed": {"chats": 2, "of": 5, "share": 0.4},
    }
    assert results["streams"] == results["scenarios"]["chat"]["streams"] == expected
    assert told(tally_of(turn(), turn()))["streams"] == {}


def test_an_impossible_ttft_stays_as_it_was_measured_and_has_no_overhead():
    total = tally_of(turn(server_ttft_s=0.5)).total()
    assert total.ok["ttft"].max == pytest.approx(0.2, rel=1e-3)
    assert "overhead" not in total.ok


@pytest.mark.parametrize("cut", range(len(TURNS) + 1))
def test_signs_of_two_processes_add_up_over_the_wire(cut):
    merged = Tally()
    for part in (TURNS[:cut], TURNS[cut:]):
        wire = msgpack.packb(tally_of(*part).take().encode())
        merged.merge(Tally.decode(msgpack.unpackb(wire, strict_map_key=False)))
    assert merged.total().streams == tally_of(*TURNS).total().streams
    assert merged.stages[0].streams == merged.total().streams
