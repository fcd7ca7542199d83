"""Odd streams in the terminal, the HTML page and the summary: told where there were some, and only there."""

import pytest

SENTENCES = {
    "blank_lead": "7 of 1,400 streams (0.5 %) began with blanks: TTFT ends at the first visible character",
    "impossible_ttft": "7 of 1,400 streams (0.5 %) had their first token sooner than the server says",
    "buffered": "Warning: 7 of 9 streams (77.8 %) were held back between AstrBot and here",
    "pushed": "7 of 1,400 chats (0.5 %) got messages that others pushed into them: those are left out",
}


@pytest.mark.parametrize("sign", SENTENCES)
def test_every_sign_is_told_with_its_share(passed, everywhere, sign):
    of = 9 if sign == "buffered" else 1400
    results = {**passed, "streams": {sign: {"chats": 7, "of": of, "share": 7 / of}}}
    for text in everywhere(results):
        assert SENTENCES[sign] in text
        assert sum(sentence in text for sentence in SENTENCES.values()) == 1


def test_without_a_sign_nothing_is_said(passed, everywhere):
    assert passed["streams"] == {}
    for text in everywhere(passed):
        assert not any(sentence in text for sentence in SENTENCES.values())


def test_a_single_stream_that_was_held_back_is_no_finding(passed, everywhere):
    for text in everywhere({**passed, "streams": {"buffered": {"chats": 7, "of": 1400, "share": 0.005}}}):
        assert "held back" not in text
