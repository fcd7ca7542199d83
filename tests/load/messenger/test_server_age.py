"""What the server's version says of adapters that have two clients, before a run."""

import pytest
from hostile import JSON, Hostile

from astrometer.load.messenger.server_age import ask_answers_several
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig
from astrometer.wire.tls import DEFAULT


@pytest.mark.parametrize(("version", "several"), [("4.18.0", False), ("4.25.6", False), ("4.26.0", True)])
def test_the_server_tells_its_version_or_that_it_is_too_old_to(version, several):
    with serve(Simulator(SimulatorConfig(version=version))) as url:
        assert ask_answers_several(url, DEFAULT) is several


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"404 Not Found"])
def test_a_proxy_before_it_tells_nothing(status):
    def answer(_head):
        yield JSON % (status, 2, b"{}")

    server = Hostile(answer)
    try:
        assert ask_answers_several(server.url, DEFAULT) is None
    finally:
        server.close()
    assert len(server.seen) == 2


def test_nobody_there_tells_nothing():
    assert ask_answers_several("http://127.0.0.1:1", DEFAULT) is None
