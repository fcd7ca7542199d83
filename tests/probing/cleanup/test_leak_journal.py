"""What is made is in the journal before it is made, and a dead process's file is adopted."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from leak_journals import die
from waiting import until

from astrometer.api.chat.messages import Attachment, Plain
from astrometer.probing.cleanup.leak_journal import FOLDER, FORGET_AFTER_S, LeakJournal
from astrometer.probing.context import Context
from astrometer.probing.runner import Runner
from astrometer.probing.transport.probe_client import Upload
from astrometer.probing.verdict import Verdict


def lines(folder) -> str:
    return "".join(path.read_text() for path in files(folder))


def files(folder) -> list[Path]:
    return [*(folder / FOLDER).glob("*.jsonl")]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.probe_files import Probe
from astrometer.probing.cleanup.leak_journal import LeakJournal
from astrometer.probing.plan import Plan
from astrometer.probing.run_record import Limits
from astrometer.probing.transport.probe_client import Upload
from astrometer.probing.runner import Runner
from pathlib import Path

async def probe(ctx):
    await ctx.attach(Upload(name=f"{ctx.nonce}.txt", content=b"x"))
    print("made", flush=True)
    return await ctx.chat("[[stall=1]]")

url, secret, folder = sys.argv[1:]
target = Target(name="sim", url=url, keys={"all": Key(name="all", secret=Secret(secret))})
asked = Probe(name="p", function=probe, interval_s=60, scopes=(), costs_tokens=True, summary="")
asyncio.run(Runner(journal=LeakJournal(Path(folder))).run(Plan(target=target, probe=asked)))
"""


def crash(bench, tmp_path) -> None:
    """A process that is killed while its chat streams, after an upload."""
    secret = bench.store.keys["all"].secret
    command = [sys.executable, "-c", textwrap.dedent(CRASHER), bench.url, secret, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        until(lambda: bench.simulator.pipeline.running)
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.process
def test_the_next_start_removes_what_a_killed_process_left_uploads_too(bench, tmp_path, journal):
    crash(bench, tmp_path)
    assert (len(bench.sessions()), len(bench.store.attachments)) == (1, 1)
    ours = journal()
    runs = asyncio.run(Runner(journal=ours).orphans.sweep([bench.target("all")]))
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
    assert asyncio.run(Runner(journal=second).orphans.sweep([replace(target, name="other")])) == []
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


def test_many_open_entries_are_not_written_again_for_each_that_is_done(bench, tmp_path, journal):
    target, ours = bench.target("all"), journal()
    entries = [ours.note("session", target, target.keys["all"], "chat", f"s{n}") for n in range(2000)]
    seen = set()
    for entry in entries[:500]:
        ours.done(entry)
        seen |= set(files(tmp_path))
    assert len(seen) == 1


def test_a_full_disk_loses_no_entry(bench, tmp_path, journal):
    target, ours = bench.target("all"), journal()
    key = target.keys["all"]
    gone = ours.note("session", target, key, "chat", "gone")
    with full_disk():
        for number in range(200):  # more than a buffer holds
            ours.note("session", target, key, "chat", f"s{number}")
        ours.done(gone)
    ours.note("session", target, key, "chat", "last")
    assert len(files(tmp_path)) == 1
    die(ours)
    assert {entry.item for entry in journal().adopt()} == {*(f"s{n}" for n in range(200)), "last"}


def test_what_a_dead_process_left_stays_on_disk_until_it_is_in_the_journal_of_who_adopts_it(
    bench, tmp_path, journal
):
    target, dead = bench.target("all"), journal()
    dead.note("session", target, target.keys["all"], "chat", "left")
    die(dead)
    said: list[str] = []
    second = journal(say=said.append)
    with full_disk():
        assert [entry.item for entry in second.adopt()] == ["left"]
        second.close()
    assert "cannot be written" in said[0]
    assert [entry.item for entry in journal().adopt()] == ["left"]


def test_a_journal_that_cannot_be_written_to_the_end_is_closed_all_the_same(bench, journal):
    target, ours = bench.target("all"), journal()
    ours.note("session", target, target.keys["all"], "chat", "first")
    with full_disk():
        ours.note("session", target, target.keys["all"], "chat", "second")
        ours.close()


def test_bytes_that_are_no_text_cost_only_their_line(bench, tmp_path, journal):
    target, dead = bench.target("all"), journal()
    for item in ("first", "torn", "last"):
        dead.note("session", target, target.keys["all"], "chat", item)
    die(dead)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"torn", b"to\xffn"))
    said: list[str] = []
    assert [entry.item for entry in journal(say=said.append).adopt()] == ["first", "last"]
    assert ":2: is damaged, left out" in said[0]


def test_a_journal_that_begins_is_not_taken_for_a_dead_one(bench, tmp_path, journal):
    target, other, stop = bench.target("all"), journal(), threading.Event()

    def adopt_again_and_again() -> None:
        while not stop.is_set():
            other.adopt()

    adopting = threading.Thread(target=adopt_again_and_again)
    adopting.start()
    try:
        for number in range(300):
            ours = LeakJournal(tmp_path)
            entry = ours.note("session", target, target.keys["all"], "chat", f"s{number}")
            assert f"s{number}" in lines(tmp_path)
            ours.done(entry)
            ours.close()
    finally:
        stop.set()
        adopting.join()
    assert len(other) == 0


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
            journals = [LeakJournal(tmp_path / name) for name in ("one", "two")]
            runs = await asyncio.gather(*(Runner(journal=journal).run(plan) for journal in journals))
            assert [run.reason for run in runs] == ["ok", "ok"]
            for journal in journals:
                journal.close()

    asyncio.run(go())
    names = old_bench.sessions()
    assert len(names) == len(set(names)) == 2
    assert all(name.startswith("astrometer-probe-p-") for name in names)
