"""A row's line is the JSON of the row."""

import json

import pytest
from record_rows import chats

from astrometer.measure.records.row_text import MOST_SHAPES, RowText


def test_a_line_is_json_with_times_to_the_microsecond():
    text = RowText()
    for row in chats(50):
        again = json.loads(text.line(row))
        assert again.keys() == row.keys()
        assert again == pytest.approx({**row}, abs=1e-6)


@pytest.mark.parametrize("value", ['"', "\\", "\n\x00", "%s %d", "汉字", "🙂", "{}", ""])
def test_any_text_survives(value):
    assert json.loads(RowText().line({"session_id": value, "streamed": True})) == {
        "session_id": value,
        "streamed": True,
    }


def test_shapes_without_end_take_no_memory_without_end():
    text = RowText()
    names = [f"{metric}_s" for metric in ("ttft", "e2e", "tail", "tpot", "overhead", "max_gap", "duration")]
    ids = ["status", "events", "turn", "resent"]
    every = [*names, *ids]
    for mask in range(2 ** len(every)):
        text.line({name: 1 for at, name in enumerate(every) if mask >> at & 1})
    assert len(text._templates) <= MOST_SHAPES
