"""Shapes in units of data -> inline SVG. No library, no script, nothing fetched.

A chart is two SVGs side by side: a narrow one with the labels of the y axis, and a plot as wide as the page
allows. In the plot every x is a percentage and every y a pixel, so it stretches from a phone to a sheet of
paper and no letter is ever scaled. Colours are classes; the style sheet knows light from dark.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from markupsafe import Markup

from astrometer.outside_text import shown

AXIS_WIDTH_PX = 54
HEAD_PX = 8
FOOT_PX = 22
_NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Data -> 0..1. `log` wants a `low` above zero. Values outside are clamped to the edges."""

    low: float
    high: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis; without a label it is only a faint line. A minor one gives way on a phone."""

    at: float
    label: str = ""
    minor: bool = False


def linear_ticks(high: float, label: Callable[[float], str], *, count: int = 4) -> list[Tick]:
    """From 0 in round steps to at least `high`; the last tick is where the axis should end."""
    if high <= 0:
        return [Tick(at=0, label=label(0)), Tick(at=1, label=label(1))]
    rough = high / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in _NICE if nice * power >= rough * (1 - 1e-9))
    steps = math.ceil(high / step - 1e-9)
    return [Tick(at=step * index, label=label(step * index)) for index in range(steps + 1)]


def log_ticks(low: float, high: float, label: Callable[[float], str]) -> list[Tick]:
    """Decades with a label; 2 and 5 as well where there are few decades, on a phone where very few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    span = math.log10(high / low)
    ticks = []
    for decade in decades:
        for factor in (1, 2, 5) if span > 0.8 else (1, 1.5, 2, 3, 5, 7):
            value = factor * 10.0**decade
            if low * 0.999 <= value <= high * 1.001:
                text = label(value) if factor == 1 or span <= 2.2 else ""
                ticks.append(Tick(at=value, label=text, minor=factor != 1 and span > 1.6))
    return ticks


@dataclass(slots=True, kw_only=True)
class Plot:
    """Collects shapes; `render` makes the chart. `title` is what a screen reader says."""

    title: str
    x: Scale
    y: Scale
    height_px: int = 190
    head_px: int = HEAD_PX
    _shapes: list[str] = field(default_factory=list)
    _labels: list[str] = field(default_factory=list)
    _hits: list[str] = field(default_factory=list)  # on top of all else

    def y_px(self, value: float) -> float:
        usable = self.height_px - self.head_px - FOOT_PX
        return self.head_px + usable * (1 - self.y(value))

    def rect(
        self, x0: float, x1: float, y0: float, y1: float, css: str, *, tip: str = "", opacity: float = 1
    ) -> None:
        """A box between data coordinates."""
        left, right = self.x(x0) * 100, self.x(x1) * 100
        top, bottom = self.y_px(y1), self.y_px(y0)
        if right <= left or bottom <= top:
            return
        faded = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self._shapes.append(
            f'<rect class="{css}" x="{left:.3f}%" y="{top:.1f}" width="{right - left:.3f}%" '
            f'height="{bottom - top:.1f}"{faded}>{_tip(tip)}</rect>'
        )

    def line(
        self,
        points: Sequence[tuple[float, float | None]],
        css: str,
        *,
        dots: bool = True,
        tip: Callable[[float, float], str] | None = None,
    ) -> None:
        """Joined points; a None breaks the line, and a point alone is a dot. `tip`: what a pointer shows."""
        for (x0, y0), (x1, y1) in pairwise(points):
            if y0 is not None and y1 is not None:
                self._segment(x0, x1, y0, y1, css)
        for x, y in points if dots else ():
            if y is not None:
                self.point(x, y, css)
        for x, y in points if tip is not None else ():
            if y is not None and tip is not None:
                self._hits.append(
                    f'<g class="hit">{_tip(tip(x, y))}<circle cx="{self.x(x) * 100:.3f}%" '
                    f'cy="{self.y_px(y):.1f}" r="7"/></g>'
                )

    def point(self, x: float, y: float, css: str, *, tip: str = "", radius: float = 2.2) -> None:
        shape = f'<circle class="{css}" cx="{self.x(x) * 100:.3f}%" cy="{self.y_px(y):.1f}" r="{radius}"/>'
        self._shapes.append(f"<g>{_tip(tip)}{shape}</g>" if tip else shape)

    def upright(self, x: float, *, tip: str) -> None:
        """A vertical line from top to bottom."""
        at = f"{self.x(x) * 100:.3f}%"
        ends = f'y1="{self.head_px}" y2="{self.height_px - FOOT_PX}"'
        self._shapes.append(f'<g><line class="limit" x1="{at}" x2="{at}" {ends}/>{_tip(tip)}</g>')

    def level(self, x0: float, x1: float, y: float, css: str, *, tip: str = "", label: str = "") -> None:
        """A horizontal line; its label stands on its left end."""
        at = f"{self.y_px(y):.1f}"
        self._shapes.append(
            f'<g><line class="{css}" x1="{self.x(x0) * 100:.3f}%" x2="{self.x(x1) * 100:.3f}%" '
            f'y1="{at}" y2="{at}"/>{_tip(tip)}</g>'
        )
        if label:
            x = f"{self.x(x0) * 100:.3f}%"
            self._labels.append(
                f'<text class="mark" x="{x}" dx="5" y="{self.y_px(y) - 4:.1f}">{_text(label)}</text>'
            )

    def markers(self, marks: Sequence[tuple[float, str]]) -> None:
        """Vertical lines, ascending, each with its label in a row of its own, so that no two collide.

        Labels stand right of their lines, the lowest value on top; near the right edge left of them, the
        highest on top. Either way no line runs through another's label.
        """
        if not marks:
            return
        to_left = self.x(marks[-1][0]) > 0.62
        for index, (x, label) in enumerate(marks):
            at = self.x(x) * 100
            text_y = 12 + 15 * (len(marks) - 1 - index if to_left else index)
            anchor, shift = ("end", -5) if to_left and at > 36 else ("start", 5)
            self._shapes.append(
                f'<line class="marker" x1="{at:.3f}%" x2="{at:.3f}%" y1="{text_y - 9}" '
                f'y2="{self.height_px - FOOT_PX}"/>'
            )
            self._labels.append(
                f'<text class="mark" x="{at:.3f}%" y="{text_y}" dx="{shift}" text-anchor="{anchor}">'
                f"{_text(label)}</text>"
            )

    def _segment(self, x0: float, x1: float, y0: float, y1: float, css: str) -> None:
        self._shapes.append(
            f'<line class="{css}" x1="{self.x(x0) * 100:.3f}%" x2="{self.x(x1) * 100:.3f}%" '
            f'y1="{self.y_px(y0):.1f}" y2="{self.y_px(y1):.1f}"/>'
        )

    def render(self, x_ticks: Iterable[Tick], y_ticks: Iterable[Tick]) -> Markup:
        foot = self.height_px - FOOT_PX
        axis, grid = [], []
        for tick in y_ticks:
            y = self.y_px(tick.at)
            kind = "grid" if tick.label else "grid faint"
            grid.append(f'<line class="{kind}" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
            if tick.label:
                axis.append(
                    f'<text x="{AXIS_WIDTH_PX - 6}" y="{y + 4:.1f}" text-anchor="end">'
                    f"{_text(tick.label)}</text>"
                )
        below = []
        for tick in x_ticks:
            at = self.x(tick.at) * 100
            below.append(f'<line class="tick" x1="{at:.3f}%" x2="{at:.3f}%" y1="{foot}" y2="{foot + 4}"/>')
            if tick.label and not (tick.minor and at > 92):  # there its text would run into the last one
                anchor = "start" if at < 4 else "end" if at > 94 else "middle"
                kind = ' class="minor"' if tick.minor else ""
                below.append(
                    f'<text{kind} x="{at:.3f}%" y="{foot + 17}" text-anchor="{anchor}">'
                    f"{_text(tick.label)}</text>"
                )
        return Markup(  # noqa: S704 (every text above is escaped)
            '<div class="chart">'
            f'<svg class="axis" width="{AXIS_WIDTH_PX}" height="{self.height_px}" aria-hidden="true">'
            f"{''.join(axis)}</svg>"
            f'<svg class="plot" width="100%" height="{self.height_px}" role="img" '
            f'aria-label="{_text(self.title)}">'
            f'{"".join(grid)}{"".join(self._shapes)}<line class="base" x1="0" x2="100%" y1="{foot}" '
            f'y2="{foot}"/>{"".join(below)}{"".join(self._labels)}{"".join(self._hits)}</svg></div>'
        )


def _tip(text: str) -> str:
    return f"<title>{_text(text)}</title>" if text else ""


def _text(text: str) -> str:
    return escape(shown(text))
