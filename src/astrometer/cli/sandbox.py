"""`astrometer sandbox`: a disposable real AstrBot. Parses, calls, prints."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from types import FrameType
from typing import Any, NoReturn

import click

from astrometer import exit_codes
from astrometer.cli.shared.messenger_options import messenger_exports, messenger_options
from astrometer.cli.shared.option_types import Duration
from astrometer.cli.shared.terminal import say
from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.targets.messenger.messenger_profile import MessengerProfile
from astrometer.targets.sandbox.box import STARTING_FAILED, SandboxOptions, sandbox
from astrometer.targets.sandbox.provision import ProvisionSettings, RateLimit, Strategy
from astrometer.targets.sandbox.sandbox_state import SandboxState, states, stop
from astrometer.targets.script import ModelScript
from astrometer.tethered import module_command


class RateLimitType(click.ParamType[RateLimit, Any]):
    """`30/60:stall` -> RateLimit."""

    name = "N/SECONDS[:stall|discard]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RateLimit:
        match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)(?::(stall|discard))?", str(value))
        if match is None:
            self.fail(
                f"{value!r}: expected MESSAGES/SECONDS, then :stall or :discard, as in 30/60:stall",
                param,
                ctx,
            )
        strategy = Strategy(match[3] or Strategy.STALL)
        return RateLimit(messages=int(match[1]), seconds=int(match[2]), strategy=strategy)


class DefaultGroup(click.Group):
    """`sandbox --astrbot ...` means `sandbox up --astrbot ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["up", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultGroup, short_help="Start a disposable REAL AstrBot with a stub model behind it.")
def command() -> None:
    """Start a disposable REAL AstrBot with a stub model behind it.

    `astrometer sandbox` alone means `astrometer sandbox up`.
    """


@command.command()
@click.option(
    "--astrbot", "version", default="latest", show_default=True,
    help="AstrBot version, 4.18.0 or newer; or the path of a wheel or a checkout.",
)  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.  [default: 0]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready, keys included.")
@click.option("--detach", is_flag=True, help="Return when ready; end it with `sandbox down`.")
@click.option("--rate-limit", type=RateLimitType(), help="Per session. Default: AstrBot's own, 30/60:stall.")
@click.option(
    "--model-timeout", type=click.IntRange(1, 3600), default=20, show_default=True,
    help="Seconds AstrBot waits for the model.",
)  # fmt: skip
@click.option(
    "--im-sink",
    is_flag=True,
    help="With an instant messenger, `onebot`, that notes what IM pushes deliver into it.",
)
@messenger_options
@click.option("--no-model", is_flag=True, help="Switch the model off in AstrBot's settings.")
@click.option(
    "--ttft", type=Duration(), default="200ms", show_default=True, help="Model's first token after."
)
@click.option("--gap", type=Duration(), default="20ms", show_default=True, help="Time between tokens.")
@click.option("--tokens", type=click.IntRange(0), default=40, show_default=True, help="Length of an answer.")
@click.pass_context
def up(
    ctx: click.Context,
    /,
    *,
    version: str,
    port: int,
    as_json: bool,
    detach: bool,
    rate_limit: RateLimit | None,
    model_timeout: int,
    im_sink: bool,
    messenger: bool,
    messenger_settings: MessengerProfile | None,
    no_model: bool,
    ttft: float,
    gap: float,
    tokens: int,
) -> None:
    """Start one and stay until Ctrl-C, which leaves nothing behind.

    The first start of a version installs it into a cache. A prompt can steer the stub model:
    "[[ttft=0.5 gap=0.01 tokens=100]]", "[[fail=500]]", "[[stall=3]]", "[[drop=3]]".
    """
    if no_model:
        refuse(typed(ctx), ("model_timeout", "ttft", "gap", "tokens"), "cannot be combined with --no-model")
    if detach:
        _detached(as_json)
    options = SandboxOptions(
        version=version,
        port=port,
        settings=ProvisionSettings(
            rate_limit=rate_limit, model_timeout_s=model_timeout, model_enabled=not no_model
        ),
        model=ModelScript(ttft_s=ttft, gap_s=gap, tokens=tokens),
        im_sink=im_sink,
        messenger=messenger_settings or (MessengerProfile() if messenger else None),
    )
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        with sandbox(options, say=say) as box:
            facts = box.describe()
            click.echo(json.dumps(facts) if as_json else _page(facts))
            sys.stdout.flush()
            while box.server_running:
                threading.Event().wait(0.5)
            click.echo("AstrBot ended by itself", err=True)
            raise SystemExit(exit_codes.UNREACHABLE)
    except STARTING_FAILED as exc:
        click.echo(f"sandbox: {exc}", err=True)
        raise SystemExit(exit_codes.UNREACHABLE) from exc


@command.command()
@click.argument("identity", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="All of them, whoever started them.")
def down(identity: str | None, every: bool) -> None:
    """End a running sandbox, or what a killed one left behind."""
    found = states()
    if identity:
        if every:
            raise click.UsageError("--all cannot be combined with an ID")
        found = [state for state in found if state.id == identity]
        if not found:
            raise click.UsageError(f"no sandbox {identity!r}; `astrometer sandbox list` shows them")
    elif len(found) > 1 and not every:
        raise click.UsageError("several are running: name one (`astrometer sandbox list`) or say --all")
    for state in found:
        stop(state)
        click.echo(f"ended {state.id} (AstrBot {state.version})")
    if not found:
        click.echo("no sandbox is running")


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_(as_json: bool) -> None:
    """Show the running sandboxes, and what killed ones left behind."""
    found = states()
    if as_json:
        rows = [
            {"id": s.id, "version": s.version, "url": s.url, "pid": s.owner_pid, "state": _word(s)}
            for s in found
        ]
        click.echo(json.dumps(rows))
        return
    for state in found:
        click.echo(f"{state.id}  AstrBot {state.version}  {state.url or '-'}  {_word(state)}")
    if not found:
        click.echo("no sandbox is running")


def _word(state: SandboxState) -> str:
    if state.owner is None:
        return "left behind"
    return "running" if state.url else "starting"


def _leave(number: int, _: FrameType | None) -> NoReturn:
    # A second signal must not interrupt the cleaning up that the first one began.
    for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(exit_codes.PASS if number == signal.SIGINT else 128 + number)


def _page(facts: dict[str, Any]) -> str:
    keys = "\n".join(f"  {name:<8} {secret}" for name, secret in facts["keys"].items())
    board = facts["dashboard"]
    sink = f"IM sink      {facts['sink_url']} (onebot:FriendMessage:1)\n" if facts["sink_url"] else ""
    return (
        f"AstrBot {facts['version']} is ready: {facts['url']}\n"
        f"dashboard    {board['username']} / {board['password']}\n"
        f"stub model   {facts['stub_url']}/stub/requests\n"
        f"{sink}{_messenger(facts)}log          {facts['log']}\n"
        f"API keys\n{keys}\n"
        f"Try it:      ASTRBOT_URL={facts['url']} ASTRBOT_API_KEY={facts['keys']['all']} "
        f"astrometer probe --once\n"
        f"Stop it:     Ctrl-C here, or {facts['stop']}"
    )


def _messenger(facts: dict[str, Any]) -> str:
    access = facts["messenger"]
    if access is None:
        return ""
    return f"messenger    {messenger_exports(access['url'], access['token'])}\n"


def _detached(as_json: bool) -> NoReturn:
    """Run the same command in the background and return when it is ready."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    if not as_json:
        arguments.append("--json")
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen(  # noqa: S603
            module_command("astrometer", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )
        try:
            line = child.stdout.readline() if child.stdout else ""
        except BaseException:
            child.terminate()
            child.wait(30)
            raise
        if not line:
            said.seek(0)
            click.echo(said.read(), err=True, nl=False)
            raise SystemExit(child.wait())
    click.echo(line.rstrip("\n") if as_json else _page(json.loads(line)))
    child.returncode = 0  # it stays, on purpose: no "subprocess is still running" warning
    raise SystemExit(exit_codes.PASS)
