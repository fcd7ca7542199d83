"""One plain exchange, sans-IO: status, body -> a `CallResult`. Uploads, lists, IM pushes, downloads.

The counterpart of `api.chat.chat_exchange.ChatExchange` for everything that is no stream.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from astrometer.api.metric_table import UPLOAD_METRICS
from astrometer.api.network_stats import NO_NETWORK_STATS, NetworkStats
from astrometer.api.outcome import JsonVerdict, Outcome, classify_encoding, classify_json
from astrometer.api.timings import Bounds
from astrometer.outside_text import shown

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_DOWNLOAD_BYTES = 1024 * 1024 * 1024  # only the hash is kept
MEGABYTE = 1_000_000
KIB = 1024
UPLOAD_LIMITS_BYTES = (64 * KIB, 1024 * KIB, 16 * 1024 * KIB)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTimes:
    """One upload: the bytes of its file, None for one that never began; times None where unknown."""

    file_bytes: int | None = None
    transfer_s: float | None = None  # first byte of the body -> head of the answer
    accept_s: float | None = None  # last byte of the body -> head of the answer

    @property
    def size_class(self) -> int | None:
        return None if self.file_bytes is None else bisect_left(UPLOAD_LIMITS_BYTES, self.file_bytes)

    def metrics(self) -> dict[str, tuple[float, ...]]:
        found: dict[str, tuple[float, ...]] = {}
        if self.accept_s is not None:
            found["upload_accept"] = (self.accept_s,)
        if self.transfer_s is not None and self.file_bytes:
            found["upload_pace"] = (self.transfer_s / self.file_bytes * MEGABYTE,)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What one exchange without a stream was: an upload, a list, an IM push."""

    outcome: Outcome
    duration_s: float
    t_send: float = 0.0
    t_intended: float | None = None
    status: int | None = None
    content_type: str = ""  # without parameters, safe to show
    payload: Any = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    bytes_sent: int = 0
    bytes_received: int = 0
    detail: str = ""
    upload: UploadTimes | None = None  # None: it was none
    resent: int = 0  # times that the request went out again, on a fresh connection
    network: NetworkStats = NO_NETWORK_STATS

    @property
    def expected(self) -> tuple[str, ...]:
        names = ("duration",) if self.t_intended is None else ("duration", "duration_effective")
        return names if self.upload is None else (*names, *UPLOAD_METRICS)

    @property
    def size_class(self) -> int | None:
        return None if self.upload is None else self.upload.size_class

    def metrics(self) -> Mapping[str, tuple[float, ...]]:
        if self.outcome is Outcome.DROPPED:
            return {}  # it never started
        found = {**self.network.metrics(), **({} if self.upload is None else self.upload.metrics())}
        if self.t_intended is None:
            return {**found, "duration": (self.duration_s,)}
        late_s = max(0.0, self.t_send - self.t_intended)
        return {
            **found,
            "duration": (self.duration_s,),
            "duration_effective": (self.duration_s + late_s,),
            "schedule_lag": (late_s,),
        }

    def bounds(self) -> Mapping[str, tuple[Bounds, ...]]:
        """None: what is timed of a call is its last byte, which is certain."""
        return {}


class CallExchange:
    """The state of one call in flight. Times are absolute `time.perf_counter` seconds.

    `expect_sha256` makes it a download: the answer is bytes, and other bytes are a CANARY_MISMATCH.
    `raw` keeps whatever bytes come: only the server's own JSON envelope or a web page can be an error.
    `upload` makes it one, of a file of that size; its times are filled in.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        bytes_sent: int = 0,
        expect_sha256: str | None = None,
        raw: bool = False,
        max_bytes: int | None = None,
        t_intended: float | None = None,
        upload: UploadTimes | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._upload = upload
        self._t_body_began: float | None = None
        self._t_body_sent: float | None = None
        self._t_headers: float | None = None
        self._t_intended = t_intended
        self._bytes_sent = bytes_sent
        self._expected = expect_sha256
        self._raw = raw
        default = MAX_BODY_BYTES if expect_sha256 is None else MAX_DOWNLOAD_BYTES
        self._max_bytes = default if max_bytes is None else max_bytes
        self._digest = hashlib.sha256()
        self._t_send = 0.0
        self._status: int | None = None
        self._content_type = ""
        self._location = ""
        self._resent = 0
        self._network = NO_NETWORK_STATS
        self._body = bytearray()
        self._bytes = 0
        self._result: CallResult | None = None

    def sent(self, t: float) -> None:
        self._t_send = t

    def sending(self, began: float, ended: float) -> None:
        """A call is timed from when it was asked for; a late send is part of that."""

    def body_began(self, t: float) -> None:
        """Connected, and the next byte to go is the first of the body."""
        self._t_body_began = t

    def body_sent(self, t: float) -> None:
        """The socket has taken the last byte of the body."""
        self._t_body_sent = t

    def sent_again(self) -> None:
        """The server had closed the kept connection; the times run on from the first send."""
        self._resent += 1

    def network(self, stats: NetworkStats) -> None:
        """What the kernel says of the connection, when this exchange is over on it."""
        self._network = stats.after(self._network)

    def headers(
        self, t: float, status: int, content_type: str, location: str = "", encoding: str = ""
    ) -> None:
        self._t_headers = t
        self._status = status
        self._content_type = content_type
        self._location = location
        if (encoded := classify_encoding(status, encoding)) is not None:
            self._finish(t, encoded)

    def feed(
        self,
        t: float,
        chunk: bytes,
        since: float | None = None,  # noqa: ARG002
        *,
        is_last: bool = True,  # noqa: ARG002
    ) -> tuple[()]:
        """No events, but as `ChatExchange.feed` a sequence of them. What is timed is the last byte."""
        self._bytes += len(chunk)
        if self._bytes > self._max_bytes:
            self.lost(t, Outcome.MALFORMED, f"the answer is longer than {self._max_bytes} bytes")
            return ()
        if self._expected is not None:
            self._digest.update(chunk)
        if len(self._body) < MAX_BODY_BYTES:
            self._body += chunk
        return ()

    def eof(self, t: float) -> None:
        if self._expected is not None:
            verdict = self._judge_download()
        else:
            verdict = self._judge_raw() if self._raw else self._judge()
        self._finish(t, verdict)

    def lost(self, t: float, outcome: Outcome, detail: str = "") -> None:
        self._finish(t, JsonVerdict(outcome=outcome, message=detail))

    def abort(self, t: float, outcome: Outcome) -> None:
        self.lost(t, outcome)

    def expire(self, t: float) -> None:
        self.lost(t, Outcome.TIMEOUT_TOTAL, f"after {t - self._t_send:.1f} s")

    def deadline(self) -> tuple[float, Outcome]:
        return self._t_send + self._timeout_s, Outcome.TIMEOUT_TOTAL

    @property
    def done(self) -> bool:
        return self._result is not None

    def result(self) -> CallResult:
        """Return the finished call. Raises RuntimeError while it is in flight."""
        if self._result is None:
            raise RuntimeError("the exchange is not finished")
        return replace(self._result, network=self._network)

    def _judge(self) -> JsonVerdict:
        return classify_json(self._status or 0, self._content_type, bytes(self._body), self._location)

    def _judge_raw(self) -> JsonVerdict:
        verdict = self._judge()
        # A file may be JSON itself. A web page is how AstrBot up to 4.25 answers an unknown path.
        is_page = "html" in self._content_type.lower()
        if verdict.outcome is Outcome.MALFORMED and not is_page:
            return JsonVerdict(outcome=Outcome.OK)
        return verdict

    def _judge_download(self) -> JsonVerdict:
        verdict = self._judge()
        # A missing file is a JSON envelope with status 200; other JSON may be the file itself.
        if verdict.outcome not in (Outcome.OK, Outcome.MALFORMED):
            return verdict
        if self._digest.hexdigest() != self._expected:
            return JsonVerdict(outcome=Outcome.CANARY_MISMATCH, message="other bytes than uploaded")
        return JsonVerdict(outcome=Outcome.OK)

    def _finish(self, t: float, verdict: JsonVerdict) -> None:
        if self._result is not None:
            return
        self._result = CallResult(
            outcome=verdict.outcome,
            duration_s=t - self._t_send,
            t_send=self._t_send,
            t_intended=self._t_intended,
            status=self._status,
            content_type=shown(self._content_type.partition(";")[0], 80),
            payload=verdict.payload,
            body=bytes(self._body) if self._raw else b"",
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes,
            detail=shown(verdict.message),
            upload=self._timed_upload(),
            resent=self._resent,
        )

    def _timed_upload(self) -> UploadTimes | None:
        """An answer that came before the whole body was sent says nothing of how fast the body went."""
        upload, began, sent, head = self._upload, self._t_body_began, self._t_body_sent, self._t_headers
        if upload is None or began is None or sent is None or head is None:
            return upload
        return UploadTimes(
            file_bytes=upload.file_bytes, transfer_s=head - began, accept_s=max(0.0, head - sent)
        )
