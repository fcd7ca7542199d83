"""Tokens and runs of a day: as the server reports them, kept on disk, shared, and never downtime."""

import asyncio
import errno
import fcntl
import json
import multiprocessing
import os
import stat
from dataclasses import replace
from itertools import pairwise

import httpx
import pytest
from prometheus_client import CollectorRegistry

from astrometer.config.settings import Budget
from astrometer.probing.budget import FILE, MOST_AHEAD, Ledger
from astrometer.probing.context import Context
from astrometer.probing.exporter.metrics import ProbeMetrics
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import Verdict

NOON = 1_800_000_000.0 // 86400 * 86400 + 43200


async def ask(ctx: Context) -> Verdict:
    return Verdict.of(await ctx.chat(f"hi {ctx.nonce}", canary=ctx.nonce))


def limited(bench, **budget: int):
    return replace(bench.target("all"), budget=Budget(**budget))


def test_a_target_without_a_budget_is_never_refused_and_never_booked(bench, tmp_path):
    ledger = Ledger(tmp_path)
    target = bench.target("all")
    ledger.book(target, tokens=10**9, runs=10**6)
    assert (ledger.refusal(target), ledger.tokens_left(target), list(tmp_path.iterdir())) == (None, None, [])


def test_runs_stop_when_their_budget_is_spent_and_free_probes_go_on(bench):
    target = limited(bench, runs_per_day=2)

    async def free(_ctx: Context) -> Verdict:
        return Verdict.passed()

    async def go() -> list[str | None]:
        runner, plan = Runner(), bench.plan(target, ask)
        runs = [await runner.run(plan) for _ in range(3)]
        assert [run.verdict is not None for run in runs] == [True, True, False]
        assert "2 of 2 runs" in runs[2].note
        unpaid = await runner.run(bench.plan(target, free, name="free", costs_tokens=False))
        assert unpaid.ok
        return [run.skipped for run in runs]

    assert asyncio.run(go()) == [None, None, "budget"]
    assert bench.store.counters["model_asked"] == 2


def test_tokens_are_those_the_server_reports_and_outlive_the_process(bench, tmp_path):
    target = limited(bench, tokens_per_day=2500)  # a question costs some 1,660 here
    first = asyncio.run(Runner(ledger=Ledger(tmp_path)).run(bench.plan(target, ask)))
    spent = sum(turn.input_tokens + turn.output_tokens for turn in first.turns)
    again = Ledger(tmp_path)
    assert again.tokens_left(target) == 2500 - spent
    asyncio.run(Runner(ledger=again).run(bench.plan(target, ask)))
    assert Ledger(tmp_path).tokens_left(target) == 0
    third = asyncio.run(Runner(ledger=Ledger(tmp_path)).run(bench.plan(target, ask)))
    assert (third.verdict, third.skipped) == (None, "budget")


def test_commands_that_ask_the_model_are_booked_and_counted(old_bench):
    """As where AstrBot's own commands are switched off: `/reset` and `/help` are questions like any other."""

    class NoCommands(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            body = (await request.aread()).replace(b'"/', b'"no /')
            headers = {**request.headers, "content-length": str(len(body))}
            changed = httpx.Request(
                request.method, request.url, headers=headers, content=body, extensions=request.extensions
            )
            return await super().handle_async_request(changed)

    target = replace(old_bench.target("all"), budget=Budget(tokens_per_day=10**6))
    ledger, registry = Ledger(), CollectorRegistry()
    run = asyncio.run(Runner(ledger=ledger, http=NoCommands).run(old_bench.plan(target, ask)))
    assert old_bench.store.counters["model_asked"] == 3  # /reset, the question, /help
    (turn,) = run.turns
    assert run.tokens["input"] > 2 * turn.input_tokens
    assert run.tokens["output"] > 2 * turn.output_tokens
    assert 10**6 - ledger.tokens_left(target) == sum(run.tokens.values())
    ProbeMetrics(registry).observe(run)
    for direction, tokens in run.tokens.items():
        labels = {"target": "sim", "probe": "p", "direction": direction}
        assert registry.get_sample_value("astrbot_probe_tokens_total", labels) == tokens


def test_a_new_day_begins_at_midnight_utc_and_a_clock_set_back_finds_its_day_again(bench, tmp_path):
    now = NOON
    ledger = Ledger(tmp_path, clock=lambda: now)
    target = limited(bench, tokens_per_day=100)
    ledger.book(target, tokens=80)
    now += 12 * 3600
    assert ledger.tokens_left(target) == 100
    ledger.book(target, tokens=30)
    now -= 3600
    assert ledger.tokens_left(target) == 20
    now += 3600
    assert ledger.tokens_left(target) == 70
    for _ in range(10):
        now += 86400
        ledger.book(target, tokens=1)
    assert len(json.loads((tmp_path / FILE).read_text())["days"]) == 3


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "\x00\x00", '{"days": 7}', '{"days": {"2027-01-15": {"sim x": {"tokens": "9"}}}}'],
)
def test_a_damaged_file_is_named_put_aside_and_counting_goes_on(bench, tmp_path, content):
    (tmp_path / FILE).write_text(content)
    said: list[str] = []
    ledger = Ledger(tmp_path, say=said.append)
    target = limited(bench, tokens_per_day=100)
    ledger.book(target, tokens=40)
    assert Ledger(tmp_path).tokens_left(target) == 60
    if content in ("", "{", "[]", "\x00\x00"):
        assert "is damaged" in said[0]
        assert any("damaged-" in path.name for path in tmp_path.iterdir())


def test_a_state_folder_that_cannot_be_written_is_said_once_and_memory_serves(bench, tmp_path):
    (tmp_path / "state").write_text("a file where the folder should be")
    said: list[str] = []
    ledger = Ledger(tmp_path / "state", say=said.append)
    target = limited(bench, tokens_per_day=100)
    for _ in range(3):
        ledger.book(target, tokens=30)
    assert len(said) == 1
    assert "cannot be" in said[0]
    assert ledger.tokens_left(target) == 10


def test_on_a_file_system_without_locks_memory_serves(bench, tmp_path, monkeypatch):
    def flock(*_how: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    said: list[str] = []
    ledger = Ledger(tmp_path, say=said.append)
    target = limited(bench, tokens_per_day=100)
    for _ in range(3):
        ledger.book(target, tokens=30)
    assert said == [f"{tmp_path / FILE}: cannot be written (No locks available); kept in memory until it can"]
    assert ledger.tokens_left(target) == 10


def no_folder(folder):
    folder.symlink_to("nowhere")
    return folder.unlink


def no_file(folder):
    """As on a full disk: what was written once can be read, and nothing new be written."""
    blocker = (folder / FILE).with_suffix(f".{os.getpid()}.part")
    blocker.mkdir(parents=True)
    return blocker.rmdir


@pytest.mark.parametrize(("block", "before"), [(no_folder, 0), (no_file, 0), (no_file, 20)])
def test_a_budget_is_kept_while_its_file_cannot_be_written_and_is_whole_once_it_can(
    bench, tmp_path, block, before
):
    folder, said = tmp_path / "state", []
    ledger = Ledger(folder, say=said.append)
    target = limited(bench, tokens_per_day=80 + before)
    ledger.book(target, tokens=before)
    unblock = block(folder)
    for spent in (20, 40, 60, 80):
        assert ledger.refusal(target) is None
        ledger.book(target, tokens=20)
        assert ledger.spent(target).tokens == before + spent
    assert "tokens of today (UTC) are spent" in str(ledger.refusal(target))
    assert ["cannot be written" in text for text in said] == [True]
    unblock()
    ledger.book(target, runs=1)
    spent = Ledger(folder).spent(target)
    assert (spent.tokens, spent.runs) == (before + 80, 1)


def test_days_of_a_clock_that_was_in_the_future_do_not_push_today_out(bench, tmp_path):
    now = NOON
    ledger = Ledger(tmp_path, clock=lambda: now)
    target = limited(bench, tokens_per_day=100)
    for ahead in (300, 301, 302):
        now = NOON + ahead * 86400
        ledger.book(target, tokens=1)
    now = NOON
    for _ in range(3):
        ledger.book(target, tokens=30)
    assert ledger.tokens_left(target) == 10
    assert len(json.loads((tmp_path / FILE).read_text())["days"]) == 3


def book_many(folder, target, times: int) -> None:
    ledger = Ledger(folder)
    for _ in range(times):
        ledger.book(target, tokens=1, runs=1)


def test_exporters_that_share_a_folder_lose_no_token(bench, tmp_path):
    target = replace(limited(bench, tokens_per_day=10_000), keys={})
    processes = [
        multiprocessing.get_context("spawn").Process(target=book_many, args=(tmp_path, target, 100))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert Ledger(tmp_path).spent(target).tokens == 200
    assert Ledger(tmp_path).spent(target).runs == 200


def test_what_is_on_disk_belongs_to_its_owner_and_holds_no_key(bench, tmp_path):
    target = limited(bench, tokens_per_day=100)
    Ledger(tmp_path / "state").book(target, tokens=1)
    file = tmp_path / "state" / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert bench.store.keys["all"].secret not in file.read_text()


# --- spread over the day

MIDNIGHT = NOON - 43200


def a_day_of_chats(ledger: Ledger, target, clock: list[float], *, every_s: float, tokens: int) -> list[float]:
    """The hours at which a chat that costs `tokens` was let through."""
    asked = []
    while clock[0] < MIDNIGHT + 86400:
        if ledger.refusal(target) is None:
            ledger.book(target, runs=1)
            ledger.book(target, tokens=tokens)
            asked.append((clock[0] - MIDNIGHT) / 3600)
        clock[0] += every_s
    return asked


def test_a_budget_that_was_spent_by_breakfast_lasts_the_whole_day(bench, tmp_path):
    """The README's first example: 50,000 tokens a day, a chat every 60 s."""
    target = limited(bench, tokens_per_day=50_000)
    clock = [MIDNIGHT]
    ledger = Ledger(tmp_path, paced=True, clock=lambda: clock[0])
    asked = a_day_of_chats(ledger, target, clock, every_s=60, tokens=1750)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert len(asked) * 1750 <= 50_000 + 1750
    assert len(asked) >= 28
    assert sum(hour < 1 for hour in asked) <= 1 + MOST_AHEAD * 50_000 / 1750 + 2  # what may be spent ahead
    assert max(gaps) < 1.2
    assert asked[-1] > 23


def test_without_pace_the_same_budget_is_spent_within_the_hour(bench):
    clock = [MIDNIGHT]
    target = limited(bench, tokens_per_day=50_000)
    asked = a_day_of_chats(Ledger(clock=lambda: clock[0]), target, clock, every_s=60, tokens=1750)
    assert (len(asked), max(asked) < 0.5) == (29, True)


def test_runs_are_spread_too_and_a_restart_does_not_forget_the_pace(bench, tmp_path):
    target = limited(bench, runs_per_day=4)
    clock = [MIDNIGHT]
    asked = []
    for _ in range(96):
        ledger = Ledger(tmp_path, paced=True, clock=lambda: clock[0])  # a restart each time
        if ledger.refusal(target) is None:
            ledger.book(target, runs=1)
            asked.append((clock[0] - MIDNIGHT) / 3600)
        clock[0] += 900
    assert asked == [0.0, 6.75, 13.5, 20.25]


def test_a_probe_that_needs_less_than_its_budget_is_never_held_back(bench):
    clock = [MIDNIGHT]
    target = limited(bench, tokens_per_day=100_000)
    ledger = Ledger(paced=True, clock=lambda: clock[0])
    assert len(a_day_of_chats(ledger, target, clock, every_s=1800, tokens=1750)) == 48


def test_a_clock_set_back_or_far_ahead_neither_blocks_nor_unlocks_the_day(bench):
    clock = [NOON]
    target = limited(bench, tokens_per_day=10_000)
    ledger = Ledger(paced=True, clock=lambda: clock[0])
    ledger.book(target, tokens=1200)
    clock[0] -= 3600
    assert ledger.refusal(target).cause == "pace"
    clock[0] += 3600 + 86400 * 0.03
    assert ledger.refusal(target) is None
    ledger.book(target, tokens=9000)
    assert ledger.refusal(target).cause == "budget"


def test_what_a_turn_cost_here_is_known_after_three(bench):
    target = limited(bench, tokens_per_day=10**6)
    ledger = Ledger()
    for tokens in (1000, 2000):
        ledger.book(target, tokens=tokens)
    assert ledger.tokens_per_turn(target) is None
    ledger.book(target, tokens=3000)
    assert ledger.tokens_per_turn(target) == 2000
