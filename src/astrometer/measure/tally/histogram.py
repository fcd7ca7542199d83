"""Durations -> mergeable HDR histograms: 3 significant digits, 1 us to 1 h.

Buckets are those of HdrHistogram (2,048 sub-buckets), kept sparse: memory and merging cost what was
seen, not what could be. `encode` writes the HdrHistogram V2 format, which other HDR tools read.
Percentiles of several processes come from merged histograms; percentiles are never averaged.
"""

import base64
import math
import struct
import zlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, repeat
from operator import add
from typing import Any

from hdrh.histogram import HdrHistogram

LOWEST_US = 1
HIGHEST_US = 3600 * 1_000_000
DIGITS = 3
# HdrHistogram's V2 format: cookie and length; then, compressed, cookie, length and offset of 4 bytes each,
# digits, lowest, highest and ratio, and up to 9 bytes for each of our 23,552 counts.
_WRAPPER_BYTES = 8
_RANGE_AT = 12
_PAYLOAD_RANGE = struct.Struct(">iqq")
_MOST_BYTES = 40 + 9 * 23_552
_BLOCK = 256  # counts looked at together when decoding; most of them are zero
SUB_BUCKET_BITS = 11  # 2 * 10**3 rounded up to a power of two, as HdrHistogram does
# By the length in bits of a duration in us: those bits that its bucket keeps.
_LEADING_BITS = [
    ((1 << SUB_BUCKET_BITS) - 1) << max(0, length - SUB_BUCKET_BITS)
    for length in range(HIGHEST_US.bit_length() + 1)
]
_round = float.__round__  # `round` looks it up for each value, which takes longer than to round
_FEW = 6  # so many samples are sooner counted one by one than by `Counter.update`
# A percentile is withheld below this many samples.
MIN_SAMPLES = {50: 20, 90: 100, 95: 200, 99: 1000}
# Boundaries of the classic Prometheus histograms, of probes and load runs alike.
TTFT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 3, 5, 7.5, 10, 15, 20, 40, 80, 160)
GAP_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 20, 40)
DURATION_BUCKETS_S = (0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240)


class Histogram:
    """Counts of durations in seconds. Infinite durations (failures) count above every finite one."""

    __slots__ = ("_counts", "_infinite", "_n")

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._counts: Counter[int] = Counter()  # by the lowest value of the bucket, in us
        self._n = 0  # finite samples
        self._infinite = 0
        for value in seconds:
            self.record(value)

    def record(self, seconds: float, count: int = 1) -> None:
        """Add `count` samples, clamped to 1 us .. 1 h. Raises ValueError for NaN."""
        if seconds == math.inf:
            self._infinite += count
            return
        self._counts[_bucket_of(seconds)] += count
        self._n += count

    def add_buckets(self, buckets: Sequence[int]) -> None:
        """Add a sample to each of these; from `buckets_of`, which is the dear part of recording."""
        counts = self._counts
        if len(buckets) > _FEW:
            counts.update(buckets)
        else:
            for bucket in buckets:
                counts[bucket] += 1
        self._n += len(buckets)

    def merge(self, other: "Histogram") -> None:
        """Add the samples of `other`; order and grouping of merges do not matter."""
        self._add(other._counts, other._counts.values())
        self._n += other._n
        self._infinite += other._infinite

    def _add(self, buckets: Collection[int], counts: Iterable[int]) -> None:
        """Each bucket once. No line of Python for any of them: a master adds a million a second."""
        mine = self._counts
        dict.update(mine, zip(buckets, map(add, map(mine.get, buckets, repeat(0)), counts), strict=True))

    def subtract(self, other: "Histogram") -> None:
        """Take the samples of `other` out again; all of them were added before."""
        self._counts -= other._counts  # drops what reaches zero
        self._n -= other._n
        self._infinite -= other._infinite

    @property
    def n(self) -> int:
        return self._n + self._infinite

    @property
    def max(self) -> float | None:
        """The largest sample in seconds; infinite when a failure was counted, None without samples."""
        if self._infinite:
            return math.inf
        return _highest_equivalent(max(self._counts)) / 1e6 if self._counts else None

    @property
    def sum(self) -> float:
        """The sum of the finite samples in seconds, within the precision."""
        return sum(_middle(value) * count for value, count in self._counts.items()) / 1e6

    def percentile(self, percent: float) -> float | None:
        """The smallest value in seconds that at least `percent` of all samples do not exceed.

        None without samples; infinite when that sample is a failure.
        """
        return self.percentiles([percent])[0]

    def percentiles(self, percents: Iterable[float]) -> list[float | None]:
        """Several percentiles in one pass."""
        wanted = list(percents)
        if not self.n:
            return [None] * len(wanted)
        found: dict[float, float] = {}
        pending = sorted(((self._rank(percent), percent) for percent in set(wanted)), reverse=True)
        seen = 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            while pending and seen >= pending[-1][0]:
                found[pending.pop()[1]] = _highest_equivalent(value) / 1e6
            if not pending:
                break
        return [found.get(percent, math.inf) for percent in wanted]

    def _rank(self, percent: float) -> int:
        return max(1, math.ceil(round(percent / 100 * self.n, 6)))

    def quantile_or_none(self, percent: int) -> float | None:
        """`percentile`, withheld (None) when there are too few samples to say it."""
        return self.quantiles([percent])[percent]

    def quantiles(self, percents: Iterable[int]) -> dict[int, float | None]:
        """`quantile_or_none` of several, in one pass."""
        wanted = list(percents)
        said = [percent for percent in wanted if self.n >= MIN_SAMPLES[percent]]
        found = dict(zip(said, self.percentiles(said), strict=True)) if said else {}
        return {percent: found.get(percent) for percent in wanted}

    def count_at_most(self, seconds: float) -> int:
        """How many samples are not above `seconds`, within the precision."""
        limit_us = round(seconds * 1e6)
        return sum(count for value, count in self._counts.items() if value <= limit_us)

    def cumulative(self, bounds_s: Sequence[float]) -> list[int]:
        """`count_at_most` of each bound (ascending), in one pass and without sorting."""
        limits_us = [round(bound * 1e6) for bound in bounds_s]
        counts = [0] * (len(limits_us) + 1)
        for value, count in self._counts.items():
            counts[bisect_left(limits_us, value)] += count
        return list(accumulate(counts[:-1]))

    def buckets(self) -> list[tuple[float, float, int]]:
        """(lowest, highest, count) of each bucket that has samples, in seconds, ascending."""
        return [
            (value / 1e6, _highest_equivalent(value) / 1e6, self._counts[value])
            for value in sorted(self._counts)
        ]

    def to_wire(self) -> dict[str, Any]:
        """What one process ships to another: plain, cheap, lossless."""
        return {
            "buckets": list(self._counts),
            "counts": list(self._counts.values()),
            "infinite": self._infinite,
        }

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        self._add(wire["buckets"], wire["counts"])
        self._n += sum(wire["counts"])
        self._infinite += wire["infinite"]

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Histogram":
        histogram = cls()
        histogram.add_wire(wire)
        return histogram

    def encode(self) -> str:
        """`INFINITE:BASE64`, the base64 in the HdrHistogram V2 compressed format, values in us."""
        hdr = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        for value, count in self._counts.items():
            hdr.record_value(value, count)
        return f"{self._infinite}:{hdr.encode().decode('ascii')}"

    @classmethod
    def decode(cls, text: str) -> "Histogram":
        """Raises ValueError when `text` is not what `encode` made."""
        infinite, colon, body = text.partition(":")
        if not colon or not infinite.isdecimal():
            raise ValueError("not an encoded histogram: no count of infinite samples before a colon")
        try:
            _check_payload(base64.b64decode(body, validate=True))
            hdr = HdrHistogram.decode(body.encode("ascii"))
        except Exception as exc:  # not ours, or the codec lets out whatever zlib, base64 and ctypes raise
            raise ValueError("not an encoded histogram: unreadable base64 part") from exc
        histogram = cls()
        # Not the codec's own iterator: it takes twenty times as long, and a report decodes hundreds.
        for start in range(0, hdr.encoder.payload.counts_len, _BLOCK):
            block = hdr.counts[start : start + _BLOCK]
            if any(block):
                for index, count in enumerate(block, start):
                    if count:
                        histogram._counts[_bucket(hdr.get_value_from_index(index))] += count
                        histogram._n += count
        histogram._infinite = int(infinite)
        return histogram

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._counts == other._counts and self._infinite == other._infinite

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Histogram(n={self.n})"


def _check_payload(wrapped: bytes) -> None:
    """Raises for what would unpack to more than a histogram of ours can hold, or to one of another range.

    The codec allocates whatever size the text asks for, and inflates without a limit.
    """
    inflated = zlib.decompressobj().decompress(wrapped[_WRAPPER_BYTES:], _MOST_BYTES + 1)
    digits, lowest, highest = _PAYLOAD_RANGE.unpack_from(inflated, _RANGE_AT)
    if len(inflated) > _MOST_BYTES or (digits, lowest, highest) != (DIGITS, LOWEST_US, HIGHEST_US):
        raise ValueError("not the range of astrometer's histograms")


def buckets_of(seconds: Sequence[float]) -> list[int]:
    """Where finite samples belong, in any histogram: what goes into several is looked up once."""
    in_us = list(map(_round, [value * 1e6 for value in seconds]))
    if in_us and (min(in_us) < LOWEST_US or max(in_us) > HIGHEST_US):
        in_us = list(map(_clamped, in_us))
    return [us & _LEADING_BITS[us.bit_length()] for us in in_us]


def _bucket_of(seconds: float) -> int:
    return _bucket(_clamped(round(seconds * 1e6)))


def _clamped(us: int) -> int:
    return us if LOWEST_US <= us <= HIGHEST_US else LOWEST_US if us < LOWEST_US else HIGHEST_US


def _shift(us: int) -> int:
    return max(0, us.bit_length() - SUB_BUCKET_BITS)


def _bucket(us: int) -> int:
    return us & _LEADING_BITS[us.bit_length()]


def _highest_equivalent(us: int) -> int:
    return us + (1 << _shift(us)) - 1


def _middle(us: int) -> float:
    return us + ((1 << _shift(us)) - 1) / 2
