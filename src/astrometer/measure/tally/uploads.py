"""One upload's size and times -> its metrics; a tally's stats by size -> the `uploads` of a results file.

`upload_pace` is seconds per megabyte (1,000,000 bytes) of the file, from the first byte of the body to the
head of the answer; its inverse is the throughput. Not to the last byte sent: by then the socket's buffers
have taken the bytes, not the server, and a small file would seem to go at the speed of memory. Kept as pace,
a failed upload is infinitely slow like any other failure, and processes merge without loss.

`upload_accept` is from the last byte of the body to the head of the answer: what the buffers still held, and
what the server does with a file before it says yes.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.api.call_exchange import MEGABYTE, UPLOAD_LIMITS_BYTES
from astrometer.api.metric_table import UPLOAD_METRICS
from astrometer.api.outcome import Outcome
from astrometer.measure.tally.histogram import Histogram

UPLOAD, DOWNLOAD = "upload", "download"  # the operations
SIZE_METRICS = (*UPLOAD_METRICS, "duration", "duration_effective")
NAMES = ("up to 64 KiB", "up to 1 MiB", "up to 16 MiB", "larger")


def up_to_bytes(size_class: int) -> int | None:
    return UPLOAD_LIMITS_BYTES[size_class] if size_class < len(UPLOAD_LIMITS_BYTES) else None


def throughput(pace: Histogram) -> dict[str, Any]:
    """Bytes per second that half, 90, 95 and 99 % of the uploads reached, and the slowest of them.

    None where withheld.
    """
    return {
        "n": pace.n,
        **{f"p{100 - percent}": _inverse(pace.quantile_or_none(percent)) for percent in (50, 90, 95, 99)},
        "min": _inverse(pace.max),
    }


def compared(downloads: Mapping[str, int]) -> dict[str, int]:
    """Of the outcomes of downloads: how many contents were compared, and how many were not those uploaded."""
    different = downloads.get(Outcome.CANARY_MISMATCH.value, 0)
    return {"compared": downloads.get(Outcome.OK.value, 0) + different, "different": different}


def _inverse(pace_s: float | None) -> float | None:
    return None if pace_s is None else MEGABYTE / pace_s
