"""`astrbot`: every server that must keep the contract, simulated and real, oldest and newest."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import box_control
import httpx
import pytest
from contract_driver import Server
from onebot_client import OneBotTestClient

from astrometer.api.endpoints import parse_version
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.box import Box
from astrometer.targets.serving import serve
from astrometer.targets.simulator.onebot_adapter.simulated_adapter import SimulatedAdapter
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import (
    NEWEST_VERSION,
    MessengerConfig,
    SimulatorConfig,
    default_keys,
)
from astrometer.targets.simulator.store import new_key

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
def astrbot(request: pytest.FixtureRequest, real_astrbot: Callable[[str], Box]) -> Iterator[Server]:
    """A server of one version. Real ones are started once for all tests that want them."""
    yield from started(*request.param, real_astrbot)


def started(kind: str, version: str, real_astrbot: Callable[[str], Box]) -> Iterator[Server]:
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


class SimulatedMessenger:
    """The simulator's adapter, driven from a test."""

    def __init__(self, version: str, stack: ExitStack) -> None:
        keys = {**default_keys(), "data": new_key("data")}
        config = SimulatorConfig(version=version, keys=keys, messenger=MessengerConfig(ack_timeout_s=2))
        self._simulator = Simulator(config)
        self.http_url = stack.enter_context(serve(self._simulator))
        self.version = parse_version(version)
        self.real = False
        self.im_key = config.keys["im"].secret
        self.data_key = config.keys["data"].secret

    @property
    def adapter(self) -> SimulatedAdapter:
        assert self._simulator.messenger is not None
        return self._simulator.messenger

    @property
    def url(self) -> str:
        return self.adapter.url

    @property
    def token(self) -> str:
        return self.adapter.token

    @property
    def profile(self) -> MessengerProfile:
        return self.adapter.profile

    def use(self, profile: MessengerProfile) -> None:
        self.adapter.use(profile)

    def switch(self, *, on: bool) -> None:
        httpx.post(
            f"{self.http_url}/sim/messenger", json={"adapter": "on" if on else "off"}
        ).raise_for_status()

    def asked(self) -> int:
        """How often the model was asked so far."""
        return httpx.get(f"{self.http_url}/sim/stats").json()["model_asked"]


class RealMessenger:
    """The adapter of a sandbox, for the time of the tests that use it."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._access = box.open_messenger(MessengerProfile())
        self.profile = MessengerProfile()
        self.http_url = box.url
        self.version = parse_version(str(box.version))
        self.real = True
        self.im_key = box.keys["im"]
        scope = ("data",) if self.version >= (4, 26, 0) else ("chat",)  # which knows no such scope
        self.data_key = box.dashboard.create_key("contract-data", scope).secret

    @property
    def url(self) -> str:
        return self._access.url

    @property
    def token(self) -> str:
        return self._access.token

    def use(self, profile: MessengerProfile) -> None:
        box_control.use_profile(self._box, profile)
        self.profile = profile

    def switch(self, *, on: bool) -> None:
        box_control.switch_adapter(self._box, self._access, enabled=on)

    def asked(self) -> int:
        return httpx.get(f"{self._box.stub_url}/stub/stats").json()["received"]


# 4.23.6: the last Q version whose WebSocket and messenger were recorded.
WITH_SOCKETS = [
    *(
        pytest.param(("simulated", version), id=f"simulated-{version}")
        for version in dict.fromkeys([*SIMULATED, "4.23.6"])
    ),
    *(
        pytest.param(
            ("real", version), id=f"real-{version}", marks=[pytest.mark.astrbot, pytest.mark.process]
        )
        for version in dict.fromkeys([*REAL, *(["4.23.6"] if os.environ.get("ASTROMETER_WHOLE") else [])])
    ),
]


@pytest.fixture(
    scope="module", params=[server for server in WITH_SOCKETS if OLDEST_VERSION not in str(server.id)]
)
def socket_server(request: pytest.FixtureRequest, real_astrbot: Callable[[str], Box]) -> Iterator[Server]:
    """A server with WebSocket chat, which 4.18 has not."""
    yield from started(*request.param, real_astrbot)


@pytest.fixture(scope="module", params=WITH_SOCKETS)
def messenger_server(
    request: pytest.FixtureRequest, real_astrbot: Callable[[str], Box]
) -> Iterator[SimulatedMessenger | RealMessenger]:
    kind, version = request.param
    with ExitStack() as stack:
        if kind == "simulated":
            yield SimulatedMessenger(version, stack)
        else:
            box = real_astrbot(version)
            yield RealMessenger(box)
            box_control.close_messenger(box)  # the other tests know of no bot


@pytest.fixture
def messenger(
    messenger_server: SimulatedMessenger | RealMessenger,
) -> Iterator[SimulatedMessenger | RealMessenger]:
    """An adapter with the profile that is made for measuring."""
    yield messenger_server
    if messenger_server.profile != MessengerProfile():
        messenger_server.use(MessengerProfile())


@pytest.fixture
def client(messenger: SimulatedMessenger | RealMessenger) -> Iterator[OneBotTestClient]:
    """A client that is connected to it."""
    with OneBotTestClient(messenger.url, messenger.token) as client:
        yield client
