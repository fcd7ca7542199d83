"""`astrometer messenger setup` and `remove` against simulators, with the probe in between."""

import asyncio
import copy
import os
import signal
import socket
import stat
import threading
import time

import httpx
import pytest
from click.testing import CliRunner
from onebot_client import OneBotTestClient

from astrometer import bundled
from astrometer.cli import main
from astrometer.config.loader import load
from astrometer.probing.messenger_setup.adapter_plan import DEFAULT_ID
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig
from astrometer.targets.simulator.store import new_key

OURS = load_folder(bundled.folder("probes")).probes
QUICK = ModelScript(ttft_s=0.02, gap_s=0.005, tokens=3)
ROUTE = f"{DEFAULT_ID}::"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Operator:
    """Somebody with a simulated AstrBot, in whose real messenger somebody is connected, and a config file."""

    def __init__(self, folder, version, scopes):
        self.folder = folder
        self.key = new_key(*scopes)
        keys = {"operator": self.key}
        self.app = Simulator(
            SimulatorConfig(version=version, model=QUICK, keys=keys, messenger=MessengerConfig())
        )
        self.port = free_port()
        self.outputs = []

    def configure(self, *more):
        key = self.folder / "key"
        key.write_text(self.key.secret)
        lines = ["[targets.prod]", f'url = "{self.url}"', f'keys.main = {{ file = "{key.name}" }}', *more]
        self.config = self.folder / "astrometer.toml"
        self.config.write_text("\n".join(lines))

    def say(self, *arguments, yes=True, text=None):
        given = [*arguments, "--config", str(self.config), *(["--yes"] if yes else [])]
        done = CliRunner().invoke(main, ["messenger", *given], input=text)
        assert "Traceback" not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        for secret in self.secrets():
            assert secret not in done.output
        return done

    def setup(self, *more, **options):
        return self.say("setup", "--port", str(self.port), *more, **options)

    def remove(self, *more, **options):
        return self.say("remove", *more, **options)

    def delete_adapter(self):
        """As the WebUI does: by a request, since the simulator's loop is another thread's."""
        httpx.delete(
            f"{self.url}/api/v1/bots/by-id",
            params={"bot_id": DEFAULT_ID},
            headers={"X-API-Key": self.key.secret},
        ).raise_for_status()

    def secrets(self):
        tokens = [bot.get("ws_reverse_token") for bot in self.app.bots.listed()]
        return [secret for secret in (self.key.secret, self.messenger.token, *tokens) if secret]

    @property
    def messenger(self):
        return self.app.messenger

    def snapshot(self):
        """Of all that an API key can change."""
        profiles = self.app.profiles
        return copy.deepcopy(
            (self.app.bots.configs, profiles.configs, profiles.names, list(profiles.routes.items()))
        )

    def probe(self, *more):
        """The configuration that setup printed is enough for the probe."""
        done = self.outputs[-1]
        printed = done.output.partition("[targets.prod.messenger]\n")[2].splitlines()[:2]
        self.configure("[targets.prod.messenger]", *printed, *more)
        target = load(self.config).target()
        plan = Plan(target=target, probe=OURS["im_chat"], limits=Limits(total_s=10), options={"quiet_s": 0.2})
        return asyncio.run(Runner().run(plan))


@pytest.fixture
def operator_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASTROMETER_STATE", str(tmp_path / "state"))
    stack = []

    def make(version="4.29.3", scopes=("config", "im", "data")):
        operator = Operator(tmp_path, version, scopes)
        served = serve(operator.app)
        operator.url = served.__enter__()
        stack.append(served)
        operator.configure()
        return operator

    yield make
    for served in stack:
        served.__exit__(None, None, None)


@pytest.fixture
def operator(operator_of):
    return operator_of()


def test_the_probe_passes_through_what_setup_made_and_remove_leaves_nothing(operator):
    before = operator.snapshot()
    with OneBotTestClient(operator.messenger.url, operator.messenger.token) as somebody:
        done = operator.setup()
        operator.outputs.append(done)
        assert done.exit_code == 0, done.output
        assert "It works." in done.output
        assert "[targets.prod.keys.data]" in done.output  # the key of the setup is to be revoked
        token = operator.folder / "astrbot_messenger_token"
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        run = operator.probe()
        assert (run.reason, run.note) == ("ok", ""), run.detail
        somebody.private(50_001, "[[ttft=0 tokens=1]]")
        assert len(somebody.wait()) == 1  # the real messenger goes on, before and after
        # The trial and the probe deleted theirs; a run that was killed may have left one.
        assert [row.platform for row in operator.app.store.conversations.rows] == ["messenger"]
        operator.app.store.conversations.current(f"{DEFAULT_ID}:FriendMessage:9100000001")
        removed = operator.remove()
        assert removed.exit_code == 0, removed.output
        assert "removed 1 conversation" in removed.output
        assert "umo_aliases" in removed.output
        somebody.private(50_002, "[[ttft=0 tokens=1]]")
        assert len(somebody.wait(2)) == 2
    assert operator.snapshot() == before
    assert [row.platform for row in operator.app.store.conversations.rows] == ["messenger", "messenger"]


def test_the_profile_is_the_whole_default_one_and_the_route_leads_to_it(operator):
    operator.app.profiles.configs["default"]["something of a plugin's"] = {"kept": True}
    operator.setup()
    (profile_id,) = operator.app.profiles.names
    profile = operator.app.profiles.configs[profile_id]
    assert profile["something of a plugin's"] == {"kept": True}
    assert operator.app.profiles.routes == {ROUTE: profile_id}
    settings = profile["platform_settings"]
    assert (settings["reply_with_quote"], settings["rate_limit"]["count"]) == (True, 1_000_000)
    assert settings["segmented_reply"]["interval"] == "1.5,3.5"  # not named by us: as it was


def test_a_second_setup_says_that_it_is_there_and_changes_nothing(operator):
    operator.setup()
    before = operator.snapshot()
    again = operator.say("setup", yes=False)  # nothing to ask
    assert (again.exit_code, "It was there already, and works." in again.output) == (0, True), again.output
    assert operator.snapshot() == before


@pytest.mark.parametrize("missing", ["adapter", "route", "profile", "switched off", "token file"])
def test_what_is_missing_is_mended(operator, missing):
    operator.outputs.append(operator.setup())
    profiles = operator.app.profiles
    match missing:
        case "adapter":
            operator.delete_adapter()
        case "route":
            profiles.routes.clear()
        case "profile":
            profiles.delete(next(iter(profiles.names)))
        case "switched off":
            # As the dashboard does it; in the loop of the server, which owns the adapter.
            httpx.patch(
                f"{operator.url}/api/v1/bots/enabled",
                headers={"X-API-Key": operator.key.secret},
                json={"bot_id": DEFAULT_ID, "enabled": False},
            ).raise_for_status()
        case "token file":
            (operator.folder / "astrbot_messenger_token").unlink()
    done = operator.setup()
    assert done.exit_code == 0, done.output
    operator.outputs.append(done)
    assert operator.probe().reason == "ok"
    assert len(profiles.names) == 1


def test_a_route_for_all_adapters_does_not_come_before_ours(operator):
    profiles = operator.app.profiles
    theirs, _ = profiles.create("strict", copy.deepcopy(profiles.configs["default"]), checks_admins=False)
    profiles.configs[theirs]["platform_settings"]["id_whitelist"] = ["nobody"]
    profiles.routes |= {"napcat::": theirs, "::": theirs}
    done = operator.setup()
    operator.outputs.append(done)
    assert "before the route ::" in done.output
    assert list(profiles.routes) == [ROUTE, "napcat::", "::"]
    assert operator.probe().reason == "ok"
    operator.remove()
    assert list(profiles.routes.items()) == [("napcat::", theirs), ("::", theirs)]


def test_a_client_that_is_connected_is_left_alone(operator):
    """Such as the exporter: a second client would disturb it."""
    operator.setup()
    token = (operator.folder / "astrbot_messenger_token").read_text().strip()
    with OneBotTestClient(f"ws://127.0.0.1:{operator.port}/ws", token) as exporter:
        again = operator.setup()
        assert (again.exit_code, "a client is connected now" in again.output) == (0, True), again.output
        assert operator.app.store.counters["im_connections"] == 2  # of the first setup, and the exporter's
        exporter.private(50_001, "[[ttft=0 tokens=1]]")
        exporter.wait(2)  # the push that asked for a client, and the answer


def test_whether_a_client_is_connected_cannot_be_told_without_the_scope_im(operator_of):
    operator = operator_of(scopes=("config",))
    operator.setup()
    connections = operator.app.store.counters["im_connections"]
    again = operator.setup()
    assert (again.exit_code, "left alone" in again.output) == (0, True), again.output
    assert operator.app.store.counters["im_connections"] == connections


def test_what_somebody_changed_in_our_profile_is_said_and_stays(operator):
    operator.setup()
    (profile_id,) = operator.app.profiles.names
    operator.app.profiles.configs[profile_id]["t2i"] = True
    before = operator.snapshot()
    assert "but its profile has t2i = True: long answers come as images" in operator.setup().output
    assert operator.snapshot() == before


# where the token is, and which address


def test_the_token_of_a_variable_is_taken_and_no_file_is_written(operator, monkeypatch):
    monkeypatch.setenv("PROBE_TOKEN", "t0ken-of-the-operator")
    done = operator.setup("--token-env", "PROBE_TOKEN")
    assert done.exit_code == 0, done.output
    assert 'env = "PROBE_TOKEN"' in done.output
    assert operator.app.bots.configs[DEFAULT_ID]["ws_reverse_token"] == "t0ken-of-the-operator"
    assert sorted(path.name for path in operator.folder.iterdir()) == ["astrometer.toml", "key"]
    monkeypatch.setenv("PROBE_TOKEN", "another")
    again = operator.setup("--token-env", "PROBE_TOKEN")
    assert (again.exit_code, "another token than the adapter" in again.output) == (2, True)


@pytest.mark.parametrize("token", [None, "", "with blanks", "mit-ß"])
def test_a_token_that_cannot_be_used_is_refused(operator, monkeypatch, token):
    before = operator.snapshot()
    if token is None:
        monkeypatch.delenv("PROBE_TOKEN", raising=False)
    else:
        monkeypatch.setenv("PROBE_TOKEN", token)
    refused(operator, before, operator.setup("--token-env", "PROBE_TOKEN"))


def test_a_file_with_another_token_is_never_written_over(operator):
    operator.setup()
    file = operator.folder / "astrbot_messenger_token"
    file.write_text("somebody-elses")
    before = operator.snapshot()
    done = operator.setup()
    assert (done.exit_code, "--token-file" in done.output) == (2, True)
    assert (operator.snapshot(), file.read_text()) == (before, "somebody-elses")
    other = operator.folder / "deeper" / "token"
    operator.outputs.append(operator.setup("--token-file", str(other)))
    assert 'file = "deeper/token"' in operator.outputs[-1].output
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert operator.probe().reason == "ok"


def test_an_adapter_keeps_its_port_and_one_that_lost_its_token_is_not_used(operator):
    operator.setup()
    before = operator.snapshot()
    done = operator.say("setup", "--port", str(free_port()))
    assert (done.exit_code, f"is there already, with {operator.port}" in done.output) == (2, True)
    assert operator.snapshot() == before
    operator.app.bots.configs[DEFAULT_ID]["ws_reverse_token"] = ""
    done = operator.setup()
    assert (done.exit_code, "anybody can be its client" in done.output) == (2, True)


def test_an_adapter_for_a_container_listens_everywhere_and_is_reached_where_the_server_is(operator):
    done = operator.setup("--listen", "0.0.0.0")
    assert f"on 0.0.0.0:{operator.port}, reached at ws://127.0.0.1:{operator.port}/ws" in done.output
    assert operator.app.bots.configs[DEFAULT_ID]["ws_reverse_host"] == "0.0.0.0"


def test_without_a_configuration_file_variables_are_printed(operator, monkeypatch):
    monkeypatch.setenv("ASTRBOT_API_KEY", operator.key.secret)
    operator.config.unlink()
    given = ["messenger", "setup", "--yes", "--host", operator.url, "--port", str(operator.port)]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    assert f"export ASTRBOT_MESSENGER_URL=ws://127.0.0.1:{operator.port}/ws" in done.output
    file = operator.folder / "astrbot_messenger_token"
    assert f"export ASTRBOT_MESSENGER_TOKEN_FILE={file}" in done.output
    assert file.read_text().strip() not in done.output


# what is refused before anything is changed


def refused(operator, before, done, *words):
    assert done.exit_code == 2, done.output
    for word in words:
        assert word in done.output
    assert operator.snapshot() == before
    assert not (operator.folder / "astrbot_messenger_token").exists()


def test_an_adapter_that_setup_did_not_make_is_never_touched(operator):
    operator.app.bots.configs["napcat"] = {
        "id": "napcat",
        "type": "aiocqhttp",
        "enable": True,
        "ws_reverse_port": operator.port,
        "ws_reverse_token": "T" * 20,
    }
    before = operator.snapshot()
    refused(operator, before, operator.setup("--id", "napcat"), "did not make", "every answer to every user")
    done = operator.remove("--id", "napcat")
    refused(operator, before, done, "not made by astrometer")
    # Its port, under another name.
    refused(operator, before, operator.setup(), f"port {operator.port} belongs to", "napcat")


def test_the_adapter_of_the_real_messenger_is_refused_as_well(operator):
    before = operator.snapshot()
    refused(operator, before, operator.setup("--id", "messenger"), "did not make")
    done = operator.say("setup", "--port", str(operator.messenger.port))
    refused(operator, before, done, "belongs to the server's adapter messenger")


def test_a_port_on_which_something_else_answers_is_refused(operator):
    before = operator.snapshot()
    port = httpx.URL(operator.url).port
    refused(operator, before, operator.say("setup", "--port", str(port)), "something answers at")


def test_without_a_terminal_nothing_is_changed_unless_told(operator):
    before = operator.snapshot()
    refused(operator, before, operator.setup(yes=False), "nobody can be asked", "--yes")


@pytest.mark.parametrize(
    ("scopes", "says"),
    [(("im",), "has not the scope config (it includes bot)"), (("bot",), "has not the scope config")],
)
def test_a_key_without_the_scope_is_told_which_one(operator_of, scopes, says):
    operator = operator_of(scopes=scopes)
    before = operator.snapshot()
    refused(operator, before, operator.setup(), says)


def test_an_old_astrbot_is_told_what_to_do_by_hand(operator_of):
    operator = operator_of(version="4.23.6")
    done = operator.setup()
    assert done.exit_code == 2
    for words in (
        "older than 4.26",
        '"ws_reverse_port"',
        "cmd_config.json",
        "platform_settings.reply_with_quote",
    ):
        assert words in done.output
    assert operator.remove().exit_code == 2


# what fails on the way


def test_a_port_that_is_taken_on_the_server_is_noticed_and_all_is_taken_back(operator):
    """Taken by a listener that does not answer here: AstrBot says ok, and the adapter is in error."""
    before = operator.snapshot()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", operator.port))  # it does not listen, so nothing answers
        done = operator.setup()
    assert done.exit_code == 1, done.output
    assert "the adapter does not start" in done.output
    assert "address already in use" in done.output.lower()
    assert "the server is as it was" in done.output
    assert operator.snapshot() == before
    assert not (operator.folder / "astrbot_messenger_token").exists()


def test_an_adapter_that_cannot_be_reached_from_here_is_taken_back(operator):
    before = operator.snapshot()
    done = operator.setup("--url", f"ws://127.0.0.1:{free_port()}/ws", "--timeout", "3s")
    assert done.exit_code == 1, done.output
    assert "--listen" in done.output
    assert operator.snapshot() == before


@pytest.mark.parametrize("endpoint", ["profile_create", "route_set", "bot_create", "bot_stats"])
def test_what_a_failing_server_made_is_taken_back(operator, endpoint):
    before = operator.snapshot()
    httpx.post(
        f"{operator.url}/sim/faults", json={"kind": "http_500", "count": 1, "endpoint": endpoint}
    ).raise_for_status()
    done = operator.setup()
    assert done.exit_code == 1, done.output
    assert operator.snapshot() == before


def test_what_was_there_before_a_failed_mend_is_not_taken_back(operator):
    operator.setup()
    operator.delete_adapter()
    before = operator.snapshot()
    httpx.post(
        f"{operator.url}/sim/faults", json={"kind": "http_500", "count": 1, "endpoint": "bot_stats"}
    ).raise_for_status()
    assert operator.setup().exit_code == 1
    assert operator.snapshot() == before


def test_ctrl_c_takes_back_what_was_made(operator):
    before = operator.snapshot()

    def interrupt():
        while DEFAULT_ID not in operator.app.bots.configs:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    done = operator.setup("--url", f"ws://127.0.0.1:{free_port()}/ws")  # which it would wait for
    assert done.exit_code == 130, done.output
    assert operator.snapshot() == before
    assert not (operator.folder / "astrbot_messenger_token").exists()


def test_a_few_429_are_waited_for(operator):
    httpx.post(
        f"{operator.url}/sim/faults", json={"kind": "http_429", "count": 2, "endpoint": "profile_create"}
    ).raise_for_status()
    assert operator.setup().exit_code == 0


# removal


def test_remove_is_fine_twice_and_with_half_of_it(operator):
    before = operator.snapshot()
    assert "nothing of" in operator.remove().output
    operator.setup()
    operator.delete_adapter()
    assert operator.remove().exit_code == 0
    assert operator.snapshot() == before
    assert operator.remove().exit_code == 0


def test_without_the_scope_data_it_says_which_conversations_stay(operator_of):
    operator = operator_of(scopes=("config",))
    operator.outputs.append(operator.setup())
    operator.probe()
    done = operator.remove()
    assert done.exit_code == 0
    assert "has not the scope data" in done.output
    assert len(operator.app.store.conversations.rows) == 1


def test_people_of_an_earlier_adapter_of_the_same_name_keep_their_conversations(operator):
    operator.app.store.conversations.current(f"{DEFAULT_ID}:FriendMessage:777").created_at -= 3600
    operator.outputs.append(operator.setup())
    operator.probe()
    done = operator.remove()
    assert "1 conversation of an adapter of the same name" in done.output
    assert [row.umo[-3:] for row in operator.app.store.conversations.rows] == ["777"]
