"""A push into a running simulated chat looks as it does on a real server: recorded in `tests/api`."""

import asyncio
import json
from pathlib import Path

import pytest

from astrometer.targets.simulator.chats.chat_run import SimulatedRun
from astrometer.targets.simulator.store import Store
from astrometer.targets.simulator.version_traits import Wire

RECORDED = json.loads((Path(__file__).parents[2] / "api" / "recorded_pushes.json").read_text("utf-8"))


def shape(payload):
    """What does not change from run to run."""
    return {name: value for name, value in payload.items() if name in {"type", "streaming", "chain_type"}} | (
        {"data": payload["data"]} if payload["type"] in {"plain", "complete"} else {}
    )


W = [f"w{number} " for number in range(6)]


@pytest.mark.parametrize(
    ("version", "case", "said"),
    [
        ("4.29.3", "middle", [*W[:2], ["pushed text"], *W[2:]]),
        ("4.23.6", "middle", [*W[:3], ["pushed text"], *W[3:]]),
        ("4.29.3", "parts", [["one ", "two"], *W[:3]]),
        ("4.23.6", "parts", [["one ", "two"], *W[:3]]),
    ],
)
def test_a_push_is_mixed_in_as_on_a_real_server(version, case, said):
    store = Store(Wire.of(version), {})
    run = SimulatedRun(store, session_id="s", username="u", streaming=True)
    run.open([{"type": "plain", "text": "hi"}])
    run.run_started()
    for text in said:
        run.push(text) if isinstance(text, list) else run.text(text)
    run.stats({})
    run.complete()
    run.end()
    run.close()

    async def sent():
        items = []
        while True:
            try:
                items.append(await run.channel.get(1.0))
            except EOFError:
                return items

    events = [json.loads(item.head.removeprefix(b"data: ") + b"}") for item in asyncio.run(sent())]
    recorded = [json.loads(raw.removeprefix("data: ")) for _, raw in RECORDED[version][case]]
    assert [shape(event) for event in events] == [shape(event) for event in recorded]
