"""A target -> a list of checks before a test: each ok, warn or fail, with one line and a cure."""

import time
from email.utils import parsedate_to_datetime

import httpx

from astrometer.api.buffering import CURE as BUFFERING_CURE
from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.endpoints import CHAT, OPENAPI, SESSIONS, START_TIME, parse_version
from astrometer.api.outcome import Outcome
from astrometer.api.server_versions import started_at
from astrometer.config.settings import Key
from astrometer.probing.context import Context
from astrometer.probing.target_checks.doctor_check import CheckState, DoctorCheck
from astrometer.probing.target_checks.messenger_check import check_messenger
from astrometer.probing.target_checks.scopes import ROWS_BEFORE_4_26, Admission, ScopeCell, look, rows_of
from astrometer.probing.target_checks.server_info import ask_version
from astrometer.probing.verdict import ProbeFailed, Verdict
from astrometer.units import format_duration

MEASURED = ((4, 18, 0), (4, 30, 0))
GATE_IS_SLOW_S = 1.0
CLOCKS_APART_S = 2.0

CURES = {
    Outcome.DNS: "check the host name",
    Outcome.CONNECT: "is AstrBot running, and is this its port (6185 by default)?",
    Outcome.TLS: "check the certificate, or use http:// if AstrBot has no TLS",
    Outcome.MALFORMED: "check URL and port: what answers there does not speak HTTP",
    Outcome.ENCODED: "a proxy compresses answers unasked: switch that off for AstrBot (nginx: `gzip off`)",
    Outcome.BUFFERED: BUFFERING_CURE,
    Outcome.TIMEOUT_CONNECT: "check the address and the firewall between",
    Outcome.UNAUTHORIZED: "the key is bad, revoked or expired: make a new one in AstrBot's settings",
    Outcome.FORBIDDEN: "give the key the scope in AstrBot's settings",
    Outcome.LLM_ERROR: "AstrBot's model provider fails: check its key, quota and address in AstrBot",
    Outcome.NOT_ASKED: "the model was never asked: is one configured and on, and does a rate limit discard?",
    Outcome.EMPTY_ANSWER: "the model answered nothing: try the provider by hand in AstrBot",
    Outcome.CANARY_MISMATCH: "the model answers something else: a persona or plugin may rewrite answers",
    Outcome.TIMEOUT_FIRST_TOKEN: "the model is slow or hangs: look at the provider in AstrBot",
    Outcome.AGENT_ERROR: "AstrBot failed inside: look at its log",
}


class Examination:
    """Fills `checks`. `probe` has the shape of a probe, so the runner gives it deadline and cleanup."""

    def __init__(self) -> None:
        self.checks: list[DoctorCheck] = []

    async def probe(self, ctx: Context) -> Verdict:
        if not await self._reachable(ctx):
            return Verdict.failed(self.checks[-1].outcome or Outcome.CONNECT)
        chat_key = await self._keys(ctx)
        await self._version(ctx, chat_key)
        if chat_key is None:
            self._add(
                "model", CheckState.WARN, "not asked: no key with scope chat", "add a key with scope chat"
            )
        else:
            turn = await self._model(ctx)
            self._rate_limit(turn)
        await self._clocks(ctx)
        self.checks += [check async for check in check_messenger(ctx)]
        if chat_key is not None:
            await self._left_behind(ctx, chat_key)
        return Verdict.passed()

    def _add(
        self, name: str, state: CheckState, line: str, cure: str = "", outcome: Outcome | None = None
    ) -> None:
        self.checks.append(DoctorCheck(name=name, state=state, line=line, cure=cure, outcome=outcome))

    async def _reachable(self, ctx: Context) -> bool:
        answer = await ctx.call(START_TIME, None, timeout_s=ctx.limits.connect_s)
        started = started_at(answer)
        if started is not None:
            up_for = format_duration(max(0.0, time.time() - started))
            steps = ", ".join(f"{name} {format_duration(s)}" for name, s in ctx.record.phases.items())
            line = f"answers in {format_duration(answer.duration_s)} ({steps}); up for {up_for}"
            self._add("reachable", CheckState.OK, line)
            return True
        if answer.outcome is not Outcome.ENCODED and answer.status is not None and await _has_api(ctx):
            line = f"the API answers, but GET {START_TIME.path} does not (HTTP {answer.status})"
            cure = "let the proxy pass that path, too: without it nobody sees that AstrBot was restarted"
            self._add("reachable", CheckState.WARN, line, cure)
            return True
        if answer.status is not None and answer.outcome is not Outcome.ENCODED:
            line = f"something answers (HTTP {answer.status}), but not like AstrBot: {answer.detail}"
            self._add("reachable", CheckState.FAIL, line, "check URL and port", answer.outcome)
            return False
        cure = CURES.get(answer.outcome, "is AstrBot frozen or overloaded?")
        self._add("reachable", CheckState.FAIL, f"{answer.outcome}: {answer.detail}", cure, answer.outcome)
        return False

    async def _keys(self, ctx: Context) -> Key | None:
        """One line a key. Returns the key that may chat, if one may."""
        if not ctx.target.keys:
            self._add(
                "keys", CheckState.FAIL, "no key", "set ASTRBOT_API_KEY, or [targets.NAME.keys] in the config"
            )
        may_chat: list[Key] = []
        try:
            rows = await rows_of(ctx)
        except ProbeFailed:
            rows = ROWS_BEFORE_4_26  # those that every version has
        for key in ctx.target.keys.values():
            cells = [await look(ctx, key, row) for row in rows]
            if any(cell.endpoint == CHAT.name and cell.actual is Admission.ALLOWED for cell in cells):
                may_chat.append(key)
            self.checks.append(check_of_key(key, cells))
        preferred = ctx.target.key_for("chat")
        return preferred if preferred in may_chat else None

    async def _version(self, ctx: Context, key: Key | None) -> None:
        found = await ask_version(ctx, may_chat=key is not None)
        if found is None:
            document = await ctx.call(OPENAPI, None, raw=True)
            family = "4.26 or newer" if document.outcome.is_ok else "4.18 to 4.25"
            line = f"{family}, by {'its' if document.outcome.is_ok else 'the lack of an'} openapi.json"
            cure = (
                "for the exact version let GET /api/stat/versions through"
                if document.outcome.is_ok
                else "for the exact version use a key that may chat (/help)"
            )
            self._add("version", CheckState.WARN, line, cure)
            return
        line, cures = found.running, []
        if found.is_outdated:
            line = f"updated to {found.on_disk}, but {found.running} is still running"
            cures.append("restart AstrBot")
        if not MEASURED[0] <= parse_version(found.running) < MEASURED[1]:
            cures.append("astrometer was measured against 4.18 to 4.29: take its findings with care")
        self._add("version", CheckState.WARN if cures else CheckState.OK, line, "; ".join(cures))

    async def _model(self, ctx: Context) -> ChatTurn:
        question = f"[doctor] Answer with exactly this word and nothing else: {ctx.nonce}"
        turn = await ctx.chat(question, canary=ctx.nonce)
        times = turn.timings
        if turn.outcome.is_ok:
            line = f"answers; first token after {format_duration(times.ttft_s)}"
            if times.server_ttft_s is not None:
                own, rest = format_duration(times.server_ttft_s), format_duration(times.overhead_s)
                line += f", of which the model took {own} and everything around it {rest}"
            self._add("model", CheckState.OK, line)
        else:
            cure = CURES.get(turn.outcome, "look at AstrBot's log")
            line = f"{turn.outcome}: {turn.detail}".rstrip(": ")
            self._add("model", CheckState.FAIL, line, cure, turn.outcome)
        return turn

    def _rate_limit(self, turn: ChatTurn) -> None:
        waited_s = turn.timings.gate_wait_s
        rule = "AstrBot's default: 30 messages a minute per session, others wait; a key cannot read it"
        if waited_s is not None and waited_s > GATE_IS_SLOW_S:
            line = f"a new session waited {format_duration(waited_s)} before the model was asked"
            self._add("rate limit", CheckState.WARN, line, "look at platform_settings.rate_limit in AstrBot")
        elif turn.outcome is Outcome.NOT_ASKED:
            line = f"the question was discarded. {rule}"
            self._add("rate limit", CheckState.WARN, line, "look at platform_settings.rate_limit in AstrBot")
        else:
            gate = "" if waited_s is None else f": new sessions queue {format_duration(waited_s)}"
            self._add("rate limit", CheckState.OK, f"not limiting{gate}. {rule}")

    async def _clocks(self, ctx: Context) -> None:
        before = time.time()
        try:
            response = await ctx.asks.head_of(START_TIME)
        except (httpx.TransportError, TimeoutError) as exc:
            self._add("clocks", CheckState.WARN, f"could not be compared ({type(exc).__name__})")
            return
        after = time.time()
        try:
            server = parsedate_to_datetime(response.headers.get("date", "")).timestamp()
        except ValueError:
            self._add("clocks", CheckState.WARN, "the server sends no Date: its clock is unknown")
            return
        offset_s, either_way_s = clock_offset(server, before, after)
        line = f"the server's is {offset_s:+.1f} s from ours (±{either_way_s:.1f} s)"
        apart = abs(offset_s) - either_way_s > CLOCKS_APART_S
        cure = "durations are right, but logs of both sides will not line up: check NTP" if apart else ""
        self._add("clocks", CheckState.WARN if apart else CheckState.OK, line, cure)

    async def _left_behind(self, ctx: Context, key: Key) -> None:
        try:
            who = await ctx.identity(key)
        except ProbeFailed as exc:
            line = f"unknown: {exc.verdict.reason}"
            self._add("leaves behind", CheckState.WARN, line)
            return
        if who.can_delete:
            line = "probes leave nothing: sessions are deleted with their history and attachments"
            self._add("leaves behind", CheckState.OK, f"{line}; sessions of load tests stay")
            return
        cure = who.why if "id" in who.why.split() else "remove them in AstrBot's dashboard"
        line = "sessions, their history and uploads stay: this key cannot delete them"
        self._add("leaves behind", CheckState.WARN, line, cure)


async def _has_api(ctx: Context) -> bool:
    """Whether AstrBot answers under `/api/v1`, which may be all that a reverse proxy passes."""
    answer = await ctx.call(SESSIONS, None, timeout_s=ctx.limits.connect_s)
    return answer.outcome is Outcome.UNAUTHORIZED and answer.detail == "Missing API key"


def check_of_key(key: Key, cells: list[ScopeCell]) -> DoctorCheck:
    """One key's row of the scope matrix in one line."""
    name = f"key {key.name}"
    allowed = ", ".join(cell.endpoint for cell in cells if cell.actual is Admission.ALLOWED) or "nothing"
    if all(cell.actual is Admission.UNKNOWN_KEY for cell in cells):
        cure = CURES[Outcome.UNAUTHORIZED]
        return DoctorCheck(
            name=name, state=CheckState.FAIL, line="refused (401)", cure=cure, outcome=Outcome.UNAUTHORIZED
        )
    for kind, cure in (
        ("leak", "it may do more than its stated scopes: correct the config or the key"),
        ("rejected", "it may do less than its stated scopes: correct the config or the key"),
    ):
        wrong = ", ".join(cell.endpoint for cell in cells if cell.violation == kind)
        if wrong:
            return DoctorCheck(
                name=name, state=CheckState.FAIL, line=f"{kind}: {wrong}; allowed: {allowed}", cure=cure
            )
    unclear = ", ".join(cell.endpoint for cell in cells if cell.actual is Admission.INCONCLUSIVE)
    if unclear:
        return DoctorCheck(
            name=name, state=CheckState.WARN, line=f"allowed: {allowed}; inconclusive: {unclear}"
        )
    return DoctorCheck(name=name, state=CheckState.OK, line=f"allowed: {allowed}")


def clock_offset(server_date: float, before: float, after: float) -> tuple[float, float]:
    """The server's clock minus ours, and how far off that may be, in seconds (epoch times in).

    The Date header has whole seconds (cut, not rounded) and was written between `before` and `after`.
    """
    lowest, highest = server_date - after, server_date + 1.0 - before
    return (lowest + highest) / 2, (highest - lowest) / 2
