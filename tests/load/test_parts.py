"""Corpus, uploads, options, health: the pieces around the client."""

import argparse
import io
import json
import random
import time
import wave
from types import SimpleNamespace

import gevent

import pytest

from astrometer.api.commands import is_command
from astrometer.load.corpus import Corpus, CorpusError
from astrometer.load.option_table import OptionError
from astrometer.load.options import SCOPE_VARIABLES, Settings, add_arguments, keys_from
from astrometer.load.run.health import HealthMonitor, ProcessHealth, worst, worst_stage_lag
from astrometer.load.transport.multipart import Multipart, SampleFile
from astrometer.measure.histogram import Histogram
from astrometer.measure.tally import Tally


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


# corpus


def test_the_built_in_corpus_is_large_and_never_repeats_itself():
    corpus = Corpus.built_in(random.Random(1))
    prompts = [corpus.next() for _ in range(3000)]
    assert len(set(prompts)) == 3000
    assert not [prompt for prompt in prompts if is_command(prompt)]
    assert not [prompt for prompt in prompts if "{" in prompt]


def test_the_built_in_corpus_has_the_lengths_and_languages_of_people():
    corpus = Corpus.built_in(random.Random(2))
    prompts = [corpus.next() for _ in range(2000)]
    lengths = sorted(len(prompt) for prompt in prompts)
    assert len(corpus) >= 100
    assert lengths[1000] < 120  # half of them are a line or two
    assert lengths[-100] > 500
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in prompt) for prompt in prompts)
    assert 0.3 < chinese / 2000 < 0.6


def test_prompts_of_a_file_are_guarded_and_differ_on_every_round(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "help me write a poem"}\n\n{"prompt": "你好"}\n', "utf-8")
    corpus = Corpus.from_file(file)
    prompts = [corpus.next() for _ in range(50)]
    assert len(set(prompts)) == 50
    assert not [prompt for prompt in prompts if is_command(prompt)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"prompt": "a"}\nnot json\n', "prompts.jsonl:2: is not valid JSON"),
        ('{"prompt": "a"}\n\n{"text": "b"}\n', "prompts.jsonl:3: write an object"),
        ('["a"]\n', "prompts.jsonl:1: write an object"),
        ("\n\n", "has no prompts"),
    ],
)
def test_a_bad_prompt_file_is_refused_with_its_line(tmp_path, content, complaint):
    file = tmp_path / "prompts.jsonl"
    file.write_text(content)
    with pytest.raises(CorpusError, match=complaint):
        Corpus.from_file(file)


def test_a_prompt_may_hold_any_character_and_the_file_a_bom(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes('\ufeff{"prompt": "a\u2028b\u0085c"}\r\n{"prompt": "half \\ud800"}\n'.encode())
    corpus = Corpus.from_file(file)
    assert len(corpus) == 2
    asked = {corpus.next() for _ in range(20)}
    assert any("a\u2028b\u0085c" in prompt for prompt in asked)
    assert any("half \ufffd" in prompt for prompt in asked)


# uploads


@pytest.mark.parametrize("size", [0, 5, 70_000, 1_000_001])
def test_a_multipart_body_has_the_length_that_it_announces(size):
    file = SampleFile.make(".bin", "application/octet-stream", size)
    assert len(b"".join(file.blocks())) == size
    body = Multipart(file)
    assert len(b"".join(body)) == body.length


def test_two_files_have_different_names_and_bytes():
    first, second = (SampleFile.make(".txt", "text/plain", 5000) for _ in range(2))
    assert first.name != second.name
    assert first.sha256 != second.sha256


def test_a_recording_is_a_recording_and_an_image_is_an_image():
    sound = b"".join(SampleFile.make(".wav", "audio/wav", 20_044).blocks())
    with wave.open(io.BytesIO(sound)) as recording:
        assert (recording.getframerate(), recording.getnframes()) == (16_000, 10_000)
    image = b"".join(SampleFile.make(".png", "image/png", 20_000).blocks())
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"IEND" in image[:100]


# options


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


def test_no_key_is_an_error_that_says_where_to_put_one():
    with pytest.raises(OptionError, match="set ASTRBOT_API_KEY"):
        keys_from(options(), {})


# health


def test_a_blocked_loop_shows_as_lag_and_an_idle_one_does_not():
    monitor = HealthMonitor()
    monitor.start()
    gevent.sleep(0.5)
    idle = monitor.take()
    gevent.sleep(0.02)
    time.sleep(0.15)  # nothing of the loop runs
    gevent.sleep(0.02)
    blocked = monitor.take()
    monitor.stop()
    assert Histogram.from_wire(idle["lag"]).percentile(50) < 0.02
    assert Histogram.from_wire(blocked["lag"]).max > 0.1


def test_the_lag_is_noted_by_stage_and_the_worst_process_speaks_for_each():
    monitor, stage = HealthMonitor(), 0
    monitor.stage = lambda: stage
    monitor.start()
    gevent.sleep(0.1)
    stage = 1
    time.sleep(0.15)  # nothing of the loop runs
    gevent.sleep(0.02)
    wire = json.loads(json.dumps(monitor.take()))
    monitor.stop()
    process, idle = ProcessHealth(Histogram()), ProcessHealth(Histogram())
    process.add(wire)
    assert worst_stage_lag([process, idle], 1) > 0.1
    assert process.stage_lag[0].percentile(50) < 0.02
    assert worst_stage_lag([idle], 1) is None


def test_the_worst_process_speaks_for_all():
    good = ProcessHealth(Histogram([0.001] * 100), 0.2)
    bad = ProcessHealth(Histogram([0.5] * 100), 0.95)
    health = worst([good, bad], Tally(), lost_workers=1)
    assert health.loop_lag_p99_s == pytest.approx(0.5, rel=0.01)
    assert (health.cpu_max, health.processes, health.lost_workers) == (0.95, 2, 1)


def test_the_wire_of_health_is_plain_data():
    monitor = HealthMonitor()
    assert json.dumps(monitor.take())
