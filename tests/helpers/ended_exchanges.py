"""Ended exchanges of a run that mixes chats and calls -> a tally."""

from astrometer.api.call_exchange import CallResult
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Timings
from astrometer.measure.results.run_info import RunInfo
from astrometer.measure.tally.tally import Tally

NOW = 0.0  # since the run began


def turn(outcome=Outcome.OK, ttft=0.2, **extra):
    timings = Timings(
        t_intended=0.0, t_send=0.0, t_token1=ttft, t_tokenN=ttft + 1, t_terminal=ttft + 1, streamed=True
    )
    return ChatTurn(outcome=outcome, timings=timings, **extra)


def call(outcome=Outcome.OK, duration=0.05, **extra):
    return CallResult(outcome=outcome, duration_s=duration, bytes_sent=10, bytes_received=20, **extra)


def tally_of(*finished, goals=None):
    tally = Tally(goals)
    for item in finished:
        operation = "chat" if isinstance(item, ChatTurn) else "configs"
        tally.started("mixed", operation, NOW)
        tally.finished("mixed", operation, NOW, item)
    return tally


INFO = RunInfo(scenario="mixed", url="http://h", start=NOW, duration_s=10.0)
