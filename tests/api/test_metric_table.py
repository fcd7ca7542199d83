"""The table of metrics against those who measure them: a row that nobody fills is found by name."""

import pytest

from astrometer.api.metric_table import TABLE, Owner
from astrometer.api.timings import Timings
from astrometer.measure.slo.slo_parser import parse_objective
from astrometer.report import glossary

WHOLE = Timings(
    t_intended=0.0, t_send=1.0, scheduled=True, t_headers=1.5, t_event1=2.0, t_run_started=3.0, t_token1=4.0,
    t_text1=5.0, t_tokenN=7.0, t_terminal=8.0, chunk_gaps_s=(1.0, 2.0), server_ttft_s=0.5, output_tokens=3,
    streamed=True,
)  # fmt: skip


OF_CHATS = [row for row in TABLE if row.owner in (Owner.CHAT, Owner.STREAM)]


@pytest.mark.parametrize("metric", OF_CHATS, ids=lambda row: row.name)
def test_a_chat_that_goes_well_has_what_it_owes(metric):
    assert WHOLE.metrics()[metric.name]


@pytest.mark.parametrize("metric", TABLE, ids=lambda row: row.name)
def test_every_metric_can_be_an_objective_and_has_words(metric):
    assert parse_objective(f"{metric.name}_p50 < 1s").metric == metric.name
    assert glossary.metric(metric.name).meaning
