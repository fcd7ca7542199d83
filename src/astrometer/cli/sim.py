"""`astrometer sim`: a simulated AstrBot in the foreground, until Ctrl-C."""

import json
import os
import signal
import threading

import click

from astrometer.cli.shared.messenger_options import messenger_exports, messenger_options
from astrometer.cli.shared.option_types import Duration, Parsed
from astrometer.cli.shared.without_effect import refuse, typed
from astrometer.targets.messenger.messenger_profile import MESSENGER, MessengerProfile
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import ServerDidNotStart, serve
from astrometer.targets.simulator.simulated_faults import (
    FaultError,
    FaultPlan,
    Planned,
    fault_kind,
)
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import (
    NEWEST_VERSION,
    SCOPES,
    Concurrency,
    MessengerConfig,
    SimulatedRateLimit,
    SimulatorConfig,
    default_keys,
)
from astrometer.targets.simulator.store import SimKey, new_key
from astrometer.targets.simulator.version_traits import Wire


def _keys(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, SimKey]:
    keys = default_keys()
    for value in values:
        name, equals, scopes = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{value!r}: NAME=SCOPE,SCOPE expected")
        wanted = [scope for scope in scopes.split(",") if scope]
        if unknown := set(wanted) - {*SCOPES, "*"}:
            raise click.BadParameter(
                f"{value!r}: unknown scope {', '.join(sorted(unknown))} (known: {', '.join(SCOPES)}, *)"
            )
        keys[name] = new_key(*wanted)
    return keys


def _faults(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Planned, ...]:
    plan = FaultPlan()
    for value in values:
        name, _, rate = value.partition("=")
        try:
            plan.add(Planned(kind=fault_kind(name), rate=float(rate or "1")))
        except FaultError as exc:
            raise click.BadParameter(str(exc)) from exc
        except ValueError as exc:
            raise click.BadParameter(f"{value!r}: KIND=RATE expected, like cut=0.1") from exc
    return tuple(plan.planned)


@click.command("sim", short_help="Run a simulated AstrBot on loopback until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on 127.0.0.1; 0: a free one.")
@click.option(
    "--version", "astrbot", default=NEWEST_VERSION, show_default=True,
    type=Parsed("text", lambda text: str(Wire.of(text))),
    help="AstrBot version to imitate, 4.18.0 to 4.29.x.",
)  # fmt: skip
@click.option(
    "--ttft", type=Duration(), default="200ms", show_default=True, help="Model's first token after."
)
@click.option(
    "--ttft-spread", type=click.Choice(["none", "exponential"]), default="none", show_default=True,
    help="exponential: every answer's first token after a time of its own, with --ttft as the mean.",
)  # fmt: skip
@click.option("--gap", type=Duration(), default="20ms", show_default=True, help="Time between tokens.")
@click.option("--tokens", type=click.IntRange(0), default=40, show_default=True, help="Tokens of an answer.")
@click.option(
    "--key", "keys", multiple=True, metavar="NAME=SCOPES", callback=_keys,
    help="One more key, e.g. reader=config,chat. Keys are random at every start.",
)  # fmt: skip
@click.option(
    "--rate-limit", default="30/60:stall", show_default=True, type=Parsed("text", SimulatedRateLimit.parse),
    metavar="COUNT/SECONDS[:stall|discard]|off", help="AstrBot's limit per session.",
)  # fmt: skip
@click.option(
    "--fault", "faults", multiple=True, metavar="KIND=RATE", callback=_faults,
    help="Share of requests that meet a fault, e.g. cut=0.1; POST /sim/faults changes it while it runs.",
)  # fmt: skip
@click.option(
    "--concurrency", metavar="N[:queue|refuse]", type=Parsed("text", Concurrency.parse),
    help="At most N answers at a time; a further chat waits its turn, or is refused with HTTP 429.",
)  # fmt: skip
@click.option(
    "--auth-cost", type=Duration(), default="0s", show_default=True,
    help="Time that each key check blocks the server; a real one needs about 35ms.",
)  # fmt: skip
@click.option(
    "--im-sink", is_flag=True, help="With an instant messenger, `onebot`, that notes what arrives in it."
)
@click.option(
    "--im-delay", type=Duration(), default="0s", show_default=True,
    help="Time from a push to its arrival there; POST /onebot/faults changes it while it runs.",
)  # fmt: skip
@messenger_options
@click.option(
    "--messenger-port", type=click.IntRange(0, 65535), default=0, help="Its port on 127.0.0.1; 0: a free one."
)
@click.option(
    "--ack-timeout", type=Duration(), default="180s", show_default=True,
    help="How long an action that the client does not answer holds up its session.",
)  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object: url, version, keys, key_ids, stop."
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    port: int,
    astrbot: str,
    ttft: float,
    ttft_spread: str,
    gap: float,
    tokens: int,
    keys: dict[str, SimKey],
    rate_limit: SimulatedRateLimit,
    faults: tuple[Planned, ...],
    auth_cost: float,
    concurrency: Concurrency | None,
    im_sink: bool,
    im_delay: float,
    messenger: bool,
    messenger_settings: MessengerProfile | None,
    messenger_port: int,
    ack_timeout: float,
    as_json: bool,
) -> None:
    """Run a simulated AstrBot on loopback until Ctrl-C.

    It speaks the HTTP API of the chosen version with a model of known timing. A prompt may carry
    directives, [[ttft=0.5 tokens=10 fail=500]] for the model and [sim:cut:3] for the server. Each event
    says in `_sent_ns` when it was sent.
    """
    if not im_sink:
        refuse(typed(ctx), ["im_delay"], "needs --im-sink")
    if not messenger and not messenger_settings:
        refuse(typed(ctx), ("messenger_port", "ack_timeout"), "needs --messenger")
    config = SimulatorConfig(
        version=astrbot,
        keys=keys,
        model=ModelScript(ttft_s=ttft, gap_s=gap, tokens=tokens),
        rate_limit=rate_limit,
        faults=faults,
        auth_cost_s=auth_cost,
        concurrency=concurrency,
        ttft_exponential=ttft_spread == "exponential",
        im_sink=im_sink,
        im_delay_s=im_delay,
        messenger=MessengerConfig(
            port=messenger_port,
            profile=messenger_settings or MessengerProfile(),
            ack_timeout_s=ack_timeout,
        )
        if messenger or messenger_settings
        else None,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        simulator = Simulator(config)
        with serve(simulator, port) as url:
            _tell(url, simulator, sink_url=f"{url}/onebot" if im_sink else None, as_json=as_json)
            while not stop.wait(0.5):
                pass
    except (OSError, ServerDidNotStart) as exc:
        raise click.ClickException(f"port {port}: {exc}") from exc


def _tell(url: str, simulator: Simulator, *, sink_url: str | None, as_json: bool) -> None:
    version, keys = simulator.config.version, dict(simulator.config.keys)
    messenger = simulator.messenger
    if as_json:
        told = {
            "url": url,
            "version": version,
            "keys": {name: key.secret for name, key in keys.items()},
            "key_ids": {name: key.key_id for name, key in keys.items()},
            "sink_url": sink_url,
            "messenger": None
            if messenger is None
            else {"url": messenger.url, "token": messenger.token, "platform": MESSENGER},
            "stop": f"kill {os.getpid()}",
        }
        click.echo(json.dumps(told))
        return
    lines = _page(url, version, keys, sink_url)
    if messenger is not None:
        lines.insert(-1, messenger_exports(messenger.url, messenger.token))
    click.echo("\n".join(lines))


def _page(url: str, version: str, keys: dict[str, SimKey], sink_url: str | None) -> list[str]:
    """Plain lines, which a narrow terminal can wrap and a mouse can copy."""
    lines = [f"AstrBot {version}, simulated, at {url}", "API keys"]
    lines += [f"  {name:<8} {key.secret}{_of_key(name, key)}" for name, key in keys.items()]
    lines.append(f"export ASTRBOT_URL={url} ASTRBOT_API_KEY={keys['all'].secret}")
    if sink_url is not None:
        lines.append(f"IM sink: {sink_url} (push to onebot:FriendMessage:1)")
    return [*lines, "Ctrl-C stops it."]


def _of_key(name: str, key: SimKey) -> str:
    """What its name does not say: its scopes, unless these are all or as it is called."""
    if name in {"revoked", "expired"} or key.scopes == {name} or set(SCOPES) <= set(key.scopes):
        return ""
    return f" ({', '.join(sorted(key.scopes)) or 'no scope'})"
