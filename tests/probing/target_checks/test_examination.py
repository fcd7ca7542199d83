"""One line of the doctor for each key."""

import pytest

from astrometer.api.outcome import Outcome
from astrometer.config.secret import Secret
from astrometer.config.settings import Key
from astrometer.probing.target_checks.doctor import check_of_key
from astrometer.probing.target_checks.doctor_check import CheckState
from astrometer.probing.target_checks.scopes import Admission, ScopeCell

KEY = Key(name="main", secret=Secret("abk_x"))


def cells(*seen: tuple[str, bool | None, Admission]) -> list[ScopeCell]:
    return [
        ScopeCell(key="main", endpoint=endpoint, expected=expected, actual=what, outcome=Outcome.OK)
        for endpoint, expected, what in seen
    ]


@pytest.mark.parametrize(
    ("seen", "state", "line"),
    [
        ([("chat", None, Admission.ALLOWED)], CheckState.OK, "allowed: chat"),
        ([("chat", None, Admission.DENIED)], CheckState.OK, "allowed: nothing"),
        ([("chat", None, Admission.UNKNOWN_KEY)], CheckState.FAIL, "refused (401)"),
        (
            [("chat", True, Admission.ALLOWED), ("configs", False, Admission.ALLOWED)],
            CheckState.FAIL,
            "leak: configs; allowed: chat, configs",
        ),
        (
            [("chat", True, Admission.DENIED), ("configs", True, Admission.ALLOWED)],
            CheckState.FAIL,
            "rejected: chat; allowed: configs",
        ),
        (
            [("chat", True, Admission.ALLOWED), ("im_bots", True, Admission.INCONCLUSIVE)],
            CheckState.WARN,
            "allowed: chat; inconclusive: im_bots",
        ),
    ],
)
def test_a_key_s_row_of_the_matrix_in_one_line(seen, state, line):
    check = check_of_key(KEY, cells(*seen))
    assert (check.name, check.state, check.line) == ("key main", state, line)
