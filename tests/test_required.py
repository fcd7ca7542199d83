"""A test that is skipped where CI requires it would prove nothing, quietly."""

import pytest
from required import needs


@pytest.mark.parametrize(
    ("required", "ends"),
    [
        ("", pytest.skip.Exception),
        ("astrbot,promtool", pytest.fail.Exception),
        ("astrbot", pytest.skip.Exception),
    ],
)
def test_what_is_missing_is_skipped_and_fails_where_it_is_required(monkeypatch, required, ends):
    monkeypatch.setenv("ASTROMETER_REQUIRE", required)
    with pytest.raises(ends, match="no-such-tool not on PATH"):
        needs("promtool", "sh", "no-such-tool")
    needs("promtool", "sh")
