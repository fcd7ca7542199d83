"""No key, bad keys, good keys in every header -> who is let in, at no token cost."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.config.settings import Key
from astrometer.probing.context import Context
from astrometer.probing.target_checks.scopes import MATRIX, Admission, ScopeRow, allows, read
from astrometer.probing.transport.probe_client import HeaderStyle
from astrometer.probing.verdict import UNREACHABLE, NotApplicable, ProbeReason, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialCheck:
    """One request. `expected` and `actual` say whether it is, and was, let in."""

    how: str
    expected: Admission
    actual: Admission
    outcome: Outcome


async def check_credentials(ctx: Context, *, revoked: Collection[str] = ()) -> Verdict:
    """Refused: no key, an unknown key, each key named in `revoked`. Let in by every header that AstrBot has:
    the target's first other key. Raises NotApplicable without such a key.
    """
    keys = ctx.target.keys.values()
    good = [key for key in keys if key.name not in revoked]
    if not good:
        raise NotApplicable(f"target {ctx.target.name} has no key that should get in")
    key = good[0]
    row = next(row for row in MATRIX if key.scopes is None or allows(key.scopes, row.endpoint))
    unknown = Key(name="unknown", secret=Secret(f"abk_{secrets.token_urlsafe(24)}"))
    bad = [None, unknown, *(key for key in keys if key.name in revoked)]
    checks = [await _check(ctx, row, one, HeaderStyle.X_API_KEY, Admission.UNKNOWN_KEY) for one in bad]
    checks += [await _check(ctx, row, key, style, Admission.ALLOWED) for style in HeaderStyle]
    return _verdict(checks)


async def _check(
    ctx: Context, row: ScopeRow, key: Key | None, style: HeaderStyle, expected: Admission
) -> CredentialCheck:
    """Ask `row` with `key` (None: with none) in the header of `style`."""
    result = await ctx.call(row.endpoint, key, style=style, **row.request)
    return CredentialCheck(
        how="no key" if key is None else f"key {key.name} in {style.value}",
        expected=expected,
        actual=read(result, row, may_pass=expected is Admission.ALLOWED),
        outcome=result.outcome,
    )


def _verdict(checks: list[CredentialCheck]) -> Verdict:
    """Who is let in and should not be is a leak; what could not be found out is never a pass."""
    for check in checks:
        if check.expected is not Admission.ALLOWED and check.actual is Admission.ALLOWED:
            return Verdict.failed(ProbeReason.LEAK, f"let in: {check.how}")
    for check in checks:
        if check.expected is Admission.ALLOWED and check.actual in (Admission.DENIED, Admission.UNKNOWN_KEY):
            return Verdict.failed(check.outcome, f"kept out: {check.how}")
    for check in checks:
        if check.actual is not check.expected:
            outcome = Outcome.MALFORMED if check.outcome.is_ok else check.outcome
            told = "could not ask" if outcome in UNREACHABLE else "inconclusive"
            return Verdict.failed(outcome, f"{told} (with {check.how})")
    return Verdict.passed(f"{len(checks)} credential checks")
