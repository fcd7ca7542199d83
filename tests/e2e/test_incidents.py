"""What is wrong with a real AstrBot -> its state, the page about it, one message, and nothing else.

Real exporter, Prometheus, Alertmanager; one incident after the other. $ASTROMETER_INCIDENTS_ASTRBOT names
another version than the latest.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import box_control
import httpx
import pytest
import server_faults
import watch_stack
from astrbot_on_disk import own_code, update
from onebot_client import OneBotTestClient
from receivers import Receivers, receivers
from required import needs

from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.box import Box, SandboxOptions, sandbox
from astrometer.targets.sandbox.index_versions import latest_version
from astrometer.targets.sandbox.install import install
from astrometer.targets.script import ModelScript

pytestmark = [
    pytest.mark.process,
    pytest.mark.astrbot,
    pytest.mark.promtool,
    pytest.mark.timeout(420),
    pytest.mark.skipif("not os.environ.get('ASTROMETER_WHOLE')", reason="four minutes: make test-whole"),
]
VERSION = os.environ.get("ASTROMETER_INCIDENTS_ASTRBOT", "latest")
# Three runs of the slowest probe that tells of it, each up to its deadline, and what the rules add.
LIMIT_S = 60.0
QUICK = {
    **watch_stack.QUICK,
    # A burn must not outlast the memory of Down, which is as long as its short window: recording takes 3 s.
    ("burn", "for"): "10s",
    ("slo", "ttft_seconds"): 1.5,
    **{(table, "window"): "8s" for table in ("scope_leak", "canary_mismatch", "truncated", "stalled")},
    **{(table, "window"): "8s" for table in ("messenger_silent", "messenger_link_down")},
    **{(table, "window"): "8s" for table in ("cleanup_failing", "budget_exhausted")},
    **{(table, "for"): "1s" for table in ("messenger_silent", "messenger_link_down")},
    **{(table, "for"): "1s" for table in ("not_restarted", "budget_exhausted")},
    ("absent", "for"): "2s",
}
MODEL = ModelScript(ttft_s=0.05, gap_s=0.0, tokens=5)
PROBES = ("reads", "chat", "im", "scopes", "server")
CONFIG = """
[[notify]]
name = "phone"
webhook = {{ env = "HOOK" }}
after = "2s"
[[notify]]
name = "kuma"
kuma = {{ env = "PUSH" }}
after = "2s"
[targets.prod]
url = "{url}"
concurrency = 4
budget.runs_per_day = {runs}
[targets.prod.keys.all]
env = "KEY"
scopes = ["chat", "config", "file", "im"]
[probes.server]
interval = "{server}s"
timeout = "5s"
[probes.reads]
interval = "{reads}s"
timeout = "3s"
[probes.chat]
interval = "{chat}s"
timeout = "10s"
cleanup = "3s"
options = {{ question = "{question}", slow_after_s = 1.5 }}
[probes.im]
interval = "{im}s"
timeout = "5s"
options = {{ adapters = ["messenger"] }}
[probes.scopes]
interval = "{scopes}s"
timeout = "20s"
"""
WELL, MANY = "[probe] Answer with {nonce}", 100_000
OFTEN = {"server": 20, "reads": 1, "chat": 3, "im": 2, "scopes": 6}
# As seldom as by default, beside how long a restart takes: fewer than three runs of a probe fall into it.
SELDOM, PATIENCE_S = dict.fromkeys(OFTEN, 40), 150.0


@dataclass
class Watch:
    """A watched AstrBot."""

    box: Box
    config: Path
    process: object
    exporter: str
    prometheus: str
    alertmanager: str
    receivers: Receivers
    messenger: ExitStack = field(default_factory=ExitStack)
    seen: set[tuple[str, str]] = field(default_factory=set)  # every alert and its receiver, so far

    def ask(self, question: str = WELL, runs: int = MANY, every: dict[str, int] = OFTEN) -> None:
        """Another question, on which the model behaves as its directive says; runs a day; intervals."""
        text = CONFIG.format(url=self.box.url, question=question, runs=runs, **every)
        self.config.write_text(text)
        httpx.post(f"http://{self.exporter}/-/reload", trust_env=False).raise_for_status()

    def connect(self) -> None:
        access = self.box.messenger
        self.messenger.enter_context(OneBotTestClient(access.url, access.token))

    @property
    def state(self) -> str | None:
        query = "astrbot_probe_target_state == 1"
        found = watch_stack.read(f"{self.prometheus}/api/v1/query", query=query)["data"]["result"]
        return found[0]["metric"]["state"] if found else None

    @property
    def states(self) -> set[str]:
        """Those of the last two minutes."""
        query = "max_over_time(astrbot_probe_target_state[2m]) == 1"
        found = watch_stack.read(f"{self.prometheus}/api/v1/query", query=query)["data"]["result"]
        return {one["metric"]["state"] for one in found}

    @property
    def restarts(self) -> int:
        """Of AstrBot, as the dashboards mark them."""
        query = "sum(changes(astrbot_probe_target_start_timestamp_seconds[1h]))"
        (found,) = watch_stack.read(f"{self.prometheus}/api/v1/query", query=query)["data"]["result"]
        return int(found["value"][1])

    @property
    def sent(self) -> set[tuple[str, str]]:
        """Alerts that go to people now: neither silenced nor inhibited."""
        url = f"http://{self.alertmanager}/api/v2/alerts"
        alerts = watch_stack.read(url, active="true", inhibited="false", silenced="false")
        told = {(one["labels"]["alertname"], one["receivers"][0]["name"]) for one in alerts}
        told.discard(("AstrBotProbeWatchdog", "dead-mans-switch"))
        self.seen |= told
        return told

    @property
    def page(self) -> str:
        return httpx.get(f"http://{self.exporter}/", trust_env=False).text

    def settles(self, state: str | None, *alerts: tuple[str, str], limit_s: float = LIMIT_S) -> None:
        def found() -> bool:
            return self.sent == set(alerts) and self.state == state

        watch_stack.wait_for(found, limit_s, lambda: (self.state, self.sent))

    @contextmanager
    def incident(
        self, state: str, *alerts: tuple[str, str], layer: str, says: str, cure: str
    ) -> Iterator[ExitStack]:
        """All is well; while it lasts there is this state and these alerts; then all is well again.

        One message tells of it, and another of its end; the push monitor is down in between.
        """
        self.settles("ok")
        self.seen.clear()
        self.receivers.messages.clear()
        self.receivers.pushes.clear()
        with ExitStack() as undo:
            yield undo
            self.settles(state, *alerts)
            assert f">{state.replace('_', ' ').upper()}" in self.page
            told, *more = self.receivers.wait(1, LIMIT_S)
            assert not more, [told, *more]
            assert (told["status"], told["layer"]) == ("problem", layer), told
            assert says in told["title"]
            assert cure in told["text"]
        self.settles("ok")
        assert self.seen == set(alerts)
        told, over = self.receivers.wait(2, LIMIT_S)
        assert (over["status"], over["layer"]) == ("resolved", layer), over
        turns = [status for status, _ in groupby(push["status"] for push in self.receivers.pushes)]
        assert turns[-2:] == ["down", "up"], turns
        assert len(turns) <= 3, turns  # and up before


@pytest.fixture
def watch(tmp_path):
    with watched_astrbot(tmp_path, SandboxOptions(version=VERSION, model=MODEL)) as watched:
        yield watched


@contextmanager
def watched_astrbot(folder: Path, options: SandboxOptions, every: dict[str, int] = OFTEN) -> Iterator[Watch]:
    needs("promtool", "prometheus", "prometheus-alertmanager")
    with ExitStack() as stack:
        box = stack.enter_context(sandbox(options))
        box.open_messenger(MessengerProfile())
        config = folder / "astrometer.toml"
        config.write_text(CONFIG.format(url=box.url, question=WELL, runs=MANY, **every))
        told = stack.enter_context(receivers())
        environment = {"KEY": box.keys["all"], "HOOK": told.hook, "PUSH": told.push}
        process, address = stack.enter_context(watch_stack.exporter(config, PROBES, environment))
        alertmanager = stack.enter_context(watch_stack.alertmanager(folder))
        scrapes = watch_stack.prometheus(folder, address, quick=QUICK, alerts_to=alertmanager)
        watched = Watch(box, config, process, address, stack.enter_context(scrapes), alertmanager, told)
        stack.callback(watched.messenger.close)
        watched.connect()
        watched.settles("ok", limit_s=PATIENCE_S)
        yield watched


@pytest.mark.usefixtures("python_for_astrbot")
def test_key_leak_model_and_messenger_have_their_state_page_and_message_and_no_other(watch):
    key = {"layer": "key", "says": "the key is refused (401)", "cure": "Make a new key"}
    with watch.incident("key_rejected", ("AstrBotKeyRejected", "pages"), **key) as undo:
        undo.enter_context(server_faults.revoked_key(watch.box, "all"))
    leak = {"layer": "key", "says": "more than its scopes say", "cure": "Take the scope away"}
    with watch.incident("leak", ("AstrBotScopeLeak", "security"), **leak) as undo:
        undo.enter_context(server_faults.gained_scope(watch.box, "all", "data"))
    model = {"layer": "model", "says": "401 from the provider", "cure": "Put a valid key of the provider"}
    with watch.incident("model_failing", ("AstrBotUpstreamLLMFailing", "upstream-pages"), **model) as undo:
        undo.callback(watch.ask)
        watch.ask("[[fail=401]] {nonce}")
    slow = {"layer": "model", "says": "SLOW (model): answers are good, but late", "cure": "faster model"}
    with watch.incident("slow", ("AstrBotTTFTBurn", "upstream-pages"), **slow) as undo:
        undo.callback(watch.ask)
        watch.ask("[[ttft=2.2]] {nonce}")
    cut = {"layer": "messenger", "says": "no messenger is connected", "cure": "Start the messenger's client"}
    with watch.incident("messenger_failing", ("AstrBotMessengerLinkDown", "pages"), **cut) as undo:
        undo.callback(watch.connect)
        watch.messenger.close()


@pytest.mark.usefixtures("python_for_astrbot")
def test_an_outage_a_spent_budget_and_a_dead_exporter_have_theirs(watch):
    """With receivers of its own: nobody is told more than twelve times an hour."""
    spent = {"layer": "model", "says": "BUDGET SPENT", "cure": "Raise the budget"}
    with watch.incident("unknown", ("AstrBotBudgetExhausted", "tickets"), **spent) as undo:
        undo.callback(watch.ask)
        watch.ask(runs=1)
    frozen = {"layer": "astrbot", "says": "no answer in time", "cure": "then restart it"}
    with watch.incident("down", ("AstrBotDown", "pages"), **frozen) as undo:
        undo.enter_context(server_faults.frozen(watch.box))
    stopped = {"layer": "network", "says": "nothing listens at its address", "cure": "Start AstrBot"}
    with watch.incident("down", ("AstrBotDown", "pages"), **stopped) as undo:
        undo.callback(watch.connect)
        undo.callback(watch.box.restart)
        watch.messenger.close()
        box_control.kill(watch.box, 15)
    watch_stack.wait_for(lambda: watch.restarts == 1, LIMIT_S, lambda: watch.page)
    assert "Started 2 times in 30 days" in watch.page
    watch.seen.clear()
    watch.process.kill()
    watch.settles(None, ("AstrBotProbeAbsent", "pages"))
    assert watch.seen == {("AstrBotProbeAbsent", "pages")}
    assert len(watch.receivers.messages) == 2  # those of the last incident


@pytest.mark.usefixtures("python_for_astrbot")
def test_an_update_is_a_ticket_until_the_restart_which_is_a_mark_and_wakes_nobody(tmp_path):
    """Asked as seldom as by default: while AstrBot restarts, no probe fails three times."""
    installed = own_code(install(VERSION if VERSION != "latest" else latest_version()), tmp_path / "astrbot")
    with watched_astrbot(tmp_path, SandboxOptions(installation=installed, model=MODEL), SELDOM) as watch:
        watch.seen.clear()
        update(installed, "4.99.0")
        watch.ask(every=SELDOM, runs=MANY + 1)  # to another target the exporter asks for the version anew
        watch.settles("ok", ("AstrBotNotRestarted", "tickets"), limit_s=PATIENCE_S)
        assert "4.99.0 is on disk: restart AstrBot" in watch.page
        watch.messenger.close()
        box_control.restart(watch.box)
        watch.connect()
        watch_stack.wait_for(lambda: watch.restarts == 1, PATIENCE_S, lambda: watch.page)
        watch.settles("ok", limit_s=PATIENCE_S)
        assert "AstrBot 4.99.0, runs since" in watch.page
        assert "Started 2 times in 30 days" in watch.page
        assert watch.seen == {("AstrBotNotRestarted", "tickets")}
        assert watch.states <= {"ok", "unknown"}  # unknown: the target was another one, and not asked yet
        assert watch.receivers.messages == []
