"""Turns and requests at once -> `provider_limit` of `results.json`: was AstrBot's own limit met? Pure."""

from typing import Any

from astrometer.measure.turns_at_once import PROVIDER_LIMIT, TurnsAtOnce


def provider_limit_json(
    at_once: TurnsAtOnce, model_most: int | None, start_s: float, end_s: float
) -> dict[str, Any]:
    """Of the window. `model_most`: requests that the model worked on at once; None: it was not asked."""
    at_limit_s = at_once.at_limit_s(start_s, end_s)
    reached = None
    if model_most is None:
        reached = "turns" if at_limit_s else None
    elif model_most >= PROVIDER_LIMIT:
        reached = "model"
    return {
        "requests": PROVIDER_LIMIT,
        "turns_most": at_once.most(start_s, end_s),
        "turns_at_limit_s": at_limit_s,
        "model_most": model_most,
        "reached": reached,
    }
