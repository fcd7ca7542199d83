"""What a probe file may use, and the face it imports it from."""

import asyncio

import pytest

import astrometer.probing as face
from astrometer.api.outcome import Outcome
from astrometer.probing import Context, Upload, Verdict
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeFailed


def test_the_face_has_what_it_lists_and_nothing_else():
    for name in dir(face):
        assert getattr(face, name) is not None
    assert {"Context", "Verdict", "NotApplicable", "check_credentials", "check_scopes"} <= set(dir(face))
    with pytest.raises(AttributeError, match="no attribute 'MATRIX'"):
        _ = face.MATRIX


def test_an_attachment_of_the_wrong_kind_is_malformed_and_removed_all_the_same(bench):
    async def probe(ctx: Context) -> Verdict:
        await ctx.attach(Upload(name="a.txt", content=b"text"), kind="image")
        return Verdict.passed()

    run = bench.run(bench.target("all"), probe)
    assert (run.reason, run.detail) == ("malformed", "a.txt was taken for 'file'")
    assert (bench.store.attachments, bench.sessions()) == ({}, [])


def test_an_upload_that_is_refused_ends_the_probe_with_its_outcome(bench):
    async def probe(ctx: Context) -> Verdict:
        try:
            await ctx.attach(Upload(name="a.txt", content=b"text"))
        except ProbeFailed as exc:
            return exc.verdict
        return Verdict.passed()

    target = bench.target(chat="chat", revoked="file")
    assert bench.run(target, probe).reason == Outcome.UNAUTHORIZED


def test_slow_is_a_verdict_of_its_own_and_only_of_good_turns(bench):
    async def probe(ctx: Context) -> Verdict:
        turn = await ctx.chat("hi")
        assert ctx.not_slow(turn, 0).ok
        assert ctx.not_slow(turn, 60).ok
        return ctx.not_slow(turn, 0.001)

    assert bench.run(bench.target("all"), probe).reason == "slow"


def test_a_value_of_the_probes_own_is_the_runs_and_must_be_named_beforehand(bench):
    async def probe(ctx):
        ctx.measure("login_seconds", 0.3)
        ctx.measure("other", 1)

    plan = bench.plan(bench.target("all"), probe, measures=("login_seconds",))
    run = asyncio.run(Runner().run(plan))
    assert run.measured == {"login_seconds": 0.3}
    assert run.reason == "internal"
    assert "MEASURES has no 'other'" in " ".join(line.text for line in run.log)
