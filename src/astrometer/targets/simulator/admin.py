"""`/sim/stats`, `/sim/faults`, `/sim/messenger`: what happened, what is to go wrong, the adapter. No key.

`POST /sim/faults {"kind": "cut", "rate": 0.1}` or `{"kind": "http_500", "count": 3, "endpoint": "configs"}`;
`value` is the tokens before a stream fault, or the seconds of a freeze. GET lists the plan, DELETE clears it.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from astrometer.targets.messenger.messenger_profile import MessengerProfileError, parse_profile
from astrometer.targets.simulator.chats.chat import Pipeline
from astrometer.targets.simulator.onebot_adapter.simulated_adapter import SimulatedAdapter
from astrometer.targets.simulator.simulated_faults import FaultError, FaultPlan, Planned, fault_kind
from astrometer.targets.simulator.store import Store

FIELDS = ("kind", "rate", "count", "value", "endpoint")

COUNTED = (
    *("chats_started", "chats_finished", "model_asked", "titles_asked", "messages_user", "messages_bot"),
    *("im_messages", "im_events", "im_questions", "im_replies", "im_undelivered", "uploads"),
)


async def answer_admin(
    request: Request,
    store: Store,
    plan: FaultPlan,
    pipeline: Pipeline,
    messenger: SimulatedAdapter | None = None,
) -> Response:
    match request.method, request.url.path:
        case "GET", "/sim/stats":
            return JSONResponse(stats(store, plan, pipeline))
        case "GET", "/sim/faults":
            return JSONResponse({"faults": listed(plan)})
        case "DELETE", "/sim/faults":
            plan.planned.clear()
            return JSONResponse({"faults": []})
        case "POST", "/sim/faults":
            try:
                plan.add(planned_fault(await request.json()))
            except (FaultError, ValueError, TypeError) as exc:
                return JSONResponse({"error": str(exc)}, status_code=400)
            return JSONResponse({"faults": listed(plan)})
        case "POST", "/sim/messenger" if messenger is not None:
            try:
                await change_messenger(messenger, await request.json())
            except (MessengerProfileError, ValueError) as exc:
                return JSONResponse({"error": str(exc)}, status_code=400)
            return JSONResponse({"url": messenger.url, "open": messenger.is_open})
    return JSONResponse({"error": f"{request.method} {request.url.path} is not served here"}, status_code=404)


async def change_messenger(messenger: SimulatedAdapter, wanted: Any) -> None:
    """`{"settings": ["reply_with_quote=off"]}`: this profile from now on; `{"adapter": "off"}`: closed.

    Raises MessengerProfileError, ValueError.
    """
    if not isinstance(wanted, dict) or not wanted or set(wanted) - {"settings", "adapter"}:
        raise ValueError("an object with `settings`, a list of NAME=VALUE, or `adapter`: on, off")
    if (settings := wanted.get("settings")) is not None:
        messenger.use(parse_profile([str(setting) for setting in settings]))
    match wanted.get("adapter"):
        case "on":
            await messenger.open()
        case "off":
            messenger.shut_down()
        case None:
            pass
        case other:
            raise ValueError(f"adapter: on or off expected, not {other!r}")


def planned_fault(fields: Any) -> Planned:
    """Raises FaultError, ValueError, TypeError."""
    if not isinstance(fields, dict) or (unknown := set(fields) - set(FIELDS)):
        shown = ", ".join(sorted(unknown)) if isinstance(fields, dict) else "no object"
        raise FaultError(f"fault: {shown} (known: {', '.join(FIELDS)})")
    return Planned(
        kind=fault_kind(str(fields.get("kind"))),
        rate=float(fields.get("rate", 0)),
        count=int(fields.get("count", 0)),
        value=float(fields.get("value", 3)),
        endpoint=fields.get("endpoint"),
    )


def listed(plan: FaultPlan) -> list[dict[str, Any]]:
    return [
        {**{name: getattr(planned, name) for name in FIELDS}, "struck": planned.struck}
        for planned in plan.planned
    ]


def stats(store: Store, plan: FaultPlan, pipeline: Pipeline) -> dict[str, Any]:
    """The counters, for tests that account for every request."""
    counters = store.counters
    return {
        "requests": {
            name.removeprefix("requests_"): count
            for name, count in sorted(counters.items())
            if name.startswith("requests_")
        },
        **{name: counters[name] for name in COUNTED},
        "chats_in_flight": sum(len(runs) for runs in pipeline.running.values()),
        "sessions": len(store.sessions),
        "attachments": len(store.attachments),
        "faults_struck": sum(planned.struck for planned in plan.planned),
    }
