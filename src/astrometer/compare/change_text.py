"""A change, its interval, the value of a side -> words, each in the unit of its row. Pure."""

import math

from astrometer.compare.change_verdict import ChangeRow, ChangeUnit
from astrometer.measure.wilson import Interval
from astrometer.report import formatting


def change(value: float | None, unit: ChangeUnit = ChangeUnit.RATIO) -> str:
    """`+12.3 %` of a duration, `-0.4 pp` of a share, `+16.0 MB` of a growth per 1,000 turns."""
    if value is None or math.isnan(value):
        return formatting.WITHHELD
    if math.isinf(value):
        return "+∞" if value > 0 else "−∞"
    if unit is ChangeUnit.BYTES:
        return f"{'−' if value < 0 else '+'}{formatting.size(round(abs(value)))}"
    number = value * 100
    if abs(number) >= 999.5 and unit is ChangeUnit.RATIO:
        return f"×{value + 1:,.0f}"
    text = f"{number:+.1f}".replace("-", "−")
    return f"{'±0.0' if text[1:] == '0.0' else text} {'pp' if unit is ChangeUnit.POINTS else '%'}"


def interval(limits: Interval | None, unit: ChangeUnit = ChangeUnit.RATIO) -> str:
    if limits is None:
        return ""
    low, high = (change(value, unit) for value in limits)
    return f"{low} … {high}"


def limit(value: float, unit: ChangeUnit) -> str:
    """Of a condition: `10 %`, `2 pp`, `5.0 MB`."""
    if unit is ChangeUnit.BYTES:
        return formatting.size(round(value))
    return f"{value * 100:g} {'pp' if unit is ChangeUnit.POINTS else '%'}"


def side_value(row: ChangeRow, value: float | None) -> str:
    return value_text(value, row.unit)


def value_text(value: float | None, unit: ChangeUnit) -> str:
    """Of one run or side: `268 ms`, `1.2 %`, `11.3 MB`."""
    if value is None:
        return formatting.WITHHELD
    if unit is ChangeUnit.BYTES:
        return f"{'−' if value < 0 else ''}{formatting.size(round(abs(value)))}"
    return formatting.share(value) if unit is ChangeUnit.POINTS else formatting.duration(value)
