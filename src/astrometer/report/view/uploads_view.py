"""A results file -> rows of uploads by size, and a sentence on what came back. For all reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astrometer.report import formatting
from astrometer.report.view import run_view
from astrometer.report.view.run_view import ReportRow, Shown

NOTE = (
    "Throughput is from the first byte of an upload to the head of its answer. "
    "Accept is from the last byte sent to that head, so it includes emptying the socket buffers"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRow:
    """One size of file. A percentile is None where no such thing exists."""

    size: str
    counts: ReportRow
    throughput_p50: Shown | None  # half of them were at least this fast
    throughput_p5: Shown | None  # 95 % of them were
    accept_p50: Shown | None
    accept_p95: Shown | None
    duration_p95: Shown | None

    @property
    def percentiles(self) -> tuple[Shown, ...]:
        speeds = (self.throughput_p50, self.throughput_p5)
        cells = (*speeds, self.accept_p50, self.accept_p95, self.duration_p95)
        return tuple(shown for shown in cells if shown is not None)


def rows(results: Mapping[str, Any]) -> list[UploadRow]:
    """Empty when nothing was uploaded."""
    return [_row(stats) for stats in results["uploads"]["sizes"]] if results["uploads"] else []


def lines(results: Mapping[str, Any]) -> list[str]:
    """Whether what was uploaded came back as it was; empty without uploads."""
    uploads = results["uploads"]
    if uploads is None:
        return []
    compared, different = uploads["compared"], uploads["different"]
    if not compared:
        return ["Uploads: nothing was downloaded, so no file was compared"]
    said = f"{formatting.count(different)} differed" if different else "all unchanged"
    return [f"Uploads: {formatting.plural(compared, 'file')} compared after download, {said}"]


def _row(stats: Mapping[str, Any]) -> UploadRow:
    speed = stats["throughput_bytes_per_s"]
    return UploadRow(
        size=formatting.plain(stats["name"]),
        counts=run_view.row(stats["name"], stats),
        throughput_p50=_speed(speed, 50),
        throughput_p5=_speed(speed, 95),
        accept_p50=run_view.percentile(stats, "upload_accept", 50),
        accept_p95=run_view.percentile(stats, "upload_accept", 95),
        duration_p95=run_view.percentile(stats, "duration", 95),
    )


def _speed(speed: Mapping[str, Any], percent: int) -> Shown | None:
    """What `percent` of the uploads reached."""
    if not speed["n"]:
        return None
    value = speed[f"p{100 - percent}"]
    text = f"{formatting.size(round(speed['min'] if value is None else value))}/s"
    is_withheld = value is None
    return Shown(
        text=f"≥ {text}" if is_withheld else text, n=speed["n"], percent=percent, withheld=is_withheld
    )
