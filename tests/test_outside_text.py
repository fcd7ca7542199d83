"""Text from outside is valid Unicode, and what is shown of it changes nothing around it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.outside_text import MAX_JSON_DEPTH, read_json, shown, valid


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("a\x9b31mb", r"a\x9b31mb"),
        ("one\r\ntwo\u2028three\x85four", "one two three four"),
        ("abc\u202edcba", r"abc\u202edcba"),
        ("\u2066x\u2069\u200e", r"\u2066x\u2069\u200e"),
        ("half \ud800", r"half \ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("[red]中文[/] 👩‍👩‍👧 é", "[red]中文[/] 👩‍👩‍👧 é"),
        ("x" * 300, "x" * 199 + "…"),
        ("  a\n", "  a "),
    ],
)
def test_what_is_shown_is_one_line_without_control_characters(text, line):
    assert shown(text) == line


@given(st.text(st.characters(), max_size=400), st.integers(1, 300))
def test_whatever_it_is_the_line_is_bounded_and_can_be_encoded(text, limit):
    line = shown(text, limit)
    assert len(line) <= limit
    line.encode()
    assert not [char for char in line if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}]


@given(st.text(st.characters()))
def test_valid_changes_nothing_but_half_pairs(text):
    assert len(valid(text)) == len(text)
    valid(text).encode()
    assert all(new in (old, "\ufffd") for old, new in zip(text, valid(text), strict=True))


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (r'{"a": ["\ud800"]}', {"a": ["\ufffd"]}),
        (r'{"\uDFFF": 1}', {"\ufffd": 1}),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\\ud800"', r"\ud800"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        (b"\xef\xbb\xbf [1] ", [1]),
        ("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH, None),
    ],
)
def test_json_from_outside_is_valid_unicode(raw, value):
    assert value is None or read_json(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        "[" * 1_000_000,
        "[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1),
        '{"a":' * 900 + "1" + "}" * 900,
        "1" * 5000,
        '{"a": 1} x',
        b"\xff\xfe[\x00]\x00",
        "",
    ],
)
def test_json_that_is_none_or_too_deep_or_too_long_a_number_is_a_value_error(raw):
    with pytest.raises(ValueError):
        read_json(raw)
