"""What a reader sees nothing of."""

import pytest

from astrometer.api.visible import is_visible


@pytest.mark.parametrize(
    "blank",
    [
        "",
        " \t\r\n",
        "\u00a0\u2003\u3000\u2028\u2029",  # spaces of all widths, line and paragraph separators
        "\u200b\u200c\u200d\u2060\ufeff\u00ad",  # zero width, byte order mark, soft hyphen
        "\x00\x1b\x7f\x85",
        "\u200e\u202e\u2066",  # direction marks
        "\u3164\uffa0\u115f\u1160\u034f\u180b\u2800",  # fillers that Unicode calls letters and marks
        "\ufe0f\U000e0101\U000e0041",  # variation selectors, tags
        "\ud800",
    ],
)
def test_blank(blank):
    assert not is_visible(blank)
    assert is_visible(blank + "x" + blank)


@pytest.mark.parametrize(
    "seen", ["a", ".", "。", "你", "\u0301", "\ufffd", "😀", "\u0600", "\ue000", "\U0001faea"]
)
def test_seen(seen):
    assert is_visible(seen)
    assert is_visible("\n\u200b" + seen)
