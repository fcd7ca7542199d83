"""What a hostile server, scraper or answer can do to the exporter: nothing but fail its own probe."""

import asyncio
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from click.testing import CliRunner
from hostile import STREAM, Hostile, hostile

from astrometer.cli import main
from astrometer.cli.parts.probe_sources import Sources
from astrometer.cli.shared.server_options import Server
from astrometer.config.loader import load
from astrometer.config.settings import ConfigError
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.exporter.reload import Reloader
from astrometer.probing.schedule import Schedule
from astrometer.probing.verdict import Verdict

MEGABYTE = b"x" * 1024 * 1024
GIGABYTE = 1024 * len(MEGABYTE)


def one_line() -> Iterator[bytes]:
    yield STREAM + b"data: "
    for _ in range(1024):
        yield MEGABYTE


def one_event() -> Iterator[bytes]:
    yield STREAM
    for _ in range(1024):
        yield (b"data: " + b"x" * 1017 + b"\n") * 1024


def many_events() -> Iterator[bytes]:
    yield STREAM
    event = b'data: {"type": "plain", "streaming": true, "data": "%s"}\n\n' % (b"x" * 8192)
    for _ in range(1024):
        yield event * 128


def no_stream() -> Iterator[bytes]:
    yield b"HTTP/1.1 500 Oh\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    for _ in range(1024):
        yield MEGABYTE


def noise() -> Iterator[bytes]:
    yield STREAM + b'data: {"type": "plain", "streaming": true, "data": "\xff\xfe\xc3("}\n\n'
    usage = b'{"token_usage": {"input_other": 9, "input_cached": 0, "output": 1}}'
    yield b'\xff\xfe\x00\x01\n\ndata: {"type": "agent_stats", "data": ' + usage + b"}\n\n"
    yield b'data: {"type": "end", "data": ""}\n\n'


async def ask(ctx):
    return Verdict.of(await ctx.chat("hi", canary=ctx.nonce))


@pytest.mark.parametrize("chat", [one_line, one_event, many_events, no_stream])
def test_a_gigabyte_of_anything_is_cut_off_and_not_kept(bench, chat):
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile(chat) as server:
        run = bench.run(bench.target("all", url=server.url), ask, total_s=8)
        time.sleep(0.1)
        assert not run.ok
        assert server.sent < 2 * GIGABYTE  # the question, and the command before it
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 400 * 1024


def test_bytes_that_are_no_text_fail_the_probe_and_nothing_else(bench):
    with hostile(noise) as server:
        run = bench.run(bench.target("all", url=server.url), ask, total_s=20)
    assert run.reason == "canary_mismatch"


def test_a_redirect_is_never_followed_so_no_key_reaches_another_host(bench):
    def elsewhere(_head: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

    other = Hostile(elsewhere)

    def redirect(_head: bytes) -> Iterator[bytes]:
        place = other.url.encode() + b"/api/v1/chat"
        yield b"HTTP/1.1 307 Go\r\nLocation: " + place + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    first = Hostile(redirect)

    async def probe(ctx):
        from astrometer.api.endpoints import CONFIGS

        await ctx.get(CONFIGS, ctx.key("config"))
        return Verdict.of(await ctx.chat("hi"))

    run = bench.run(bench.target("all", url=first.url), probe, total_s=20)
    assert not run.ok
    assert first.seen
    assert other.seen == []


@pytest.mark.parametrize(
    "name", ["http://evil.example", "..", "sim/../../etc", "%00", "sim&target=x", "Sim", ""]
)
def test_no_name_but_a_configured_one_is_probed(bench, tmp_path, name):
    exporter = stage(bench, tmp_path)[0]
    (answer,) = get(exporter, f"/probe?target={quote(name)}&probe=tell")
    assert answer.status_code == 400
    assert name not in answer.text or not name
    assert not bench.store.counters["requests_chat"]


@pytest.mark.parametrize("text", ["abk\r\nX-Evil: 1", "abk\nx", "abk\0", "ab k", "ключ", "\t"])
def test_a_key_that_would_be_more_than_one_header_is_refused_and_not_shown(tmp_path, text):
    config = tmp_path / "astrometer.toml"
    config.write_text('[targets.a]\nurl = "http://x"\nkeys.k = { file = "key" }\n')
    (tmp_path / "key").write_text(f"a{text}a", newline="")
    with pytest.raises(ConfigError, match="not an API key") as refused:
        load(config, {})
    assert text.strip() not in str(refused.value) or not text.strip()


# --- keys in outputs

TELLTALE = """
from urllib.parse import quote
from astrometer.api.outcome import Outcome
from astrometer.probing import Verdict
COSTS_TOKENS = True
INTERVAL = 3600
async def probe(ctx):
    key = ctx.target.keys["all"].secret.reveal()
    ctx.log(f"the key is {key}")
    ctx.note(f"remember {key}")
    await ctx.chat(f"[[say={quote(key)}]] hi", canary=ctx.nonce)
    return Verdict.failed(Outcome.CANARY_MISMATCH, f"it said {key}")
"""
RAISING = """
INTERVAL = 3600
async def probe(ctx):
    raise RuntimeError(ctx.target.keys["all"].secret.reveal())
"""


def stage(bench, folder: Path) -> tuple[Exporter, list[str], Path]:
    """An exporter with all keys of the simulator, probes that tell them, and what it logs."""
    probes = folder / "probes"
    probes.mkdir()
    (probes / "tell.py").write_text(TELLTALE)
    (probes / "fall.py").write_text(RAISING)
    config = folder / "astrometer.toml"
    lines = ["[targets.sim]", f'url = "{bench.url}"']
    for name, key in bench.store.keys.items():
        (folder / f"{name}.key").write_text(key.secret)
        lines.append(f'keys.{name} = {{ file = "{name}.key" }}')
    config.write_text("\n".join(lines) + "\n[exporter]\nmax_series = 9000\n")
    ours = Path(__file__).parents[2] / "probes"
    sources = Sources(
        server=Server(config_file=config),
        names=(),
        folders=(ours, probes),
        web_file=None,
        state_dir=folder / "state",
    )
    loaded = sources.read()
    exporter = Exporter(loaded.config, loaded.plans)
    said: list[str] = [loaded.summary]
    schedule = Schedule(exporter.runner, loaded.plans, exporter)
    exporter.reload = Reloader(exporter, schedule, sources.read, said.append).reload
    return exporter, said, config


def get(exporter: Exporter, *paths: str, **headers: str) -> list[httpx.Response]:
    async def go() -> list[httpx.Response]:
        transport = httpx.ASGITransport(exporter.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://e", timeout=60) as client:
            answers = []
            for path in paths:
                method = "POST" if path == "/-/reload" else "GET"
                answers.append(await client.request(method, path, headers=headers))
                await asyncio.gather(*exporter.runner.tasks)
        return answers

    return asyncio.run(go())


def test_no_output_of_a_whole_run_holds_a_key(bench, tmp_path):
    exporter, said, config = stage(bench, tmp_path)
    probes = [plan.probe.name for plan in exporter.plans.values()]

    async def scheduled() -> None:
        for plan in exporter.plans.values():
            exporter.finished(await exporter.runner.run(plan))

    asyncio.run(scheduled())
    asked = [f"/probe?target=sim&probe={name}{debug}" for name in probes for debug in ("", "&debug=true")]
    pages = ["/", "/metrics", "/history", "/history?failed=true", "/config", "/-/healthy", "/-/ready"]
    logs = [f"/history/{kept.number}" for kept in exporter.history.newest_first()]
    wrong = ["/probe", "/probe?target=sim&probe=nope", "/history/999999", "/nowhere", "/-/reload"]
    answers = get(exporter, *asked, *pages, *logs, *wrong)
    answers += get(exporter, "/metrics", asked[0], accept="application/openmetrics-text; version=1.0.0")
    text = config.read_text()
    config.write_text(text + "[probes.nope]\n")
    answers += get(exporter, "/-/reload")
    assert answers[-1].status_code == 500
    config.write_text(text)
    outputs = [f"{answer.headers} {answer.text}" for answer in answers] + said
    arguments = ["probe", "--config", str(config), "--probes", "ours", "--probes", str(tmp_path / "probes")]
    for option in (["--once", "--json"], ["--once"], ["--check"], ["--once", "--probe", "nope"]):
        result = CliRunner().invoke(main, [*arguments, *option], catch_exceptions=False)
        outputs += [result.stdout, result.stderr]
    outputs += [path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert sum("***" in output for output in outputs) > 4  # it was said, and masked
    for name, key in bench.store.keys.items():
        for form in (key.secret, quote(key.secret, safe="")):
            shown = [output[:300] for output in outputs if form in output]
            assert not shown, f"key {name} is shown"


def test_an_answer_with_markup_is_text_on_every_page(bench, tmp_path):
    exporter = stage(bench, tmp_path)[0]
    hostile_text = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    run = replace(bench.ask(f"[[say={quote(hostile_text)}]]"), probe="chat")
    exporter.finished(run)
    number = exporter.history.newest_first()[0].number
    landing, history, log = get(exporter, "/", "/history", f"/history/{number}")
    assert "<script" not in landing.text + history.text
    assert "<img" not in landing.text + history.text
    assert "&lt;script&gt;" in history.text
    # The log is plain text, which no browser may take for anything else.
    assert log.headers["content-type"].startswith("text/plain")
    for page in (landing, history, log):
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in page.headers["content-security-policy"]
