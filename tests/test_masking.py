"""No part of a key survives, wherever a text was cut."""

from hypothesis import given
from hypothesis import strategies as st

from astrometer.masking import LEAST_SHOWN, mask

SECRET = "abk_9f8e7d6c5b4a39281706f5e4d3c2b1a0"


def test_plain_and_percent_encoded_keys_are_masked():
    assert mask("key abk+/= and abk%2B%2F%3D here", ["abk+/="]) == "key *** and *** here"


@given(before=st.text(), after=st.text(), cut=st.integers(min_value=0))
def test_a_cut_text_shows_at_most_the_beginning_of_a_key(before, after, cut):
    text = before + SECRET + after
    shown = mask(text[: cut % (len(text) + 1)] + "…", [SECRET])
    assert SECRET[: LEAST_SHOWN + 1] not in shown


def test_other_text_is_left_alone():
    assert mask("LLM 响应错误: nothing secret…", [SECRET]) == "LLM 响应错误: nothing secret…"
