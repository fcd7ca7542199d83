"""Users who follow a workload: whom they meet at the start, what they say; a run that is learnt again."""

import random
import statistics
import time
from collections import Counter

import pytest
from locust_runs import Sim
from workloads import a_workload

from astrometer.api.chat.commands import is_command
from astrometer.load.corpus import Corpus
from astrometer.load.workload.learning import learn
from astrometer.load.workload.replay import Replay
from astrometer.load.workload.workload_file import write


def test_who_looks_at_a_random_moment_meets_long_conversations_and_long_pauses():
    replay = Replay(a_workload(turns=(1.0, 2.0, 4.0), pause_s=(1.0, 9.0)), random.Random(1))
    left = Counter(replay.turns_left() for _ in range(20_000))
    # Of the four pauses one is the only one of its conversation, three are those of the long one.
    assert [left[n] / 20_000 for n in (1, 2, 3)] == pytest.approx([1 / 2, 1 / 4, 1 / 4], abs=0.02)
    replay.wait_first()
    assert 0 <= replay.pause_s() < 9
    assert {replay.pause_s() for _ in range(99)} == {1.0, 9.0}


def test_questions_and_answers_have_the_sizes_of_the_workload():
    corpus = Corpus.built_in(random.Random(2))
    replay = Replay(a_workload(prompt_tokens=(2.0, 300.0), output_tokens=(7.0,)), random.Random(2))
    prompts = [replay.prompt(corpus) for _ in range(400)]
    sizes = sorted(len(prompt.encode()) for prompt in prompts)
    assert statistics.mean(sizes) == pytest.approx(151 * 4, rel=0.15)
    assert sizes[-1] == pytest.approx(1200, abs=8)  # never more than a character and a guard's tag
    assert not [prompt for prompt in prompts if is_command(prompt)]
    assert replay.suffix("[[tokens={answer_tokens}]]") == "[[tokens=7]]"


@pytest.mark.alone
@pytest.mark.astrbot
@pytest.mark.timeout(300)
@pytest.mark.process
def test_what_a_real_astrbot_noted_of_a_run_is_the_shape_of_that_run(real_astrbot, tmp_path):
    box = real_astrbot("4.29.3")
    file = tmp_path / "w.toml"
    file.write_text(write(a_workload(turns=(4.0,), pause_s=(3.0,), per_s=3.0, output_tokens=(9.0,))))
    began = time.time()
    sim = Sim(url=box.url, app=None)
    results, _ = sim.locust(
        "chat", "--workload", str(file), "--rate-unit", "0.075", "--arrivals", "constant",
        "--prompt-suffix", "[[ttft=0.1 gap=0 tokens={answer_tokens}]]", "--stop-timeout", "10",
        key=box.keys["all"], out=tmp_path, seconds=14, users=10,
    )  # fmt: skip
    turns = results["turns"]
    assert turns["outcomes"] == {"ok": turns["started"]}
    for _ in range(100):  # AstrBot writes the last rows after its answers
        learnt = learn(box.data_dir / "data_v4.db", began, [])
        if learnt.turns >= turns["started"]:
            break
        time.sleep(0.05)
    workload = learnt.workload
    assert learnt.turns == turns["started"] > 20
    assert workload.busiest_hour.turns_per_s == pytest.approx(turns["started"] / 14, rel=0.15)
    # A pause ends for AstrBot when it has accepted the next question, and begins before it has said so.
    metrics = results["metrics"]
    overhead_s = metrics["accept_time"]["p50"] + metrics["tail"]["p50"]
    assert 2.9 <= workload.pause_s.quantile(0.5) <= 3.0 * 1.1 + overhead_s
    assert workload.spreads["output_tokens"].values[0] == 9
    text = write(workload)
    assert results["names"]["run_id"] not in text
    assert "stub" not in text
