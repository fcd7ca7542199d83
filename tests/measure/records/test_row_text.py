"""A row's line is JSON of what is known of the exchange."""

import json

import pytest
from ended_exchanges import turn

from astrometer.api.metric_table import METRICS
from astrometer.api.timings import Bounds
from astrometer.measure.records.exchange_row import facts_of
from astrometer.measure.records.row_text import MOST_TEMPLATES, RowText, _times
from astrometer.measure.tally.exchange_stats import ExchangeSamples

NOTHING = ExchangeSamples({}, {})


def line_of(text, samples=NOTHING, *, user="u", scenario="chat", intended_s=None, **known):
    _, _, streamed, names, own = facts_of(turn(**known))
    kind = (scenario, "chat", "SSE", True, "ok", streamed)
    return json.loads(text.line(kind, names, [user, 3, 1e9 + 0.5, 0.5, intended_s, *own], samples))


def test_a_line_says_what_is_known_with_times_to_the_microsecond():
    row = line_of(RowText({"run": "abcdef", "process": 0}), status=200, connect_s=0.0000014)
    assert row == {
        "run": "abcdef", "process": 0, "scenario": "chat", "operation": "chat", "way": "SSE",
        "measured": True, "outcome": "ok", "streamed": True, "user": "u", "turn": 3, "at": 1000000000.5,
        "t_send_s": 0.5, "connect_s": 0.000001, "status": 200, "bytes_received": 0, "answer_chars": 0,
        "events": 0,
    }  # fmt: skip


def test_a_template_is_taken_only_where_the_same_is_known():
    text = RowText({})
    first, second = line_of(text, status=200), line_of(text, resent=1)
    assert ("status" in first, "resent" in first) == (True, False)
    assert ("status" in second, second["resent"]) == (False, 1)
    for told, low, high in ((0.3, 0.2, 0.3), (0.4, 0.4, 0.5)):
        row = line_of(text, ExchangeSamples({"ttft": (told,)}, {"ttft": (Bounds(told, low, high),)}))
        bounds = {"ttft_low_s": low} if low < told else {"ttft_high_s": high}
        assert {name: row[name] for name in row if name.startswith("ttft")} == {"ttft_s": told, **bounds}


def test_effective_times_are_those_of_an_open_model():
    samples = ExchangeSamples({"e2e": (1.0,), "e2e_effective": (1.5,)}, {})
    assert "e2e_effective_s" not in line_of(RowText({}), samples)
    assert line_of(RowText({}), samples, intended_s=0.1)["e2e_effective_s"] == 1.5


@pytest.mark.parametrize("value", ['"', "\\", "\n\x00", "%s %d", "汉字", "🙂", "{}", ""])
def test_any_text_survives(value):
    row = line_of(RowText({"version": value}), user=value, scenario=value, session_id=value)
    assert [row[name] for name in ("version", "user", "scenario", "session_id")] == [value] * 4


def test_shapes_without_end_take_no_memory_without_end():
    text = RowText({})
    for number in range(2**11):
        known = [metric for at, metric in enumerate(METRICS[:11]) if number >> at & 1]
        line_of(text, ExchangeSamples(dict.fromkeys(known, (1.0,)), {}))
    assert _times.cache_info().currsize <= MOST_TEMPLATES
