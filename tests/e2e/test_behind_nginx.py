"""A load run, a probe and the doctor behind a real nginx that buffers, and behind one that does not."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from types import MappingProxyType

import pytest
from nginx_proxy import nginx
from probe_bench import Bench

from astrometer.cli.doctor import examine
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.verdict import Verdict
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

pytestmark = pytest.mark.process
PROMPT = "[[ttft=0.3 gap=0.02 tokens=60]]"
TRIES = 5  # a reader that came late, on a busy machine, knows nothing of the first events


@dataclass(frozen=True)
class Place:
    url: str
    key: str
    bench: Bench

    def target(self, url):
        key = Key(name="all", secret=Secret(self.key))
        return Target(name="t", url=url, keys=MappingProxyType({"all": key}))


@pytest.fixture(
    params=["simulator", pytest.param("real", marks=[pytest.mark.astrbot, pytest.mark.timeout(600)])]
)
def place(request):
    app = Simulator(SimulatorConfig(version="4.29.3"))
    if request.param == "real":
        box = request.getfixturevalue("real_astrbot")("4.29.3")
        yield Place(box.url, box.keys["all"], Bench(app, box.url))
    else:
        with serve(app) as url:
            yield Place(url, app.config.keys["all"].secret, Bench(app, url))


def load(place, url, out):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "astrometer", "load", "chat", "--host", url, "--users", "3"),
            *("--spawn-rate", "3", "--duration", "8s", "--stop-timeout", "20s", "--out", str(out)),
            *("--no-check", "--", "--prompt-suffix", PROMPT),
        ],
        env={**os.environ, "ASTRBOT_API_KEY": place.key},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return json.loads((out / "results.json").read_text()), " ".join(done.stdout.split())


def probed(place, url):
    async def probe(ctx):
        return Verdict.of(await ctx.chat(f"{PROMPT} {ctx.nonce}", canary=ctx.nonce))

    return place.bench.run(place.target(url), probe)


def examined(place, url):
    checks, _ = asyncio.run(examine(place.target(url), 60.0))
    return next(check for check in checks if check.name == "model")


def until(is_known, ask):
    for _ in range(TRIES):
        found = ask()
        if is_known(found):
            break
    return found


def test_streams_that_are_held_back_are_a_warning_of_a_load_run(place, tmp_path):
    with nginx(place.url) as url:
        results, table = load(place, url, tmp_path)
    seen = results["streams"]["buffered"]
    assert seen["chats"] == seen["of"] >= 3
    assert results["turns"]["outcomes"].keys() - {"truncated"} == {"ok"}  # a late AstrBot cuts off by itself
    assert f"Warning: {seen['chats']} of {seen['of']} streams (100 %) were held back" in table
    assert "proxy_buffering off" in table


def test_streams_that_are_held_back_fail_a_probe_and_the_doctor(place):
    with nginx(place.url) as url:
        run = until(lambda run: not run.ok, lambda: probed(place, url))
        check = until(lambda check: check.state != "ok", lambda: examined(place, url))
    assert run.reason == "buffered"
    assert "lay between them" in run.detail
    assert (check.state, check.outcome) == ("fail", "buffered")
    assert "proxy_buffering off" in check.cure


PASSING_ON = ("proxy_buffering off", "gzip on", "gzip_types *")


def test_streams_that_are_passed_on_are_none_to_a_load_run(place, tmp_path):
    with nginx(place.url, *PASSING_ON) as url:
        results, table = load(place, url, tmp_path)
    assert "buffered" not in results["streams"]
    assert "held back" not in table


def test_streams_that_are_passed_on_are_none_to_a_probe_and_the_doctor(place):
    with nginx(place.url, *PASSING_ON) as url:
        run, check = probed(place, url), examined(place, url)
    assert (run.reason, check.state) == ("ok", "ok")


def test_the_doctor_says_that_answers_are_compressed_unasked():
    app = Simulator(SimulatorConfig())
    secret = app.config.keys["all"].secret
    zipped = ("gzip on", "gzip_types *", "gzip_min_length 0", "gzip_http_version 1.0")
    with (
        serve(app) as direct,
        nginx(direct, *zipped) as inner,
        nginx(inner, "proxy_set_header Accept-Encoding gzip") as url,
    ):
        place = Place(url, secret, Bench(app, url))
        (check,), _ = asyncio.run(examine(place.target(url), 20.0))
    assert (check.name, check.state, check.outcome) == ("reachable", "fail", "encoded")
    assert check.line == "encoded: the answer is encoded (gzip), although it was asked for as it is"
    assert "gzip off" in check.cure
