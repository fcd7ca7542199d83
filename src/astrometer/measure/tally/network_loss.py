"""Exchanges by what the kernel said of their connections -> `network` of `results.json`. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from astrometer.api.network_stats import LOSSY_TTFT
from astrometer.measure.tally.histogram import Histogram

_SLOW_PERCENT = 99


def network_json(told: Counter[str], ok: Mapping[str, Histogram]) -> dict[str, Any]:
    """`ok`: the histograms of successful exchanges. `share`: None where no system told."""
    return {
        "exchanges": told["exchanges"],
        "retransmitted": told["retransmitted"],
        "out_of_order": told["out_of_order"],
        "lossy": told["lossy"],
        "share": told["lossy"] / told["exchanges"] if told["exchanges"] else None,
        "slow_ttft": _slow_ttft(ok),
        "full_reads": told["full_reads"],
    }


def _slow_ttft(ok: Mapping[str, Histogram]) -> dict[str, int]:
    """How many TTFTs are above their p99, and how many of those a lost segment may have delayed."""
    slow = ok.get("ttft", Histogram())
    limit_s = slow.percentile(_SLOW_PERCENT)
    if limit_s is None:
        return {"n": 0, "lossy": 0}
    lossy = ok.get(LOSSY_TTFT, Histogram())
    return {"n": _above(slow, limit_s), "lossy": _above(lossy, limit_s)}


def _above(samples: Histogram, limit_s: float) -> int:
    return samples.n - samples.count_at_most(limit_s)
