"""Whose a session is, by its name alone."""

import pytest

from astrometer.probing.target_checks.old_sessions import is_ours

UUID = "0123abcd-0000-4000-8000-0123456789ab"


@pytest.mark.parametrize(
    ("session", "ours"),
    [
        (f"astrometer-0a1b2c-{UUID}", True),
        ("astrometer-am-0123456789abcdef", True),
        ("astrometer-am-0123456789abcdef-2", True),
        (f"load-0a1b2c-{UUID}", True),
        (f"other-0a1b2c-{UUID}", False),
        (f"astrometer-0a1b2c-{UUID}-more", False),
        ("astrometer-notes", False),
        ("astrometer-am-short", False),
        ("astrometer-probe-chat", False),  # an exporter uses it right now
        ("", False),
        ("x" * 100_000, False),
    ],
)
def test_only_names_that_we_make_are_ours(session, ours):
    assert is_ours(session, ["astrometer", "load"]) is ours
