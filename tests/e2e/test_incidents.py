"""What is wrong with a real AstrBot -> its state, the page about it, and nothing else.

Real exporter, Prometheus, Alertmanager; one incident after the other. $ASTROMETER_INCIDENTS_ASTRBOT names
another version than the latest.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import server_faults
import watch_stack
from onebot_client import OneBotTestClient
from required import needs

from astrometer.targets.sandbox.box import Box, SandboxOptions, sandbox
from astrometer.targets.script import ModelScript

pytestmark = [
    pytest.mark.process,
    pytest.mark.astrbot,
    pytest.mark.promtool,
    pytest.mark.timeout(420),
    pytest.mark.skipif("not os.environ.get('ASTROMETER_WHOLE')", reason="three minutes: make test-whole"),
]
VERSION = os.environ.get("ASTROMETER_INCIDENTS_ASTRBOT", "latest")
# Three runs of the slowest probe that tells of it, each up to its deadline, and what the rules add.
LIMIT_S = 60.0
QUICK = (
    *watch_stack.QUICK,
    ('short = "5s"\nfor = "1s"', 'short = "5s"\nfor = "5s"'),  # in windows this short a burn overtakes Down
    ("ttft_seconds = 3 ", "ttft_seconds = 1.5 "),
    ('window = "1h" # how long the alert stays', 'window = "8s" # how long the alert stays'),
    ('window = "3h"', 'window = "8s"'),
    ('for = "6m"', 'for = "1s"'),
    ('for = "3m"', 'for = "2s"'),
)
PROBES = ("reads", "chat", "im", "scopes")
CONFIG = """
[targets.prod]
url = "{url}"
concurrency = 4
[targets.prod.keys.all]
env = "KEY"
scopes = ["chat", "config", "file", "im"]
[probes.reads]
interval = "1s"
timeout = "3s"
[probes.chat]
interval = "3s"
timeout = "10s"
cleanup = "3s"
options = {{ question = "{question}", slow_after_s = 1.5 }}
[probes.im]
interval = "2s"
timeout = "5s"
options = {{ adapters = ["messenger"] }}
[probes.scopes]
interval = "6s"
timeout = "20s"
"""
WELL = "[probe] Answer with {nonce}"


@dataclass
class Watch:
    """A watched AstrBot."""

    box: Box
    config: Path
    process: object
    exporter: str
    prometheus: str
    alertmanager: str
    messenger: ExitStack = field(default_factory=ExitStack)
    seen: set[tuple[str, str]] = field(default_factory=set)  # every alert and its receiver, so far

    def ask(self, question: str) -> None:
        """Another question, on which the model behaves as its directive says."""
        self.config.write_text(CONFIG.format(url=self.box.url, question=question))
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

    def settles(self, state: str | None, *alerts: tuple[str, str]) -> None:
        def found() -> bool:
            return self.sent == set(alerts) and self.state == state

        watch_stack.wait_for(found, LIMIT_S, lambda: (self.state, self.sent))

    @contextmanager
    def incident(self, state: str, *alerts: tuple[str, str]) -> Iterator[ExitStack]:
        """All is well; while it lasts there is this state and these alerts; then all is well again."""
        self.settles("ok")
        self.seen.clear()
        with ExitStack() as undo:
            yield undo
            self.settles(state, *alerts)
            assert f">{state.replace('_', ' ').upper()}" in self.page
        self.settles("ok")
        assert self.seen == set(alerts)


@pytest.fixture(scope="module")
def watch(tmp_path_factory):
    needs("promtool", "prometheus", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("incidents")
    model = ModelScript(ttft_s=0.05, gap_s=0.0, tokens=5)
    with ExitStack() as stack:
        box = stack.enter_context(sandbox(SandboxOptions(version=VERSION, model=model)))
        box.open_messenger()
        config = folder / "astrometer.toml"
        config.write_text(CONFIG.format(url=box.url, question=WELL))
        key = {"KEY": box.keys["all"]}
        process, address = stack.enter_context(watch_stack.exporter(config, PROBES, key))
        alertmanager = stack.enter_context(watch_stack.alertmanager(folder))
        scrapes = watch_stack.prometheus(folder, address, quick=QUICK, alerts_to=alertmanager)
        watched = Watch(box, config, process, address, stack.enter_context(scrapes), alertmanager)
        stack.callback(watched.messenger.close)
        watched.connect()
        watched.settles("ok")
        yield watched


@pytest.mark.usefixtures("python_for_astrbot")
def test_each_incident_has_its_state_and_its_page_and_no_other(watch):
    with watch.incident("key_rejected", ("AstrBotKeyRejected", "pages")) as undo:
        undo.enter_context(server_faults.revoked_key(watch.box, "all"))
    with watch.incident("leak", ("AstrBotScopeLeak", "security")) as undo:
        undo.enter_context(server_faults.gained_scope(watch.box, "all", "data"))
    with watch.incident("model_failing", ("AstrBotUpstreamLLMFailing", "upstream-pages")) as undo:
        undo.callback(watch.ask, WELL)
        watch.ask("[[fail=401]] {nonce}")
    with watch.incident("slow", ("AstrBotTTFTBurn", "upstream-pages")) as undo:
        undo.callback(watch.ask, WELL)
        watch.ask("[[ttft=2.2]] {nonce}")
    with watch.incident("messenger_failing", ("AstrBotMessengerLinkDown", "pages")) as undo:
        undo.callback(watch.connect)
        watch.messenger.close()
    with watch.incident("down", ("AstrBotDown", "pages")) as undo:
        undo.enter_context(server_faults.frozen(watch.box))
    with watch.incident("down", ("AstrBotDown", "pages")) as undo:
        undo.callback(watch.connect)
        undo.callback(watch.box.restart)
        watch.messenger.close()
        watch.box.kill(15)
    watch.seen.clear()
    watch.process.kill()
    watch.settles(None, ("AstrBotProbeAbsent", "pages"))
    assert watch.seen == {("AstrBotProbeAbsent", "pages")}
