"""Every option of a run: declared once, taken by every command in the same place, passed on to Locust."""

from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from astrometer.cli import COMMANDS, main
from astrometer.cli.shared.locust_run import OF_OPEN_MODEL
from astrometer.cli.shared.run_options import given_of_run
from astrometer.load.option_table import COMMANDS as RUN_COMMANDS
from astrometer.load.options import OPTIONS, Settings, add_arguments, arguments, take_ours

DOCS = Path(__file__).parents[3] / "docs"
# A value for each, other than its default.
VALUES = {
    "prompts": "mine.jsonl", "workload_file": "w.toml", "prompt_suffix": "[[ttft=1]]", "session_turns": "3",
    "whole_answer_percent": "25",
    "connect_timeout_s": "1s", "first_token_timeout_s": "2s", "idle_timeout_s": "3s", "total_timeout_s": "1m",
    "transport": "ws", "call_timeout_s": "5s", "stop_abandoned": True,
     "slo": ["ttft_p95 < 2s", "errors < 1%"],
    "abort_after_s": "9s", "budget_tokens": "500", "warmup": "2s", "stall_threshold_s": "700ms",
    "drift_ok": True,
    "shape": "10:1m,20:1m", "rate_unit": "0.5", "arrivals": "constant", "arrival_seed": "7",
    "max_in_flight": "9", "searches": True, "model": "open", "start": "2/s", "maximum": "9/s",
    "step_s": "10s",
    "settle_s": "1s", "precision": "10%", "repeats": "5", "model_status": "http://model/metrics",
    "messenger": "ws://bot:1/ws", "reply_quiet_s": "1s", "umos": "a:b:c,d:e:f", "im_sink": "http://sink",
    "user_prefix": "team", "username": "api_key:x", "key_file": "key", "out": "o", "journal": "j",
    "records": "r.jsonl.gz", "records_text": True,
    "progress": True, "check": True, "metrics_port": "9646", "metrics_host": "::1", "version": "4.29.3",
    "ca_file": "ca.pem", "client_cert": "me.pem", "client_key": "me.key", "insecure_skip_verify": True,
    "kind": "astrbot", "server_pid": "4711", "allowed_hosts": "bot.example,other",
}  # fmt: skip
# Without which they would do nothing.
BESIDE = {
    "abort_after_s": ["--slo", "errors < 1%"], "allowed_hosts": ["--web"],
    "records_text": ["--records", "r.jsonl"],
    "metrics_host": ["--astrometer-metrics-port", "9646"], "reply_quiet_s": ["--messenger", "ws://bot:1/ws"],
}  # fmt: skip


def offered(command):
    return [
        name for name, entry in OPTIONS.items() if command in entry.commands and command not in entry.refused
    ]


def invoke(*words, **environment):
    env = {"ASTRBOT_API_KEY": "abk-x", "ASTRBOT_API_KEY_FILE": None, **environment}
    return CliRunner().invoke(main, list(words), env=env)


def test_the_table_here_is_complete():
    assert VALUES.keys() == OPTIONS.keys(), f"VALUES above: {sorted(VALUES.keys() ^ OPTIONS.keys())}"


def test_every_option_is_explained_on_a_page_that_is_not_made_from_its_help():
    pages = [page.read_text("utf-8") for page in DOCS.glob("[!z]*/*.md") if page.name != "cli.md"]
    offered = {entry.flags for entry in OPTIONS.values() if entry.commands}
    assert [flags for flags in offered if not any(flag in page for flag in flags for page in pages)] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_given_comes_back_from_locusts_arguments(name):
    again, rest = take_ours(arguments({name: VALUES[name]}))
    assert (again, rest) == ({name: VALUES[name]}, [])
    assert OPTIONS[name].value_of(VALUES[name]) != getattr(Settings(), name)


def test_locusts_parser_gets_every_option_and_its_variable():
    added = {}
    add_arguments(
        SimpleNamespace(add_argument=lambda *flags, env_var, **more: added.update({env_var: (flags, more)}))
    )
    assert len(added) == len(OPTIONS)
    assert added["ASTROMETER_SHAPE"][0] == ("--shape", "--stages")
    assert "%" not in "".join(more["help"] for _, more in added.values())  # argparse would format it


@pytest.mark.parametrize("command", ["load", "capacity"])
@pytest.mark.parametrize("behind", [False, True])
def test_every_option_of_a_run_is_taken_before_and_behind_the_dashes(command, behind):
    for name in offered(command):
        words = arguments({name: VALUES[name]})
        more = [] if name == "slo" or command == "load" else ["--slo", "errors < 1%"]
        more += ["--users", "1"] if name == "warmup" else []
        more += ["--users", "1"] if name == "workload_file" and command == "load" else []
        if name in OF_OPEN_MODEL:
            more += ["--rate", "20/s"] if command == "load" else ["--start", "1/s"]
        more += BESIDE.get(name, [])
        line = [*more, "--", *words] if behind else [*more, *words]
        done = invoke(command, "chat", "--host", "http://127.0.0.1:9", "--dry-run", *line)
        assert done.exit_code == 0, (name, done.output)
        shown = done.output.replace("'", "")
        assert all(str(word) in shown for word in words), (name, done.output)


def test_release_takes_the_same_options_of_a_run():
    command = main.get_command(click.Context(main), "release")
    taken = {param.name for param in command.params}
    assert set(offered("release")) <= taken
    assert {"im_sink", "budget", "block"} <= taken  # its own


@pytest.mark.parametrize(
    ("name", "ends"),
    [("release", ["--astrbot", "1", "--against", "2"]), ("bisect", ["--good", "1", "--bad", "2"])],
)
def test_a_switch_that_is_called_like_an_option_of_a_run_is_not_given_to_it(name, ends):
    command = main.get_command(click.Context(main), name)
    context = command.make_context(name, [*ends, "--messenger", "--im-sink", "--reply-quiet", "1s"])
    given, _ = given_of_run(context, ())
    assert given == {"reply_quiet_s": "1s"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--shape", "1:5s"],
            "--shape cannot be used here: a search for the capacity chooses the load itself",
        ),
        (["--stages", "1:5s"], "--shape cannot be used here"),
        (["--", "--shape", "1:5s"], "--shape cannot be used here"),
        (["--warmup", "5s"], "use --settle"),
        (["--users", "5"], "--users cannot be used here: a search for the capacity chooses the load itself"),
        (["--rate", "5/s"], "use --start and --max"),
        (["-t", "1m"], "--duration cannot be used here: a search ends when it has its answer"),
    ],
)
def test_an_option_that_a_search_cannot_obey_says_what_to_do(words, complaint):
    done = invoke("capacity", "chat", "--host", "http://127.0.0.1:9", "--slo", "errors < 1%", *words)
    assert (done.exit_code, complaint in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--duration", "2m", "--users", "21", "--spawn-rate", "2"],
            "needs a run of 131 s or more, ramp-up included",
        ),
        # Of parts of 5 s the first whole one begins at 5 s.
        (["--duration", "124s", "--users", "4"], "needs a run of 126 s or more"),
        (["--shape", "1:5s"], "a shape says itself when the load is steady"),
        (["--abort-on-fail", "5s", "--slo", "errors < 1%"], "what counts is known when the run is over"),
        (["--records", "r.jsonl"], "a record says at once whether it counts"),
    ],
)
def test_a_warm_up_cannot_be_found_where_something_must_know_it_before(words, complaint):
    line = ["load", "chat", "--host", "http://127.0.0.1:9", "--dry-run", "--warmup", "auto", *words]
    done = invoke(*line)
    assert (done.exit_code, complaint in done.output) == (2, True), done.output


def test_what_is_left_out_besides_a_warm_up_that_is_found_is_the_ramp():
    line = ["load", "chat", "--host", "http://127.0.0.1:9", "--dry-run", "--duration", "5m", "--users", "20"]
    assert "--warmup auto:11s " in invoke(*line, "--warmup", "auto:2s", "--spawn-rate", "2").output
    assert "--warmup auto " in invoke(*line, "--warmup", "auto", "--spawn-rate", "20").output


def test_an_environment_variable_is_an_option_too():
    done = invoke(
        "load", "chat", "--host", "http://127.0.0.1:9", "--dry-run",
        ASTROMETER_SLO="ttft_p95 < 2s", ASTROMETER_IM_SINK="http://sink",
    )  # fmt: skip
    assert "--slo 'ttft_p95 < 2s'" in done.output
    assert "--im-sink http://sink" in done.output
    clash = invoke("load", "chat", "--host", "http://127.0.0.1:9", "-u", "5", ASTROMETER_SHAPE="1:5s")
    assert "--users cannot be combined with --shape" in clash.output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", [80, 120])
def test_every_help_fits_the_terminal(command, width):
    done = CliRunner().invoke(main, [command, "--help"], terminal_width=width)
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= width


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lod"], "no command 'lod' (did you mean \"load\"?)"),
        (["lode", "chat"], "did you mean"),
        (["load", "chat", "--slos", "x"], "--slo"),
        (["load", "chat", "--chat-weight", "3"], "Arguments of Locust and of the locustfile go behind --."),
        (["load", "chta"], 'did you mean "chat"?'),
    ],
)
def test_a_typo_is_told_what_was_meant(words, complaint):
    done = invoke(*words)
    assert (done.exit_code, complaint in done.output) == (2, True), done.output


def test_release_is_offered_everything_that_load_is_but_its_own_servers():
    assert set(offered("load")) - set(offered("release")) == {
        "im_sink", "version", "messenger", "model_status", "server_pid",
        "records", "records_text", "drift_ok", "allowed_hosts",
    }  # fmt: skip
    assert RUN_COMMANDS == ("load", "capacity", "release")
