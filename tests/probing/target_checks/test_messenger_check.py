"""What the doctor says of a messenger, and that it never becomes a client."""

import asyncio
import socket

import pytest
from onebot_client import OneBotTestClient

from astrometer.api.management_endpoints import adapter_settings
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target, TargetMessenger
from astrometer.probing.messenger_setup.adapter_plan import DEFAULT_ID
from astrometer.probing.messenger_setup.probe_profile import profile_from
from astrometer.probing.one_off import run_function
from astrometer.probing.target_checks.messenger_check import check_messenger
from astrometer.probing.verdict import Verdict
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig
from astrometer.targets.simulator.store import new_key


class Patient:
    """A simulated AstrBot with the adapter `messenger`, and a target that points at it."""

    def __init__(self, version="4.29.3"):
        self.keys = {"config": new_key("config"), "im": new_key("im"), "chat": new_key("chat")}
        config = SimulatorConfig(
            version=version, keys=self.keys, messenger=MessengerConfig(), model=ModelScript(ttft_s=0)
        )
        self.app = Simulator(config)

    @property
    def adapter(self):
        return self.app.messenger

    def checks(self, *keys, url=None, token=None):
        """By name: the state, the line and the cure."""
        access = TargetMessenger(
            url=url or self.adapter.url, token=Secret(self.adapter.token if token is None else token)
        )
        known = {
            name: Key(name=name, secret=Secret(self.keys[name].secret), scopes=frozenset({name}))
            for name in keys
        }
        found = []

        async def probe(ctx):
            found.extend([check async for check in check_messenger(ctx)])
            return Verdict.passed()

        target = Target(name="prod", url=self.url, keys=known, messenger=access)
        run = asyncio.run(run_function(target, "doctor", probe, 20.0))
        assert run.ok, run.detail
        assert not self.adapter.token or self.adapter.token not in str(found) + str(run)
        return {check.name: (check.state.value, check.line, check.cure) for check in found}


@pytest.fixture
def patient_of():
    stack = []

    def make(**options):
        patient = Patient(**options)
        served = serve(patient.app)
        patient.url = served.__enter__()
        stack.append(served)
        return patient

    yield make
    for served in stack:
        served.__exit__(None, None, None)


@pytest.fixture
def patient(patient_of):
    return patient_of()


def route_to_a_fit_profile(patient, **changes):
    profiles = patient.app.profiles
    config = profile_from(profiles.configs["default"]) | changes
    profile_id, _ = profiles.create("fit", config, checks_admins=False)
    profiles.routes["messenger::"] = profile_id
    return profile_id


def test_without_a_messenger_nothing_is_said(patient):
    async def probe(ctx):
        assert [check async for check in check_messenger(ctx)] == []
        return Verdict.passed()

    assert asyncio.run(run_function(Target(name="t", url=patient.url), "doctor", probe, 10.0)).ok


def test_an_adapter_that_is_right_in_every_way(patient):
    profile_id = route_to_a_fit_profile(patient)
    patient.app.bots.configs[DEFAULT_ID] = {"id": DEFAULT_ID, "type": "x", "enable": False}
    checks = patient.checks("config", "im")
    assert checks["messenger"][:2] == ("ok", f"{patient.adapter.url} takes the token")
    assert checks["messenger client"][:2] == ("ok", "messenger has no other client")
    line = f"the profile {profile_id} is in force (route messenger::), fit for a probe"
    assert checks["messenger profile"][:2] == ("ok", line)
    # The simulator's own adapter was not made by `messenger setup`.
    assert checks["messenger adapter"][:2] == ("warn", "messenger runs, and astrometer did not make it")


@pytest.mark.parametrize(
    ("token", "line"), [("wrong", "wrong token (403)"), ("", "no token (401)")], ids=["wrong", "missing"]
)
def test_a_wrong_and_a_missing_token_are_told_apart(patient, token, line):
    state, said, cure = patient.checks(token=token)["messenger"]
    assert (state, said) == ("fail", f"{patient.adapter.url}: {line}")
    assert "ASTRBOT_MESSENGER_TOKEN" in cure


def test_an_adapter_that_lets_everybody_in(patient):
    patient.adapter.token = ""
    state, said, cure = patient.checks(token="mine")["messenger"]
    assert (state, "everybody" in said, "ws_reverse_token" in cure) == ("warn", True, True)


def test_nothing_at_the_address(patient):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    state, said, cure = patient.checks(url=f"ws://127.0.0.1:{port}/ws")["messenger"]
    assert (state, "Connection refused" in said, "messenger setup" in cure) == ("fail", True, True)


def test_another_client_is_seen_and_not_disturbed(patient):
    with OneBotTestClient(patient.adapter.url, patient.adapter.token) as somebody:
        state, said, cure = patient.checks("config", "im")["messenger client"]
        assert (state, "a client is connected to messenger" in said, "one client" in cure) == (
            "warn",
            True,
            True,
        )
        somebody.private(50_001, "[[ttft=0 tokens=1]]")
        somebody.wait(2)  # the push of the check, and the answer
        assert patient.app.store.counters["im_connections"] == 1


def test_what_in_the_profile_would_spoil_a_probe_is_named_with_its_cure(patient):
    state, said, cure = patient.checks("config")["messenger profile"]
    assert state == "warn"
    assert "the default profile is in force (no route leads elsewhere)" in said
    assert "platform_settings.reply_with_quote is False" in said
    assert "messenger setup" in cure
    profile_id = route_to_a_fit_profile(patient, t2i=True)
    state, said, cure = patient.checks("config")["messenger profile"]
    assert (state, cure) == ("warn", "set in that profile: t2i = False")
    assert said.startswith(f"the profile {profile_id} is in force (route messenger::)")


def test_an_adapter_in_error_and_one_that_is_switched_off(patient):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        bots = patient.app.bots
        bots.configs[DEFAULT_ID] = adapter_settings(DEFAULT_ID, port, "127.0.0.1", "T" * 12)
        bots._errors[DEFAULT_ID] = "[Errno 98] Address already in use"
        state, said, _ = patient.checks("config", url=f"ws://127.0.0.1:{port}/ws")["messenger adapter"]
        assert (state, "in the state `error`" in said, "Errno 98" in said) == ("fail", True, True)
        bots.configs[DEFAULT_ID]["enable"] = False
        state, said, _ = patient.checks("config", url=f"ws://127.0.0.1:{port}/ws")["messenger adapter"]
        assert (state, said) == ("fail", f"{DEFAULT_ID} is switched off")


def test_what_no_key_may_ask_is_said_and_is_no_warning(patient, patient_of):
    checks = patient.checks()
    assert checks["messenger adapter"][:2] == ("ok", "not looked at: no key has the scope config")
    assert "messenger client" not in checks
    assert "messenger client" not in patient.checks("im")  # which adapter it is was guessed, and wrong
    old = patient_of(version="4.23.6")
    assert "before 4.26" in old.checks("config")["messenger adapter"][1]
    assert old.checks()["messenger"][0] == "ok"
