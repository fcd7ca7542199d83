"""Do files get through? Upload one under a new name, send it in a chat, fetch it back and compare.

The chat is what makes it removable: AstrBot deletes an attachment only with the session that mentions it.
"""

from astrometer.probing import Attachment, Context, Outcome, Plain, Upload, Verdict

INTERVAL = 43200
SCOPES = ("file", "chat")
COSTS_TOKENS = True
OPTIONS = {
    "bytes": 1000,  # size of the file
    "question": "[probe] Do not open the file. Answer with exactly this word: {nonce}",  # sent with the file
}


async def probe(ctx: Context) -> Verdict:
    line = f"astrometer probe {ctx.nonce}\n".encode()
    content = (line * (ctx.options["bytes"] // len(line) + 1))[: ctx.options["bytes"]]
    attachment = await ctx.attach(Upload(name=f"{ctx.nonce}.txt", content=content))
    stored = await ctx.download(attachment)
    question = Plain(text=ctx.options["question"].replace("{nonce}", ctx.nonce))
    turn = await ctx.chat([Attachment(kind="file", attachment_id=attachment), question], canary=ctx.nonce)
    if not turn.outcome.is_ok:
        return Verdict.of(turn)
    if stored.outcome is Outcome.MALFORMED:
        return Verdict.passed("no download to compare: AstrBot before 4.22.1")
    if stored.outcome.is_ok and stored.body != content:
        return Verdict.failed(Outcome.CANARY_MISMATCH, f"sent {len(content)} bytes, other bytes came back")
    return Verdict.of(stored, f"{len(content)} bytes there and back")
