"""Keys that must stay out and headers that must work."""

from astrometer.probing.target_checks.credentials import check_credentials


def test_no_key_an_unknown_and_a_revoked_one_stay_out_and_a_good_one_gets_in(bench):
    async def probe(ctx):
        return await check_credentials(ctx, revoked=["revoked"])

    run = bench.run(bench.target("all", "revoked"), probe)
    assert (run.reason, run.detail) == ("ok", "6 credential checks")
    assert run.tokens == {"input": 0, "output": 0}


def test_a_key_that_should_be_revoked_and_is_not_is_a_leak(bench):
    async def probe(ctx):
        return await check_credentials(ctx, revoked=["all"])

    run = bench.run(bench.target("chat", "all"), probe)
    assert (run.reason, run.detail) == ("leak", "let in: key all in X-API-Key")


def test_without_a_good_key_there_is_nothing_to_check(bench):
    async def probe(ctx):
        return await check_credentials(ctx, revoked=["all"])

    run = bench.run(bench.target("all"), probe)
    assert (run.verdict, run.note) == (None, "target sim has no key that should get in")
