"""Shapes under plain Locust: users follow, the stages are in the results, and nothing happens unasked."""

import re
import subprocess
from datetime import datetime

import pytest
from causes import kinds
from waiting import until
from web_locust import FAST, web_locust

pytestmark = pytest.mark.process

DRAIN = ("--stop-timeout", "10")
OWN_SHAPE = """
from locust import constant, task
from astrometer.load.schedule.shapes import {base}
from astrometer.load.users import ReadsUser

class Looker(ReadsUser):
    wait_time = constant(0.2)
    @task
    def look(self): self.configs()

class Mine({base}):
    {what}
"""


def user_counts(stderr):
    """(seconds since the first, users) of each time that Locust reached a user count."""
    found = re.findall(r"^\[([\d: ,-]+)\].*All users spawned: .* \((\d+) total users\)", stderr, re.MULTILINE)
    times = [datetime.fromisoformat(t) for t, _ in found]
    return [((t - times[0]).total_seconds(), int(users)) for t, (_, users) in zip(times, found, strict=True)]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_users_follow_the_steps_and_each_has_its_numbers(sim, tmp_path, processes):
    results, done = sim.locust("chat", "--stages", "2:2s,8:3s,3:2s", *FAST, *DRAIN, *processes, out=tmp_path)
    counts = user_counts(done.stderr)
    assert [users for _, users in counts][:2] == [2, 8]
    assert counts[1][0] == pytest.approx(2, abs=0.7)
    assert results["window"]["duration_s"] == pytest.approx(7, abs=0.7)  # not the 3 s of --run-time
    assert results["profile"] == "2:2s,8:3s,3:2s"
    assert results["users"] == 8
    stages = results["stages"]
    assert [(s["name"], s["start_s"], s["users"], s["rate_per_s"]) for s in stages] == [
        ("step 1", 0, 2, None), ("step 2", 2, 8, None), ("step 3", 5, 3, None),
    ]  # fmt: skip
    assert sum(s["turns"]["started"] for s in stages) == results["turns"]["started"]
    assert stages[1]["turns"]["started"] >= 6
    assert results["turns"]["outcomes"] == {"ok": results["turns"]["started"]}


def test_a_ramp_is_followed_second_by_second(sim, tmp_path):
    results, done = sim.locust("reads", "--shape", "ramp 0..20 for 5s", *DRAIN, out=tmp_path)
    assert [users for _, users in user_counts(done.stderr)] == [2, 6, 10, 14, 18]
    assert results["stages"][0]["users"] == 20


def test_a_shape_of_rates_makes_the_model_open(sim, tmp_path):
    results, _ = sim.locust(
        "reads", "--shape", "10/s:3s,30/s:3s", "--arrivals", "constant", *DRAIN, out=tmp_path
    )
    slow, fast = results["stages"]
    assert (slow["users"], slow["rate_per_s"], fast["rate_per_s"]) == (None, 10, 30)
    assert results["arrivals"]["expected"] == pytest.approx(120, rel=0.05)
    assert results["arrivals"]["intended"] == pytest.approx(120, rel=0.15)
    assert fast["turns"]["started"] > 2 * slow["turns"]["started"]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_each_stage_of_a_rate_has_the_arrivals_that_were_due_in_it(sim, tmp_path, processes):
    options = ("--shape", "10/s:2s,60/s:2s", "--arrivals", "constant", *DRAIN, *processes)
    results, _ = sim.locust("reads", *options, out=tmp_path)
    assert "rate_not_reached" not in kinds(results)
    assert [stage["arrivals_due"] for stage in results["stages"]] == pytest.approx([20, 120], abs=7)
    assert all(0 <= stage["loop_lag_p99_s"] < 1 for stage in results["stages"])


def test_what_was_left_running_by_a_descent_is_made_up_for(sim, tmp_path):
    """Users that are about to stop still count for Locust: going up again it would spawn too few."""
    _, done = sim.locust(
        "chat", "--stages", "10:2s,2:1s,10:8s", "--prompt-suffix", "[[ttft=0.1 gap=0.5 tokens=8]]", *DRAIN,
        out=tmp_path,
    )  # fmt: skip
    counts = user_counts(done.stderr)
    assert counts[-1][1] == 10
    assert len([users for _, users in counts if users == 10]) >= 2


@pytest.mark.parametrize(
    ("base", "what", "profile"),
    [
        ("StagesShape", 'stages = [(1, "1s"), (4, "2s")]', "1:1s,4:2s"),
        ("ProfileShape", 'profile = "constant 4 for 3s"', "constant 4 for 3s"),
    ],
)
def test_a_shape_is_a_class_in_a_locustfile(sim, tmp_path, base, what, profile):
    file = tmp_path / "mine.py"
    file.write_text(OWN_SHAPE.format(base=base, what=what))
    results, _ = sim.locust(str(file), out=tmp_path)
    assert results["profile"] == profile
    assert results["window"]["duration_s"] == pytest.approx(3, abs=0.7)


def test_the_option_wins_over_the_class(sim, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OWN_SHAPE.format(base="StagesShape", what='stages = "1:30s"'))
    results, _ = sim.locust(str(file), "--shape", "2:2s", out=tmp_path)
    assert results["profile"] == "2:2s"


def test_without_a_shape_there_are_no_stages(sim, tmp_path):
    results, _ = sim.locust("reads", out=tmp_path, seconds=2)
    assert (results["profile"], results["stages"]) == (None, [])
    assert results["users"] == 6


def test_a_shape_that_makes_no_sense_is_refused_before_the_start(sim):
    done = subprocess.run(
        sim.command("chat", "--shape", "10:1m,20:2q"),
        env=sim.environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "step 2 '20:2q': '2q' is not a duration" in done.stderr
    assert sim.served() == {}


def test_the_web_form_takes_a_shape_or_users(sim, tmp_path):
    with web_locust(sim, "reads") as web:
        refused = web.swarm(shape="10:1m,20:2q")
        assert refused["success"] is False
        assert "step 2 '20:2q'" in refused["message"]
        assert web.swarm(shape="3:2s,5:3s")["success"] is True
        in_the_middle = web.swarm(shape="9:9s")
        assert in_the_middle["success"] is False
        assert "a test is running" in in_the_middle["message"]
        assert until(lambda: web.metrics().get("astrbot_load_stage_number") == 2)
        until(lambda: web.metrics()["astrbot_load_users"] == 5)
        until(lambda: web.stats()["state"] == "stopped")
        assert web.swarm(user_count="2", shape="")["success"] is True
        until(lambda: web.metrics()["astrbot_load_users"] == 2)
        assert "astrbot_load_stage_number" not in web.metrics()


def test_with_the_class_picker_the_shape_is_a_class_among_others(sim, tmp_path):
    with web_locust(sim, "reads", "--class-picker") as web:
        assert "CustomShape" in web.client.get("/").text
        contradicting = web.swarm(shape="3:1s", shape_class="Default")
        assert contradicting["success"] is False
        assert "pick CustomShape" in contradicting["message"]
        empty = web.swarm(shape=" ", shape_class="CustomShape")
        assert empty["success"] is False
        assert "fill it in" in empty["message"]
        assert web.swarm(shape="3:5s", shape_class="CustomShape")["success"] is True
        until(lambda: web.metrics()["astrbot_load_users"] == 3)
