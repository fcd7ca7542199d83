"""Options of a run: from the command line, the web form and the environment."""

import argparse
from types import SimpleNamespace

import pytest

from astrometer.load.option_table import OptionError
from astrometer.load.options import SCOPE_VARIABLES, Settings, add_arguments, keys_from


class Parser(argparse.ArgumentParser):
    """Locust's, as far as our arguments go: without its environment variables and its web form."""

    def add_argument(self, *flags, **kwargs):
        ours = {name: value for name, value in kwargs.items() if name not in LOCUSTS_OWN}
        return super().add_argument(*flags, **ours)


LOCUSTS_OWN = ("env_var", "include_in_web_ui", "is_secret", "is_required")


def defaults():
    parser = Parser()
    add_arguments(parser)
    return {**vars(parser.parse_args([])), "host": "http://127.0.0.1:1"}


def options(**changes):
    return SimpleNamespace(**{**defaults(), **changes})


def test_settings_are_read_from_the_command_line_and_from_the_web_form():
    plain = Settings.of(options(slo=["ttft_p95 < 2s", "errors < 1%"]))
    form = Settings.of(options(slo="ttft_p95 < 2s,errors < 1%", first_token_timeout="60", session_turns="3"))
    assert [item.text for item in plain.objectives] == [item.text for item in form.objectives]
    assert form.deadlines.first_token_s == 60.0
    assert plain.stall_threshold_s == 1.0
    assert form.session_turns == 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"slo": "ttft_p95"}, "--slo: objective 'ttft_p95': < or <= is missing"),
        ({"idle_timeout": "soon"}, "--idle-timeout: 'soon' is not a duration"),
        ({"session_turns": "many"}, "--session-turns: "),
        ({"slo": "none,errors < 1%"}, "'none' cannot be combined with an objective"),
        ({"capacity": True, "start": "5", "max": "1", "slo": "errors < 1%"}, "--start 5 must not be above"),
        ({"capacity": True, "start": "5/h/h", "slo": "errors < 1%"}, "--start: '5/h/h' is not a rate"),
        ({"capacity": True}, "needs an objective"),
        ({"capacity": True, "slo": "throughput > 1/s"}, "more load never breaks it"),
        (
            {"capacity": True, "slo": "errors < 1%", "shape": "1:5s"},
            "--shape cannot be combined with --capacity",
        ),
        (
            {"capacity": True, "slo": "errors < 1%", "abort_on_fail": "0s"},
            "--abort-on-fail cannot be combined with --capacity",
        ),
        ({"whole_answer_percent": "110"}, "--whole-answer-percent: 110 is not between 0 and 100"),
        ({"max_in_flight": "0"}, "--max-in-flight: 0 is less than 1"),
    ],
)
def test_a_bad_option_is_named(change, complaint):
    with pytest.raises(OptionError, match=complaint):
        Settings.of(options(**change))


def test_the_key_comes_from_the_environment_or_a_file_and_a_scope_may_have_its_own(tmp_path):
    file = tmp_path / "key"
    file.write_text("abk-file\n")
    from_file = keys_from(options(astrbot_key_file=str(file)), {})
    mixed = keys_from(options(), {"ASTRBOT_API_KEY": "abk-all", SCOPE_VARIABLES["im"]: "abk-im"})
    assert {scope: key.reveal() for scope, key in from_file.items()} == dict.fromkeys(
        SCOPE_VARIABLES, "abk-file"
    )
    assert mixed["im"].reveal() == "abk-im"
    assert mixed["chat"].reveal() == "abk-all"


def test_without_a_key_there_is_none_for_any_scope():
    assert keys_from(options(), {}) == {}
