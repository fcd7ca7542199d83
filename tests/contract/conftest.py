"""`astrbot`: every server that must keep the contract, simulated and real, oldest and newest."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from contract_driver import Server

from astrometer.api.endpoints import parse_version
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import NEWEST_VERSION, SimulatorConfig

OLDEST_VERSION = "4.18.0"
NAMED = [
    name for name in os.environ.get("ASTROMETER_CONTRACT_VERSIONS", "").replace(",", " ").split() if name
]
SIMULATED = list(dict.fromkeys([OLDEST_VERSION, NEWEST_VERSION, *NAMED]))
REAL = list(dict.fromkeys([OLDEST_VERSION, "latest", *NAMED]))
SERVERS = [
    *(pytest.param(("simulated", version), id=f"simulated-{version}") for version in SIMULATED),
    *(
        pytest.param(
            ("real", version), id=f"real-{version}", marks=[pytest.mark.astrbot, pytest.mark.process]
        )
        for version in REAL
    ),
]


@pytest.fixture(scope="session", params=SERVERS)
def astrbot(request: pytest.FixtureRequest, real_astrbot: Callable[[str], object]) -> Iterator[Server]:
    """A server of one version. Real ones are started once for all tests that want them."""
    kind, version = request.param
    with ExitStack() as stack:
        if kind == "simulated":
            simulator = Simulator(SimulatorConfig(version=version))
            yield Server(
                url=stack.enter_context(serve(simulator)),
                version=parse_version(version),
                keys={name: key.secret for name, key in simulator.config.keys.items()},
                key_ids={name: key.key_id for name, key in simulator.config.keys.items()},
                real=False,
            )
        else:
            box = real_astrbot(version)
            yield Server(
                url=box.url,
                version=parse_version(str(box.version)),
                keys=dict(box.keys),
                key_ids=dict(box.key_ids),
                real=True,
            )
