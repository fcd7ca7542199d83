"""The AstrBot that `astrometer messenger` changes: visits to it, each with a deadline and an exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from astrometer import exit_codes
from astrometer.api.outcome import Outcome
from astrometer.cli.shared.server_options import Server, warn_of_unverified
from astrometer.config.settings import Key, Target
from astrometer.outside_text import shown
from astrometer.probing.context import Context
from astrometer.probing.messenger_setup.adapter_plan import check_id
from astrometer.probing.messenger_setup.management import CONFIG, Management, SetupRefused
from astrometer.probing.one_off import run_function
from astrometer.probing.runner import Runner
from astrometer.probing.target_checks.scopes import has_management
from astrometer.probing.verdict import ProbeRun, Verdict

T = TypeVar("T")
NO_KEY = (
    "no API key with the scope config, which includes bot. Make one in AstrBot's WebUI for this, and revoke "
    "it afterwards: the probe does not need it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit to the server, and how it ended. `refused`: before anything was changed."""

    run: ProbeRun
    refused: bool

    @property
    def exit_code(self) -> int:
        if self.run.reason == Outcome.CLIENT_CANCEL:
            return exit_codes.INTERRUPTED
        if self.run.unreachable:
            return exit_codes.UNREACHABLE
        return exit_codes.USAGE if self.refused else exit_codes.FAILED

    def explain(self, cure: str = "") -> None:
        """Why it failed, and what is left to do."""
        run = self.run
        click.echo(f"Error: {run.url}: {shown(run.detail, 600) or run.reason}", err=True)
        if run.cleanup_failures:
            left = shown(", ".join(run.cleanup_failures))
            click.echo(f"Not everything was taken back ({left}). Remove it with: {cure}", err=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerServer:
    """`config_file` None: a target of --host, or of the environment."""

    target: Target
    key: Key
    adapter_id: str
    timeout_s: float
    config_file: str | None

    @classmethod
    def of(cls, server: Server, adapter_id: str, timeout_s: float) -> "MessengerServer":
        """Raises UserError, click.UsageError."""
        check_id(adapter_id)
        config = server.config()
        target = config.target()
        warn_of_unverified([target])
        key = target.key_for(CONFIG)
        if key is None:
            raise click.UsageError(f"{target.name}: {NO_KEY}")
        file = config.source if Path(config.source).is_file() else None
        return cls(target=target, key=key, adapter_id=adapter_id, timeout_s=timeout_s, config_file=file)

    @property
    def folder(self) -> Path:
        """What files of the configuration are relative to."""
        return Path() if self.config_file is None else Path(self.config_file).parent

    def look(
        self, what: Callable[[Management, str], Awaitable[T]], by_hand: Callable[[], Iterable[str]]
    ) -> T:
        """What is there; else the end of the command, before 4.26 with what to do by hand."""
        found: list[T] = []

        async def ask(management: Management) -> None:
            if await has_management(management.ctx):
                found.append(await what(management, self.adapter_id))

        visit = self.visit(ask)
        if not visit.run.ok:
            visit.explain()
            sys.exit(visit.exit_code)
        if not found:
            for line in by_hand():
                click.echo(line, err=True)
            sys.exit(exit_codes.USAGE)
        return found[0]

    def visit(self, function: Callable[[Management], Awaitable[None]], target: Target | None = None) -> Visit:
        """Ctrl-C lets it take back what it made. `target`: the same one, with more secrets to hide."""
        refused: list[SetupRefused] = []

        async def probe(ctx: Context) -> Verdict:
            try:
                await function(Management(ctx, self.key))
            except SetupRefused as exc:
                refused.append(exc)
                return exc.verdict
            return Verdict.passed()

        async def run() -> ProbeRun:
            runner = Runner()
            runner.cut_at_signals()
            return await run_function(
                target or self.target, "messenger", probe, self.timeout_s, runner=runner
            )

        return Visit(run=asyncio.run(run()), refused=bool(refused))
