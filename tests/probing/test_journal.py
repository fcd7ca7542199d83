"""The leak journal: what is made is on disk first, and what a crash leaves is removed by the next start."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import httpx
import pytest

from astrometer.api.messages import Attachment, Plain
from astrometer.probing.journal import FOLDER, FORGET_AFTER_S, Journal
from astrometer.probing.probe import Context, Upload, Verdict
from astrometer.probing.runner import Runner


@pytest.fixture
def journal(tmp_path):
    """Makes journals in one folder, as several processes would."""
    made = []

    def make(**more) -> Journal:
        made.append(Journal(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def die(journal: Journal) -> None:
    """What the end of a process does: the lock is gone, the file stays."""
    assert journal._file is not None
    journal._file.close()
    journal._file = journal._path = None


def lines(folder) -> str:
    return "".join(path.read_text() for path in (folder / FOLDER).glob("*.jsonl"))


def test_a_session_is_in_the_journal_before_it_is_made_and_out_of_it_when_it_is_gone(
    bench, tmp_path, journal
):
    seen: list[bool] = []
    ours = journal()

    async def probe(ctx: Context) -> Verdict:
        turn = await ctx.chat("hi")
        seen.append(str(turn.session_id) in lines(tmp_path))
        return Verdict.of(turn)

    run = asyncio.run(Runner(journal=ours).run(bench.plan(bench.target("all"), probe)))
    assert (run.reason, seen, len(ours)) == ("ok", [True], 0)
    assert bench.store.keys["all"].secret not in lines(tmp_path)
    ours.close()
    assert list((tmp_path / FOLDER).iterdir()) == []


CRASHER = """
import asyncio, sys
from astrometer.config import Key, Secret, Target
from astrometer.probing.files import Probe
from astrometer.probing.journal import Journal
from astrometer.probing.probe import Limits, Upload
from astrometer.probing.runner import Plan, Runner
from pathlib import Path

async def probe(ctx):
    await ctx.attach(Upload(name=f"{ctx.nonce}.txt", content=b"x"))
    print("made", flush=True)
    return await ctx.chat("[[stall=1]]")

url, secret, folder = sys.argv[1:]
target = Target(name="sim", url=url, keys={"all": Key(name="all", secret=Secret(secret))})
asked = Probe(name="p", function=probe, interval_s=60, scopes=(), costs_tokens=True, summary="")
asyncio.run(Runner(journal=Journal(Path(folder))).run(Plan(target=target, probe=asked)))
"""


def crash(bench, tmp_path) -> None:
    """A process that is killed while its chat streams, after an upload."""
    secret = bench.store.keys["all"].secret
    command = [sys.executable, "-c", textwrap.dedent(CRASHER), bench.url, secret, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        give_up = time.monotonic() + 20
        while not bench.simulator.pipeline.running and time.monotonic() < give_up:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)


def test_the_next_start_removes_what_a_killed_process_left_uploads_too(bench, tmp_path, journal):
    crash(bench, tmp_path)
    assert (len(bench.sessions()), len(bench.store.attachments)) == (1, 1)
    ours = journal()
    runs = asyncio.run(Runner(journal=ours).leftovers.sweep([bench.target("all")]))
    assert (bench.sessions(), list(bench.store.attachments)) == ([], [])
    assert [(run.probe, run.verdict, run.cleanup_failures) for run in runs] == [("p", None, ())]
    assert len(ours) == 0


def test_an_upload_whose_chat_never_came_is_removed_without_asking_the_model(bench):
    async def probe(ctx: Context) -> Verdict:
        await ctx.attach(Upload(name="lone.txt", content=b"x"))
        return Verdict.passed()

    run = bench.run(bench.target("all"), probe)
    assert (run.reason, run.cleanup_failures) == ("ok", ())
    assert (bench.sessions(), list(bench.store.attachments)) == ([], [])
    assert bench.store.counters["model_asked"] == 0


def test_an_exporter_does_not_sweep_what_another_one_is_using(bench, tmp_path, journal):
    living = journal()
    target = bench.target("all")
    living.note("session", target, target.keys["all"], "chat", "in-use")
    assert journal().adopt() == []
    assert len(living) == 1


def test_entries_of_an_unknown_target_are_kept_and_forgotten_after_a_month(bench, tmp_path, journal):
    now = time.time()
    first = journal(clock=lambda: now)
    target = bench.target("all")
    first.note("session", target, target.keys["all"], "chat", "lost")
    die(first)
    second = journal(clock=lambda: now)
    assert asyncio.run(Runner(journal=second).leftovers.sweep([replace(target, name="other")])) == []
    assert len(second) == 1
    die(second)
    said: list[str] = []
    assert journal(say=said.append, clock=lambda: now + FORGET_AFTER_S + 1).adopt() == []
    assert "given up after 30 days" in said[0]


def test_a_torn_line_is_named_and_costs_only_itself(bench, tmp_path, journal):
    target = bench.target("all")
    first = journal()
    first.note("session", target, target.keys["all"], "chat", "whole")
    assert first._file is not None
    first._file.write('{"made": {"resour')
    die(first)
    said: list[str] = []
    assert [entry.item for entry in journal(say=said.append).adopt()] == ["whole"]
    assert "is damaged, left out" in said[0]


def test_a_long_life_does_not_make_a_long_file(bench, tmp_path, journal):
    target = bench.target("all")
    ours = journal()
    stays = ours.note("session", target, target.keys["all"], "chat", "stays")
    for number in range(2000):
        ours.done(ours.note("session", target, target.keys["all"], "chat", f"s{number}"))
    assert len(lines(tmp_path).splitlines()) < 1100
    assert "stays" in lines(tmp_path)
    ours.done(stays)
    assert len(ours) == 0


def test_what_a_dead_server_kept_is_removed_when_it_is_back(bench):
    """The server goes in mid-answer: the session is a leak, and the first good run takes it along."""

    async def break_it(ctx: Context) -> Verdict:
        await ctx.identity(ctx.key("chat"))
        for kind in ("http_500", "http_503"):
            fault = {"kind": kind, "count": 8, "endpoint": "session_delete"}
            httpx.post(f"{bench.url}/sim/faults", json=fault)
        return Verdict.of(await ctx.chat("[sim:cut:2]"))

    async def fine(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat("hi"))

    async def go() -> None:
        runner = Runner()
        broken = await runner.run(bench.plan(bench.target("all"), break_it))
        assert (broken.reason, broken.cleanup_failures, len(runner.leftovers)) == ("reset", ("session",), 1)
        httpx.delete(f"{bench.url}/sim/faults")
        after = await runner.run(bench.plan(bench.target("all"), fine, name="q"))
        assert (after.reason, after.swept, len(runner.leftovers)) == ("ok", (("p", "session"),), 0)

    asyncio.run(go())
    assert bench.sessions() == []


def test_attachments_go_with_the_session_that_mentions_them(bench):
    async def probe(ctx: Context) -> Verdict:
        file_id = await ctx.attach(Upload(name=f"{ctx.nonce}.txt", content=b"x"))
        turn = await ctx.chat([Attachment(kind="file", attachment_id=file_id), Plain(text="hi")])
        return Verdict.of(turn)

    assert bench.run(bench.target("all"), probe).cleanup_failures == ()
    assert list(bench.store.attachments) == []


def test_two_exporters_on_one_target_do_not_disturb_each_other(bench, journal):
    """Two runners, two journals in one folder, at the same time: each removes its own and nothing else."""

    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat(f"[[ttft=0.3]] {ctx.nonce}", canary=ctx.nonce))

    async def go() -> list[str]:
        runners = [Runner(journal=journal()) for _ in range(2)]
        plan = bench.plan(bench.target("all"), probe)
        runs = await asyncio.gather(*(runner.run(plan) for runner in runners))
        assert all(len(runner.journal) == 0 for runner in runners)
        return [run.reason for run in runs]

    assert asyncio.run(go()) == ["ok", "ok"]
    assert bench.sessions() == []


def test_two_exporters_with_a_state_each_have_fixed_sessions_of_their_own_where_none_can_be_deleted(
    old_bench, tmp_path
):
    async def probe(ctx: Context) -> Verdict:
        return Verdict.of(await ctx.chat(f"[[ttft=0.3]] {ctx.nonce}", canary=ctx.nonce))

    async def go() -> None:
        plan = old_bench.plan(old_bench.target("all"), probe)
        for _ in range(2):  # and the same ones after a restart
            journals = [Journal(tmp_path / name) for name in ("one", "two")]
            runs = await asyncio.gather(*(Runner(journal=journal).run(plan) for journal in journals))
            assert [run.reason for run in runs] == ["ok", "ok"]
            for journal in journals:
                journal.close()

    asyncio.run(go())
    names = old_bench.sessions()
    assert len(names) == len(set(names)) == 2
    assert all(name.startswith("astrometer-probe-p-") for name in names)
