"""Does the model answer? A question with a nonce; the answer must contain it."""

from collections.abc import Mapping
from typing import Any

from astrometer.probing import Context, Verdict

INTERVAL = 1800
SCOPES = ("chat",)
COSTS_TOKENS = True
OPTIONS = {
    "question": "[probe] Answer with exactly this word and nothing else: {nonce}",  # must contain `{nonce}`
    "streaming": True,  # ask for a streamed answer
    "slow_after_s": 0.0,  # a good answer whose first token comes later than this fails as `slow`; 0: never
}


def check(options: Mapping[str, Any]) -> None:
    if "{nonce}" not in options["question"]:
        raise ValueError("question: needs {nonce}, the word that the answer must contain")


async def probe(ctx: Context) -> Verdict:
    question = ctx.options["question"].replace("{nonce}", ctx.nonce)
    turn = await ctx.chat(question, canary=ctx.nonce, streaming=ctx.options["streaming"])
    return ctx.not_slow(turn, ctx.options["slow_after_s"])
