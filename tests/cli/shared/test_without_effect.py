"""An option that would do nothing beside another one, or in this mode, is refused, and both are named."""

import pytest
from click.testing import CliRunner

from astrometer.cli import main
from astrometer.load.option_table import OptionError
from astrometer.load.options import OPTIONS, Settings

LOAD = ("load", "chat", "--host", "http://127.0.0.1:9", "--dry-run")
CAPACITY = ("capacity", "chat", "--host", "http://127.0.0.1:9", "--dry-run", "--slo", "e2e_p95 < 2s")
RELEASE = ("release", "--against", "4.28.2")
ONCE = ("probe", "--once", "--host", "http://127.0.0.1:9")
CLOSED = (
    (*LOAD, "--users", "5"),
    (*LOAD, "--shape", "5:1m"),
    (*CAPACITY, "--start", "5"),
    (*RELEASE, "--users", "5"),
)

REFUSED = [
    ((*ONCE, "--listen", ":9"), "--listen cannot be combined with --once"),
    ((*ONCE, "--allowed-host", "bot.example"), "--allowed-host cannot be combined with --once"),
    ((*ONCE, "--web-config", "web.yml"), "--web-config cannot be combined with --once"),
    ((*ONCE, "--check"), "--once cannot be combined with --check"),
    ((*ONCE, "--test-notify"), "--once cannot be combined with --test-notify"),
    (("probe", "--check", "--test-notify"), "--test-notify cannot be combined with --check"),
    (("probe", "--check", "--deletable"), "--deletable cannot be combined with --check"),
    (("probe", "--check", "--wait", "3s"), "--wait needs --once"),
    (("probe", "--test-notify", "--probe", "chat"), "--probe cannot be combined with --test-notify"),
    (("probe", "--test-notify", "--listen", ":9"), "--listen cannot be combined with --test-notify"),
    ((*LOAD, "--web-port", "99"), "--web-port needs --web"),
    ((*LOAD, "--astrometer-allowed-host", "bot"), "--astrometer-allowed-host needs --web"),
    ((*LOAD, "--deletable"), "--deletable cannot be combined with --dry-run"),
    (
        (*LOAD[:-1], "--deletable", "--run-username", "me"),
        "--run-username cannot be combined with --deletable",
    ),
    ((*LOAD, "--reply-quiet", "1s"), "--reply-quiet needs --messenger"),
    ((*RELEASE, "--reply-quiet", "1s"), "--reply-quiet needs --messenger"),
    ((*LOAD, "--shape", "5:1m", "--users", "3"), "--users cannot be combined with --shape"),
    ((*RELEASE, "--shape", "5:1m", "--block", "20s"), "--block cannot be combined with --shape"),
    ((*RELEASE, "--abort-on-fail", "0s"), "--abort-on-fail needs --slo"),
    ((*RELEASE, "--astrometer-allowed-host", "bot"), "its runs have no web UI"),
    ((*CAPACITY, "--rounds", "3"), "--rounds needs --ways"),
    ((*CAPACITY, "--ways", "sse,ws", "--records", "r.jsonl"), "--records cannot be combined with --ways"),
    (("compare", "a", "b", "--accept-undecided"), "--accept-undecided needs --fail-if"),
    (("sandbox", "--no-model", "--ttft", "1s"), "--ttft cannot be combined with --no-model"),
    (("sandbox", "--no-model", "--model-timeout", "9"), "--model-timeout cannot be combined with --no-model"),
    (("sandbox", "down", "abc", "--all"), "--all cannot be combined with an ID"),
    (("sim", "--im-delay", "1s"), "--im-delay needs --im-sink"),
    (("sim", "--messenger-port", "99"), "--messenger-port needs --messenger"),
    (("sim", "--ack-timeout", "9s"), "--ack-timeout needs --messenger"),
    (
        ("sla", "--month", "2026-10", "--state-dir", ".", "--config", "a"),
        "--config cannot be combined with --state-dir",
    ),
    (
        (*LOAD, "--", "--users", "7"),
        "--users cannot be used behind --: load tells Locust itself (use --users before --)",
    ),
    (
        (*RELEASE, "--", "-t7s"),
        "--run-time cannot be used behind --: release tells Locust itself (use --block",
    ),
    ((*LOAD, "--", "--worker"), "--worker cannot be used behind --"),
]
REFUSED += [
    (
        (*LOAD, "--transport", "messenger", "--messenger", "ws://bot:1/ws", *streamed),
        f"{streamed[0]} cannot be combined with --transport messenger",
    )
    for streamed in (("--whole-answer-percent", "9"), ("--idle-timeout", "9s"), ("--stop-abandoned",))
]
REFUSED += [
    ((*closed, *behind, flag, value), f"{flag} needs a rate")
    for closed in CLOSED
    for behind in ((), ("--",))
    for flag, value in (("--arrivals", "poisson"), ("--arrival-seed", "3"), ("--max-in-flight", "3"))
]


@pytest.mark.parametrize(("words", "complaint"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_would_do_nothing_is_a_usage_error_that_names_both(words, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, words, env={"ASTRBOT_API_KEY": "abk-x"})
    assert (done.exit_code, complaint in " ".join(done.output.split())) == (2, True), done.output


NEEDED = {"slo": ["errors < 1%"], "records": "r.jsonl", "metrics_port": "9646"}
GIVEN = {"abort_after_s": "9s", "records_text": True, "metrics_host": "::1"}


@pytest.mark.parametrize("name", [name for name, entry in OPTIONS.items() if entry.needs])
def test_what_an_option_of_the_run_needs_is_said_for_plain_locust_too(name):
    needed = OPTIONS[name].needs
    assert getattr(Settings.given({name: GIVEN[name], needed: NEEDED[needed]}), name)
    with pytest.raises(OptionError, match=f"{OPTIONS[name].flag} needs {OPTIONS[needed].flag}"):
        Settings.given({name: GIVEN[name]})


def test_what_a_variable_says_for_other_commands_too_is_no_fault(monkeypatch):
    monkeypatch.setenv("ASTROMETER_ARRIVAL_SEED", "7")
    assert CliRunner().invoke(main, (*LOAD, "--users", "5")).exit_code == 0


def test_a_key_file_of_a_target_that_has_its_own_keys_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "astrometer.toml").write_text('[targets.a]\nurl = "http://127.0.0.1:9"\n')
    done = CliRunner().invoke(main, ["doctor", "--astrbot-key-file", "key"])
    assert (done.exit_code, "set keys.NAME.file there" in done.output) == (2, True), done.output
