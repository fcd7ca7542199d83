"""What an answer says of a key's scopes: allowed, denied, unknown, or nothing."""

import pytest

from astrometer.api import endpoints as ep
from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.probing.target_checks.scopes import Admission, ScopeCell, ScopeRow, allows, check_scopes, read

ROW = ScopeRow(endpoint=ep.CONFIGS, refusals=frozenset({422}))


def answer(outcome: Outcome, status: int | None) -> CallResult:
    return CallResult(outcome=outcome, status=status, duration_s=0.1, t_send=0.0)


@pytest.mark.parametrize(
    ("outcome", "status", "may_pass", "seen"),
    [
        (Outcome.OK, 200, True, Admission.ALLOWED),
        (Outcome.API_ERROR, 200, True, Admission.ALLOWED),  # the endpoint speaks: the key was let in
        (Outcome.CLIENT_ERROR, 422, True, Admission.ALLOWED),
        (Outcome.CLIENT_ERROR, 404, True, Admission.INCONCLUSIVE),
        (Outcome.UNAUTHORIZED, 401, True, Admission.UNKNOWN_KEY),
        (Outcome.FORBIDDEN, 403, True, Admission.DENIED),
        (Outcome.SERVER_ERROR, 500, True, Admission.INCONCLUSIVE),
        (Outcome.TIMEOUT_TOTAL, None, True, Admission.INCONCLUSIVE),
        (Outcome.MALFORMED, 200, True, Admission.INCONCLUSIVE),  # a proxy's page proves no pass
        (Outcome.MALFORMED, 200, False, Admission.ALLOWED),  # and raises the alarm where nobody may pass
    ],
)
def test_an_answer_is_read_for_the_key_and_not_for_the_request(outcome, status, may_pass, seen):
    assert read(answer(outcome, status), ROW, may_pass=may_pass) is seen


@pytest.mark.parametrize(
    ("scopes", "endpoint", "may"),
    [
        ("chat", ep.CHAT, True),
        ("chat", ep.CONFIGS, False),
        ("*", ep.CONFIGS, True),
        ("", ep.START_TIME, True),  # needs no scope
        ("config", next(e for e in ep.MANAGED if e.scope == "bot"), True),  # included
        ("chat", next(e for e in ep.MANAGED if e.scope == "bot"), False),
    ],
)
def test_scopes_open_what_they_name_and_include(scopes, endpoint, may):
    assert allows(frozenset(scopes.split()), endpoint) is may


@pytest.mark.parametrize(
    ("expected", "seen", "violation"),
    [
        (False, Admission.ALLOWED, "leak"),
        (False, Admission.DENIED, None),
        (False, Admission.INCONCLUSIVE, None),
        (True, Admission.DENIED, "rejected"),
        (True, Admission.UNKNOWN_KEY, "rejected"),
        (True, Admission.ALLOWED, None),
        (None, Admission.ALLOWED, None),
        (None, Admission.UNKNOWN_KEY, "rejected"),
    ],
)
def test_a_cell_is_a_leak_or_a_rejection_or_neither(expected, seen, violation):
    cell = ScopeCell(key="k", endpoint="configs", expected=expected, actual=seen, outcome=Outcome.OK)
    assert cell.violation == violation


def test_all_keys_but_those_named_are_held_to_their_scopes(bench):
    async def probe(ctx):
        return await check_scopes(ctx, skip_keys=["revoked"])

    run = bench.run(bench.target(all="chat config file im", revoked="chat"), probe)
    assert (run.reason, {check.key for check in run.scope_checks}) == ("ok", {"all"})
    assert run.tokens == {"input": 0, "output": 0}
