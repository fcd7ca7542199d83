"""What a record says of an exchange, and what it never says."""

import json

import pytest
from ended_exchanges import call, turn

from astrometer.api.call_exchange import UploadTimes
from astrometer.api.network_stats import NetworkStats
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.im.im_exchange import ImExchange, ImQuestion
from astrometer.im.im_turn import MatchedBy
from astrometer.im.reply_content import ReplyContent
from astrometer.measure.records.exchange_row import COLUMNS, facts_of, texts_of
from astrometer.measure.records.row_text import RowText
from astrometer.measure.tally.exchange_stats import ExchangeSamples


def row(done):
    t_send, scheduled, streamed, names, own = facts_of(done)
    values = ["u", 1, t_send, t_send, t_send if scheduled else None, *own]
    kind = ("mixed", "chat", "SSE", True, done.outcome, streamed)
    return json.loads(RowText({}).line(kind, names, values, ExchangeSamples.of(done)))


def reply():
    exchange = ImExchange(ImQuestion.of_text(7, "secret question"), message_id=3, t=1.0)
    exchange.reply(1.5, 1.4, ReplyContent(text="secret answer"), MatchedBy.OUTSTANDING)
    exchange.expire(6.0)
    return exchange.result()


CHAT = turn(
    text="secret answer", reasoning="secret thought", session_id="s-1", message_id="9", status=200,
    network=NetworkStats(rtt_s=0.001, retransmits=1, out_of_order=0), connect_s=0.002, resent=1,
)  # fmt: skip
UPLOAD = call(upload=UploadTimes(file_bytes=10_000, transfer_s=0.04, accept_s=0.01), detail="secret")


def test_times_have_the_names_of_results_json():
    found = row(CHAT)
    assert (found["ttft_s"], found["e2e_s"], found["outcome"]) == (0.2, 1.2, "ok")
    assert (found["retransmits"], found["network_rtt_s"], found["resent"]) == (1, 0.001, 1)
    assert (found["session_id"], found["message_id"], found["connect_s"]) == ("s-1", "9", 0.002)
    assert "ttft_effective_s" not in found  # closed model: the same
    assert row(UPLOAD)["upload_accept_s"] == 0.01


def test_an_uncertain_time_has_its_bounds_beside_it():
    timings = Timings(
        t_intended=0,
        t_send=0,
        t_token1=0.2,
        t_tokenN=1.2,
        streamed=True,
        output_tokens=9,
        since={"t_token1": 0.15},
    )
    found = row(turn().__class__(outcome=Outcome.OK, timings=timings))
    assert (found["ttft_low_s"], found["ttft_s"]) == (0.15, 0.2)
    assert not {"ttft_high_s", "e2e_low_s"} & found.keys()  # it cannot have been longer
    assert found["tpot_high_s"] > found["tpot_s"]


def test_a_reply_in_a_messenger_is_a_record_too():
    found = row(reply())
    assert (found["reply_first_s"], found["reply_first_low_s"]) == (0.5, pytest.approx(0.4))
    assert (found["closed_by"], found["matched_by"], found["message_id"]) == ("quiet", "outstanding", "3")


def test_an_arrival_that_never_started_has_an_outcome_and_no_time():
    found = row(turn(outcome=Outcome.DROPPED))
    assert found["outcome"] == "dropped"
    assert [name for name in found if name.endswith("_s")] == ["t_send_s"]


@pytest.mark.parametrize("done", [CHAT, UPLOAD, reply()], ids=["chat", "upload", "reply"])
def test_a_record_holds_no_text_and_only_known_names_of_known_kinds(done):
    found = row(done)
    assert "secret" not in str(found)
    assert "secret" in str(texts_of(done))
    wrong = {name for name, value in found.items() if not isinstance(value, COLUMNS[name])}
    assert wrong == set()
