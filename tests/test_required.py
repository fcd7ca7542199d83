"""A test that is skipped where CI requires it would prove nothing, quietly."""

import pytest
from required import needs, needs_extra


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


def test_an_extra_that_is_missing_is_skipped_and_fails_where_it_is_required(monkeypatch):
    needs_extra("parquet", "pytest")
    monkeypatch.setenv("ASTROMETER_REQUIRE", "history")
    with pytest.raises(pytest.skip.Exception, match="no_such_module not installed"):
        needs_extra("parquet", "no_such_module")
    with pytest.raises(pytest.fail.Exception, match="asks for history: no_such_module not installed"):
        needs_extra("history", "no_such_module")
