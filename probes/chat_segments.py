"""Do images and files get into a chat by their ids? One of each in one message, kept as what they are."""

import base64

from astrometer.probing import Attachment, Context, Plain, Upload, Verdict

INTERVAL = 43200
SCOPES = ("file", "chat")
COSTS_TOKENS = True
OPTIONS = {
    # sent with image and file
    "question": "[probe] Do not look at the attachments. Answer with exactly this word: {nonce}",
}
# One grey pixel: what a picture costs in tokens goes by its size.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


async def probe(ctx: Context) -> Verdict:
    picture = Upload(name=f"{ctx.nonce}.png", content=PNG, content_type="image/png")
    text = Upload(name=f"{ctx.nonce}.txt", content=f"astrometer probe {ctx.nonce}\n".encode())
    image_id = await ctx.attach(picture, kind="image")
    file_id = await ctx.attach(text, kind="file")
    turn = await ctx.chat(
        [
            Attachment(kind="image", attachment_id=image_id),
            Attachment(kind="file", attachment_id=file_id),
            Plain(text=ctx.options["question"].replace("{nonce}", ctx.nonce)),
        ],
        canary=ctx.nonce,
    )
    return Verdict.of(turn, "an image and a file, by their ids")
