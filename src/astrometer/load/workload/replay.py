"""A workload -> the conversations of one user: how many turns, how long pauses, how large questions."""

import random
from collections.abc import Iterable
from typing import Any

from astrometer.load.corpus import Corpus
from astrometer.load.workload.conversation_export import TOKEN_BYTES
from astrometer.load.workload.workload_file import Workload

ANSWER_TOKENS = "{answer_tokens}"  # in --prompt-suffix: how long the answer of the workload is


class Replay:
    """What one user draws from a workload.

    Users start in mid-pause, and in the open model some conversations are already under way: otherwise the
    load would need minutes to reach its level.
    """

    def __init__(self, workload: Workload, rng: random.Random) -> None:
        self._workload = workload
        self._random = rng
        self._first_pause_s: float | None = None
        self.left = False  # the rate has fallen: the conversation ends with the turn that runs

    def pause_s(self) -> float:
        """As long as the next pause is to be."""
        first, self._first_pause_s = self._first_pause_s, None
        return self._workload.pause_s.draw(self._random) if first is None else first

    def turns(self) -> int:
        return self._workload.turns.draw_whole(self._random)

    def wait_first(self) -> None:
        """The next pause began before there was anybody to see it."""
        self._first_pause_s = self._workload.pause_s.draw_rest(self._random)

    def turns_left(self) -> int:
        """Of a conversation that is met in a pause: long ones are met more often."""
        lengths = [max(0.0, length - 1) for length in self._workload.turns.values]
        (pauses,) = self._random.choices(lengths, lengths)
        return 1 + int(self._random.random() * pauses)

    def prompt(self, corpus: Corpus) -> str:
        """Of a size that the workload has, where that is known."""
        tokens = self._workload.spreads.get("prompt_tokens")
        return (
            corpus.next() if tokens is None else corpus.sized(round(tokens.draw(self._random) * TOKEN_BYTES))
        )

    def suffix(self, text: str) -> str:
        """`--prompt-suffix`, with the size of the next answer in it."""
        tokens = self._workload.spreads.get("output_tokens")
        length = 0 if tokens is None else round(tokens.draw(self._random))
        return text.replace(ANSWER_TOKENS, str(max(1, length)))


def converse(user: Any) -> None:
    """A user's only task: one conversation, in a new session. After its last turn Locust has it pause."""
    replay: Replay = user.replay
    is_open = user.run_info.open_model is not None
    is_under_way = user.joins
    user.joins = False
    if is_under_way:
        replay.wait_first()
        user.wait()
    for turn in range(replay.turns_left() if is_under_way and is_open else replay.turns()):
        if turn:
            user.wait()
        if replay.left:
            return
        user.say(user.prompt(), is_new=turn == 0)


def workload_share(user_classes: Iterable[Any]) -> float:
    """Of the users, by their weights: those who follow a workload."""
    weights = [(user.weight, getattr(user, "follows_workload", False)) for user in user_classes]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, follows in weights if follows) / total if total else 0.0
