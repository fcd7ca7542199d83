"""Do files get through? Upload one under a new name, send it in a chat, fetch it back and compare.

The chat is what makes it removable: AstrBot deletes an attachment only with the session that mentions it.
"""

from astrometer.api.messages import Attachment, Plain
from astrometer.api.outcome import Outcome
from astrometer.probing.probe import Context, ProbeFailed, Upload, Verdict

INTERVAL = 300
SCOPES = ("file", "chat")
COSTS_TOKENS = True


async def probe(ctx: Context) -> Verdict:
    content = f"astrometer probe {ctx.nonce}\n".encode() * 20
    attachment = await upload(ctx, content)
    stored = await ctx.download(attachment)
    question = Plain(text=f"[probe] Do not open the file. Answer with exactly this word: {ctx.nonce}")
    turn = await ctx.chat([Attachment(kind="file", attachment_id=attachment), question], canary=ctx.nonce)
    if not turn.outcome.is_ok:
        return Verdict.of(turn)
    if stored.outcome is Outcome.MALFORMED:
        return Verdict.passed("no download to compare: AstrBot before 4.22.1")
    if stored.outcome.is_ok and stored.body != content:
        return Verdict.failed(Outcome.CANARY_MISMATCH, f"sent {len(content)} bytes, other bytes came back")
    return Verdict.of(stored, f"{len(content)} bytes there and back")


async def upload(ctx: Context, content: bytes) -> str:
    who = await ctx.identity(ctx.key("chat"))
    sent = await ctx.upload(Upload(name=f"{ctx.nonce}.txt", content=content))
    if not sent.outcome.is_ok:
        raise ProbeFailed(sent.outcome, sent.detail)
    attachment = sent.payload.get("attachment_id") if isinstance(sent.payload, dict) else None
    if not isinstance(attachment, str):
        raise ProbeFailed(Outcome.MALFORMED, "the upload was accepted without an attachment_id")
    if who.can_delete:
        # Checked last: the session, made later, goes first and takes the attachment along.
        ctx.cleanup("upload", lambda: is_gone(ctx, attachment))
    else:
        ctx.stays("upload", who.why)
    return attachment


async def is_gone(ctx: Context, attachment: str) -> bool:
    return (await ctx.download(attachment)).detail == "Attachment not found"
