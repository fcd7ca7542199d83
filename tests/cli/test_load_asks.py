"""`astrometer load` against a server that is not this machine: nothing is sent before somebody agreed."""

import socket

import click
import pytest
from click.testing import CliRunner

from astrometer.cli import main
from astrometer.cli.shared import confirm


@pytest.fixture(autouse=True)
def key(monkeypatch, tmp_path):
    monkeypatch.setenv("ASTRBOT_API_KEY", "abk_something")
    monkeypatch.chdir(tmp_path)


def test_without_a_terminal_and_without_yes_it_is_refused():
    done = CliRunner().invoke(main, ["load", "chat", "--host", "http://bot.invalid:6185"])
    assert done.exit_code == 2
    assert "http://bot.invalid:6185 is not this machine" in done.output
    assert "add --yes" in done.output


@pytest.mark.process
def test_with_yes_it_goes_on_to_the_server():
    done = CliRunner().invoke(main, ["load", "chat", "--yes", "--host", "http://bot.invalid:6185"])
    assert done.exit_code == 4
    assert "does not answer" in done.output


def test_this_machine_is_never_asked_about():
    confirm.must_be_able_to_ask("http://127.0.0.1:6185", yes=False)
    with pytest.raises(click.UsageError):
        confirm.must_be_able_to_ask("http://127.0.0.1.example:6185", yes=False)


def test_a_wrong_objective_is_refused_with_the_place():
    args = ["load", "chat", "--host", "http://127.0.0.1:9", "--slo", "chat: tftt_p95 < 2s"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 2
    assert "  chat: tftt_p95 < 2s\n        ^^^^\n" in done.output


def test_aborting_needs_an_objective():
    args = ["load", "chat", "--host", "http://127.0.0.1:9", "--abort-on-fail", "30s"]
    assert "--abort-on-fail needs --slo" in CliRunner().invoke(main, args).output


CONFLICTING = """
from locust import events, task
from astrometer.load import ReadsUser

@events.init_command_line_parser.add_listener
def add(parser):
    parser.add_argument("--users")

class Reader(ReadsUser):
    @task
    def read(self):
        self.configs()
"""
IDLE = """
from locust import TaskSet
from astrometer.load import ReadsUser

class Nothing(TaskSet):
    pass

class Idle(ReadsUser):
    {body}
"""
NOT_OURS = "from locust import User\nclass Plain(User):\n    pass\n"


@pytest.mark.process
@pytest.mark.parametrize(
    "command", [["load"], ["capacity", "--slo", "errors < 1%"]], ids=lambda words: words[0]
)
@pytest.mark.parametrize(
    ("content", "more", "complaint"),
    [
        (None, ["--tags", "none"], "without a task"),
        (NOT_OURS, [], "has no user of astrometer"),
        (IDLE.format(body="pass"), [], "own.py: class Idle has no tasks: mark what it does with @task"),
        (IDLE.format(body="tasks = [Nothing]"), [], "own.py: class Nothing has no tasks"),
        (CONFLICTING, [], "the locustfile adds --users"),
        (None, ["--no-such-argument"], "--no-such-argument"),
    ],
)
def test_what_only_locust_finds_out_is_refused_before_the_server_is_asked(
    tmp_path, command, content, more, complaint
):
    scenario = "reads"
    if content is not None:
        (tmp_path / "own.py").write_text(content)
        scenario = "./own.py"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = CliRunner().invoke(main, [*command, scenario, "--host", url, "--", *more])
        with pytest.raises(BlockingIOError):  # nobody has knocked
            listener.accept()
    assert (done.exit_code, complaint in " ".join(done.output.split())) == (2, True), done.output
