"""Sections of placed panels -> the JSON of one dashboard that Grafana 11 to 13 open."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from variables import DASHBOARDS, annotations, links

# Grafana 10.4's. Later ones migrate it when they open the file; an earlier one could not migrate it back.
SCHEMA_VERSION = 39


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """A panel and its place, in the grid of 24 columns; `y` from the top of its section."""

    panel: Any
    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Panels under a headline; the first section of a page has none."""

    title: str = ""
    panels: Sequence[At]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One dashboard."""

    uid: str
    description: str
    variables: Sequence[Any]
    sections: Sequence[Section]
    time_from: str = "now-6h"
    refresh: str = "30s"


def line_up(y: int, h: int, *panels: tuple[Any, int]) -> list[At]:
    """Panels and their widths, side by side from the left."""
    placed, x = [], 0
    for panel, w in panels:
        placed.append(At(panel=panel, x=x, y=y, w=w, h=h))
        x += w
    return placed


def render(page: Page) -> str:
    """The dashboard as text for a file."""
    dashboard = (
        build.Dashboard(f"Astrometer / {DASHBOARDS[page.uid]}")
        .uid(page.uid)
        .description(page.description)
        .tags(["astrometer", "astrbot"])
        .readonly()
        .time(page.time_from, "now")
        .refresh(page.refresh)
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
    )
    for variable in page.variables:
        dashboard = dashboard.with_variable(variable)
    dashboard = dashboard.annotations(annotations()).links(links(page.uid))
    y, number = 0, 1
    for section in page.sections:
        if section.title:
            row = build.Row(section.title).id(number).grid_pos(model.GridPos(x=0, y=y, w=24, h=1))
            dashboard = dashboard.with_row(row)
            y, number = y + 1, number + 1
        for at in section.panels:
            place = model.GridPos(x=at.x, y=y + at.y, w=at.w, h=at.h)
            dashboard = dashboard.with_panel(at.panel.id(number).grid_pos(place))
            number += 1
        y += max(at.y + at.h for at in section.panels)
    fields = json.loads(JSONEncoder().encode(dashboard.build()))
    return json.dumps(_plain({**fields, "schemaVersion": SCHEMA_VERSION}), indent=2, sort_keys=True) + "\n"


def _plain(value: Any) -> Any:
    """Without `placement`: Grafana 12.3 and later would hide links and annotations in a menu."""
    if isinstance(value, dict):
        hidden = value.get("placement") == "inControlsMenu"
        return {key: _plain(item) for key, item in value.items() if not (hidden and key == "placement")}
    return [_plain(item) for item in value] if isinstance(value, list) else value
