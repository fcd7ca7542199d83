"""A real nginx between here and the server: what it does to a stream is seen, on both transports."""

import pytest
from both_transports import Asked
from nginx_proxy import nginx

from astrometer.api.outcome import Outcome
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatedRateLimit, SimulatorConfig

pytestmark = pytest.mark.process

TRIES = 5
SCRIPT = ModelScript(ttft_s=0.3, gap_s=0.02, tokens=30)
EVERYTHING_ZIPPED = ("gzip on", "gzip_types *", "gzip_min_length 0", "gzip_http_version 1.0")


def simulated(version="4.29.3"):
    return Simulator(
        SimulatorConfig(version=version, model=SCRIPT, rate_limit=SimulatedRateLimit(strategy="off"))
    )


@pytest.fixture
def server():
    app = simulated()
    with serve(app) as url:
        yield app, url


def ask(asked, app, url, message="hi"):
    """One chat; on a busy machine again, for a reader that came late knows nothing of the first events."""
    body = {"username": "u", "message": message}
    for _ in range(TRIES):
        turn = asked.chat(url, secret=app.config.keys["all"].secret, body=body, total_s=20.0)
        assert turn.outcome is Outcome.OK, turn.detail
        if turn.was_held is not None:
            break
    return turn


def test_a_proxy_that_buffers_is_seen(asked, server):
    app, direct = server
    with nginx(direct) as url:
        turn = ask(asked, app, url)
    assert turn.timings.ttft_s > 2 * turn.timings.server_ttft_s  # what its users see
    assert turn.was_held is True


@pytest.mark.parametrize("message", ["[[tokens=3]]", "[[tokens=8 gap=0.001]]", "[[tokens=200 gap=0.01]]"])
def test_it_is_seen_in_short_answers_and_in_those_that_come_in_several_bursts(server, message):
    app, direct = server
    with nginx(direct) as url:
        assert ask(Asked("load"), app, url, message).was_held is True


@pytest.mark.parametrize("version", ["4.26.8", "4.23.6", "4.18.0"])
def test_it_is_seen_on_older_versions_and_their_pace_is_none(version):
    app = simulated(version)
    with serve(app) as direct, nginx(direct) as url:
        assert ask(Asked("load"), app, url).was_held is True
        assert ask(Asked("load"), app, direct).was_held is False


def test_a_proxy_that_passes_streams_on_is_none(asked, server):
    app, direct = server
    with nginx(direct, "proxy_buffering off", *EVERYTHING_ZIPPED) as url:
        turn = ask(asked, app, url)
    assert turn.was_held is False
    assert turn.timings.ttft_s < 2 * turn.timings.server_ttft_s


@pytest.mark.parametrize(
    "message", ["[[gap=0]]", "[[tokens=1]]", "[[reasoning=20 tokens=3]]", "[[say=+%0a+hello+world]]"]
)
def test_without_a_proxy_nothing_is_held(server, message):
    app, direct = server
    assert ask(Asked("load"), app, direct, message).was_held is False


def test_a_response_header_is_the_other_cure(server):
    app, direct = server
    with (
        nginx(direct, "proxy_buffering off", "add_header X-Accel-Buffering no") as inner,
        nginx(inner) as url,
    ):
        assert ask(Asked("load"), app, url).was_held is False


def test_an_answer_that_was_compressed_unasked_is_named_so(asked):
    app = simulated()
    secret = app.config.keys["all"].secret
    with (
        serve(app) as direct,
        nginx(direct, *EVERYTHING_ZIPPED, "proxy_buffering off") as inner,
        nginx(inner, "proxy_set_header Accept-Encoding gzip", "proxy_buffering off") as url,
    ):
        turn = asked.chat(url, secret=secret, body={"username": "u", "message": "hi"})
        call = asked.call(url)
    assert turn.outcome is Outcome.ENCODED
    assert turn.detail == "the answer is encoded (gzip), although it was asked for as it is"
    assert call.outcome is Outcome.UNAUTHORIZED  # an error stays one
