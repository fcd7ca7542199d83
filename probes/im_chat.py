"""Does the bot answer in a messenger? A question with a nonce, as a user asks; the answer must contain it.

It goes through an adapter of AstrBot that is there for this alone. Nobody else is written to.
"""

from collections.abc import Mapping
from typing import Any

from astrometer.probing import Context, Verdict

INTERVAL = 3600
COSTS_TOKENS = True
NEEDS_MESSENGER = True
OPTIONS = {
    "question": "[probe] Answer with exactly this word and nothing else: {nonce}",  # must contain `{nonce}`
    "user_ids": [9100000001, 9100000002, 9100000003],  # numbers of users who ask in turn, and whom nobody has
    # say `/reset` before each question where no key can delete the conversation, so that it does not grow.
    # Set it to `false` where the profile has the commands switched off: `/reset` would go to the model
    "reset": True,
    # the answer is whole when no more came for so long. AstrBot's own pauses within an answer are up to 3.5 s
    "quiet_s": 4.0,
    "slow_after_s": 0.0,  # a good answer whose first message comes later than this fails as `slow`; 0: never
}


def check(options: Mapping[str, Any]) -> None:
    if "{nonce}" not in options["question"]:
        raise ValueError("question: needs {nonce}, the word that the answer must contain")
    ids = options["user_ids"]
    if not ids or not all(type(user_id) is int and 0 < user_id < 2**63 for user_id in ids):
        raise ValueError("user_ids: numbers of users who do not exist, like [9100000001]")


async def probe(ctx: Context) -> Verdict:
    user_id = ctx.messenger.user_of(ctx.options["user_ids"])
    if ctx.options["reset"]:
        await ctx.messenger.reset(user_id)
    question = ctx.options["question"].replace("{nonce}", ctx.nonce)
    turn = await ctx.messenger.ask(user_id, question, canary=ctx.nonce, quiet_s=ctx.options["quiet_s"])
    return ctx.not_slow(turn, ctx.options["slow_after_s"])
