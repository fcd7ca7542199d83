"""`astrometer messenger` on real AstrBots: setup, the probe, remove, beside a messenger that is in use."""

import asyncio
import json
import re
import socket

import box_control
import pytest
from click.testing import CliRunner
from onebot_client import OneBotTestClient

from astrometer import bundled
from astrometer.cli import main
from astrometer.config.loader import load
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.database import opened

OURS = load_folder(bundled.folder("probes")).probes
ADAPTER = "astrometer-probe"
pytestmark = [pytest.mark.process, pytest.mark.astrbot, pytest.mark.timeout(240)]
# What AstrBot has of a platform, by table and the column that names it.
TABLES = {
    "conversations": "user_id",
    "preferences": "scope_id",
    "umo_aliases": "umo",
    "provider_stats": "umo",
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Operator:
    """Somebody with a real AstrBot, in whose messenger somebody is connected."""

    def __init__(self, box, folder, scopes=("config", "im", "data")):
        self.box = box
        self.secret = box.dashboard.create_key("operator", scopes).secret if scopes else box.keys["all"]
        self.port = free_port()
        (folder / "key").write_text(self.secret)
        self.config = folder / "astrometer.toml"
        self.lines = ["[targets.prod]", f'url = "{box.url}"', 'keys.main = { file = "key" }']
        self.config.write_text("\n".join(self.lines))

    def say(self, name, *more):
        done = CliRunner().invoke(main, ["messenger", name, "--yes", "--config", str(self.config), *more])
        assert "Traceback" not in done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        text = json.dumps(self.settings()["platform"])
        tokens = [one["ws_reverse_token"] for one in json.loads(text) if one["type"] == "aiocqhttp"]
        for secret in (self.secret, *tokens):
            assert secret not in done.output
        return done

    def settings(self):
        return json.loads((self.box.data_dir / "cmd_config.json").read_text("utf-8-sig"))

    def probe(self):
        plan = Plan(
            target=load(self.config).target(),
            probe=OURS["im_chat"],
            limits=Limits(total_s=20),
            options={"quiet_s": 1.0},
        )
        return asyncio.run(Runner().run(plan))

    def ask_as_load_does(self):
        """By a user who is not one of the probe's."""
        access = load(self.config).target().messenger
        with OneBotTestClient(access.url, access.token.reveal()) as user:
            user.private(60_001, "[[ttft=0 tokens=1]]")
            assert len(user.wait()) == 1

    def rows(self):
        """What the database holds of our adapter."""
        found = {}
        with opened(self.box.data_dir, "ro") as database:
            there = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            for table, column in TABLES.items():
                if table in there:
                    query = f"SELECT count(*) FROM {table} WHERE {column} LIKE ?"
                    found[table] = database.execute(query, (f"{ADAPTER}:%",)).fetchone()[0]
        return found

    def profiles(self):
        return sorted((self.box.data_dir / "config").glob("abconf_*.json"))


@pytest.fixture(params=["4.29.3", "4.26.8"])
def operator(request, real_astrbot, tmp_path):
    box = real_astrbot(request.param)
    box.open_messenger(MessengerProfile())
    operator = Operator(box, tmp_path)
    yield operator
    operator.say("remove")
    box_control.close_messenger(box)


def test_setup_probe_remove_and_only_what_is_documented_stays(operator, tmp_path):
    box, before = operator.box, operator.settings()
    profiles, rows = operator.profiles(), operator.rows()
    with OneBotTestClient(box.messenger.url, box.messenger.token) as somebody:
        done = operator.say("setup", "--port", str(operator.port))
        assert done.exit_code == 0, done.output
        printed = done.output.partition("[targets.prod.messenger]\n")[2].splitlines()[:2]
        operator.config.write_text("\n".join([*operator.lines, "[targets.prod.messenger]", *printed]))
        again = operator.say("setup")
        assert "It was there already, and works." in again.output, again.output
        runs = [operator.probe() for _ in range(2)]
        assert [(run.reason, run.note) for run in runs] == [("ok", "")] * 2, [run.detail for run in runs]
        assert {turn.matched_by for run in runs for turn in run.im_turns} == {"quote"}
        somebody.private(50_001, "[[ttft=0 tokens=1]]")
        assert len(somebody.wait()) == 1
        operator.ask_as_load_does()
        removed = operator.say("remove")
        assert removed.exit_code == 0, removed.output
        assert re.search(r"removed \d conversation", removed.output)
        somebody.private(50_001, "[[ttft=0 tokens=1]]")
        assert len(somebody.wait(2)) == 2
    assert operator.settings() == before
    assert operator.profiles() == profiles
    left = {table: count - rows[table] for table, count in operator.rows().items()}
    assert left.pop("provider_stats") == 3
    assert left.pop("umo_aliases", 0) == (3 if box.version.startswith("4.29") else 0)
    assert left == {"conversations": 0, "preferences": 0}
    assert "nothing of" in operator.say("remove").output


def test_a_port_in_use_on_the_server_takes_everything_back(operator):
    before, profiles = operator.settings(), operator.profiles()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", operator.port))
        done = operator.say("setup", "--port", str(operator.port))
    assert done.exit_code == 1, done.output
    assert "address already in use" in done.output.lower()
    assert (operator.settings(), operator.profiles()) == (before, profiles)


def test_the_adapter_in_use_is_refused(operator):
    before = operator.settings()
    taken = operator.say("setup", "--id", "messenger")
    assert (taken.exit_code, "did not make" in taken.output) == (2, True), taken.output
    port = operator.say("setup", "--port", str(operator.box.messenger.port))
    assert (port.exit_code, "belongs to the server's adapter messenger" in port.output) == (2, True)
    assert operator.say("remove", "--id", "messenger").exit_code == 2
    assert operator.settings() == before


def test_an_old_astrbot_is_told_what_to_do_by_hand(real_astrbot, tmp_path):
    operator = Operator(real_astrbot("4.23.6"), tmp_path, scopes=())
    done = operator.say("setup")
    assert done.exit_code == 2
    for words in ("older than 4.26", '"ws_reverse_port": 16186', "cmd_config.json"):
        assert words in done.output
    assert operator.say("remove").exit_code == 2
