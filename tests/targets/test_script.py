import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.targets.script import DirectiveError, Fail, ModelScript, script_for

DEFAULTS = ModelScript(ttft_s=0.5, gap_s=0.1, tokens=3)


def test_a_prompt_without_directive_gets_the_defaults():
    assert script_for("tell me [[1, 2], [3, 4]] about [[a wiki page]]", DEFAULTS) is DEFAULTS


def test_only_named_settings_change():
    script = script_for("please [[ttft=0.2 tokens=40]] thanks", DEFAULTS)
    assert script == dataclasses.replace(DEFAULTS, ttft_s=0.2, tokens=40)


def test_the_last_directive_counts_alone():
    script = script_for("[[ttft=9 fail=500]] and [[tokens=1]]", DEFAULTS)
    assert script == dataclasses.replace(DEFAULTS, tokens=1)


@pytest.mark.parametrize("fail", list(Fail))
def test_every_fault_can_be_asked_for(fail):
    assert script_for(f"[[fail={fail}]]", DEFAULTS).fail is fail


def test_only_numbers_are_statuses():
    assert {fail.status for fail in Fail} == {400, 401, 403, 429, 500, 503, None}


def test_all_other_keys():
    script = script_for("[[reasoning=2 drop=1 stall=0 canary=wrong usage=0 say=%E4%BD%A0+good]]", DEFAULTS)
    assert script.reasoning_tokens == 2
    assert (script.drop_after, script.stall_after) == (1, 0)
    assert (script.echo, script.report_usage) == (False, False)
    assert script.say == "你 good"


@pytest.mark.parametrize(
    ("directive", "named"),
    [
        ("tttft=1", "unknown key 'tttft'"),
        ("ttft=1 oops", "unknown key 'oops'"),
        ("ttft=soon", "ttft=soon"),
        ("ttft=nan", "ttft=nan"),
        ("gap=-1", "gap=-1"),
        ("tokens=1.5", "tokens=1.5"),
        ("tokens=100001", "tokens=100001"),
        ("fail=418", "fail=418: one of 400, 401"),
        ("usage=no", "usage=no: 0 or 1"),
        ("canary=0", "canary=0: right, wrong or last"),
    ],
)
def test_a_malformed_directive_is_an_error_that_names_the_key(directive, named):
    with pytest.raises(DirectiveError, match="directive") as caught:
        script_for(f"x [[{directive}]]", DEFAULTS)
    assert named in str(caught.value)


def test_the_last_nonce_of_the_prompt_is_the_first_token():
    assert DEFAULTS.words("am-00000000 then am-deadbeef01!") == ["am-deadbeef01 ", "w1 ", "w2 "]


def test_a_wrong_canary_is_not_echoed():
    assert dataclasses.replace(DEFAULTS, echo=False).words("am-deadbeef01")[0] == "w0 "


def test_an_answer_of_no_tokens_stays_empty():
    assert dataclasses.replace(DEFAULTS, tokens=0).words("am-deadbeef01") == []


@given(st.text())
def test_what_it_is_told_to_say_is_said_exactly(text):
    assert "".join(ModelScript(say=text).words("am-deadbeef01")) == text


def test_tokens_are_due_on_an_absolute_timeline():
    assert [DEFAULTS.due_s(number) for number in range(3)] == pytest.approx([0.5, 0.6, 0.7])


def test_a_model_remembers_the_nonce_of_an_earlier_turn_unless_the_newest_message_has_one():
    script = ModelScript(tokens=2)
    assert script.words("which word?", "remember am-0123456789") == ["am-0123456789 ", "w1 "]
    assert script.words("say am-aaaaaaaaaa", "remember am-0123456789")[0] == "am-aaaaaaaaaa "


def test_canary_last_is_at_the_end_where_a_cut_answer_has_not_got_it():
    script = script_for("[[canary=last tokens=3]]", ModelScript())
    assert script.words("am-0123456789") == ["w0 ", "w1 ", "am-0123456789 "]
