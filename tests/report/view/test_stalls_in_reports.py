"""Stalls in the terminal, the HTML page and the summary: told where there were some, and no clutter else."""


def test_stalls_are_told_with_the_threshold(passed, everywhere):
    stalls = {"streams": 1400, "turns": 7, "share": 0.005, "n": 9, "total_s": 12.5}
    for text in everywhere({**passed, "stalls": stalls, "stall_threshold_s": 1.0}):
        assert (
            "Stalls: 7 of 1,400 streams (0.5 %) paused for more than 1.00 s: 9 pauses, 12.50 s in total"
        ) in text


def test_without_stalls_nothing_is_said(passed, everywhere):
    none = {**passed, "stalls": {"streams": 9, "turns": 0, "share": 0.0, "n": 0, "total_s": 0.0}}
    assert all("Stalls" not in text for text in everywhere(none))
