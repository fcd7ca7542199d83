"""Meanings -> colours, words on colours, and overrides of single series and columns."""

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

GOOD, WARN, BAD, PLAIN, UNKNOWN = "green", "orange", "red", "blue", "#707684"
Steps = Sequence[tuple[float | None, str]]
States = dict[int, tuple[str, str]]  # value -> text, colour


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    found = [model.Threshold(value=value, color=color) for value, color in pairs]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


def states(names: States) -> list[model.ValueMapping]:
    """Numbers that are states, as words on a colour."""
    options = {
        str(value): model.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(names.items())
    }
    return [model.ValueMap(options=options)]


def prop(name: str, value: Any) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def fixed(color: str) -> model.DynamicConfigValue:
    return prop("color", {"mode": "fixed", "fixedColor": color})


def dashed() -> model.DynamicConfigValue:
    return prop("custom.lineStyle", {"fill": "dash", "dash": [8, 8]})


def cell(kind: str) -> model.DynamicConfigValue:
    """`color-text` or `color-background`."""
    return prop("custom.cellOptions", {"type": kind, "mode": "basic"})


def colored(*pairs: tuple[float | None, str]) -> model.DynamicConfigValue:
    """Thresholds of one column."""
    found = [{"value": value, "color": color} for value, color in pairs]
    return prop("thresholds", {"mode": "absolute", "steps": found})


def worded(names: States) -> model.DynamicConfigValue:
    """States of one column."""
    options = {str(value): {"text": text, "color": color} for value, (text, color) in names.items()}
    return prop("mappings", [{"type": "value", "options": options}])
