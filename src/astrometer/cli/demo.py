"""`astrometer demo`: a simulated AstrBot, a mixed load on it, then every probe, by commands one can type.

Simulator, load and probes are processes of their own, so that none takes another's time on an interpreter.
Each is in a session of its own: Ctrl-C reaches this process alone, which passes it on and then cleans up.
"""

import json
import math
import selectors
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from astrometer import exit_codes
from astrometer.cli.parts.child_processes import Interrupts, end, environ_with, start
from astrometer.cli.shared.option_types import duration_option
from astrometer.measure.results import document

TTFT = "200ms"
GAP = "20ms"
TOKENS = "40"
SLOS = ("ttft_p95 < 1s", "errors < 1%")
# A p95 wants 200 answers; a user of the mixed run asks every few seconds, and some do not chat at all.
USER_SECONDS = 2400
START_TIMEOUT_S = 30.0


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The running simulator. `keys` by name, `key_ids` as the server knows them."""

    url: str
    version: str
    keys: Mapping[str, str]
    key_ids: Mapping[str, str]


@click.command("demo", short_help="Show everything in under a minute, without an AstrBot.")
@duration_option("--duration", default="30s", help="How long to load.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo-report"), show_default=True,
    help="Directory of results.json and report.html.",
)  # fmt: skip
@click.option("--users", type=click.IntRange(1), help="Default: enough for a p95 in that time.")
def command(*, duration: float, out: Path, users: int | None) -> None:
    """Show everything in under a minute, without an AstrBot.

    Starts the simulator, runs the mixed load scenario against it with live progress, then every probe once,
    and writes results.json and report.html. Exit codes: those of the load run, else of the probes; but a
    machine too busy to measure on (INVALID) has shown what there is to show, and is no failure here.
    """
    number = users or min(200, max(20, math.ceil(USER_SECONDS / duration)))
    try:
        with Interrupts().watched() as interrupts, _simulator(interrupts) as simulated:
            code = _tour(interrupts, simulated, duration_s=duration, users=number, out=out)
    except KeyboardInterrupt:
        code = exit_codes.INTERRUPTED
    except DemoError as exc:
        click.echo(f"Error: {exc}", err=True)
        code = exit_codes.UNREACHABLE
    if code == exit_codes.INTERRUPTED:
        click.echo("Interrupted; the simulator is stopped.", err=True)
    raise SystemExit(code)


def _tour(interrupts: Interrupts, simulated: Simulated, *, duration_s: float, users: int, out: Path) -> int:
    _say(
        f"A simulated AstrBot {simulated.version} is at {simulated.url}. Its model's first token comes after "
        f"{TTFT}, the other {int(TOKENS) - 1} every {GAP}: compare with what is measured."
    )
    load = [
        *("load", "mixed", "--host", simulated.url),
        *("--users", str(users), "--duration", f"{math.ceil(duration_s)}s"),
        *(part for slo in SLOS for part in ("--slo", slo)),
        *("--out", str(out), "--target-version", simulated.version),
    ]
    _say_command(load)
    load_code = interrupts.run(load, environ_with({"ASTRBOT_API_KEY": simulated.keys["all"]}))
    if interrupts.seen:
        return exit_codes.INTERRUPTED
    with tempfile.TemporaryDirectory(prefix="astrometer-demo-") as folder:
        settings = Path(folder) / "astrometer.toml"
        settings.write_text(probe_settings(simulated), "utf-8")
        _say_command(["probe", "--once", "--config", "astrometer.toml"])
        names = {_variable(name): secret for name, secret in simulated.keys.items()}
        probe_code = interrupts.run(["probe", "--once", "--config", str(settings)], environ_with(names))
    if interrupts.seen:
        return exit_codes.INTERRUPTED
    _conclude(out)
    if load_code == exit_codes.INVALID and (out / document.FILE_NAME).exists():
        causes = "; ".join(cause["sentence"] for cause in document.read(out)["causes"])
        _say(f"\nThe verdict of the load is INVALID ({causes}): a real run would exit 3.")
        return probe_code
    return load_code or probe_code


def probe_settings(simulated: Simulated) -> str:
    """An `astrometer.toml` with one key per scope, as a careful operator would have it."""
    lines = ["[targets.simulator]", f"url = {json.dumps(simulated.url)}"]
    for name in ("chat", "config", "file", "im"):
        lines += [
            f"[targets.simulator.keys.{name}]",
            f"env = {json.dumps(_variable(name))}",
            f"scopes = [{json.dumps(name)}]",
        ]
        if name in simulated.key_ids:
            lines.append(f"id = {json.dumps(simulated.key_ids[name])}")
    return "\n".join([*lines, ""])


@contextmanager
def _simulator(interrupts: Interrupts) -> Iterator[Simulated]:
    arguments = ("sim", "--json", "--ttft", TTFT, "--gap", GAP, "--tokens", TOKENS)
    child = None
    try:
        with interrupts.held():
            child = start(arguments, environ_with({}), stdout=subprocess.PIPE)
        yield _introduction(child)
    finally:
        if child is not None:
            end(child)


def _introduction(child: subprocess.Popen[bytes]) -> Simulated:
    """What `astrometer sim --json` says of itself. Raises DemoError."""
    if child.stdout is None:
        raise DemoError("the simulator's output is not connected")
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if not selector.select(START_TIMEOUT_S):
            raise DemoError(f"the simulator did not start within {START_TIMEOUT_S:.0f} s")
    line = child.stdout.readline()
    try:
        told = json.loads(line)
    except ValueError as exc:
        raise DemoError(f"the simulator did not start (exit code {child.poll()})") from exc
    return Simulated(
        url=told["url"], version=told["version"], keys=told["keys"], key_ids=told.get("key_ids", {})
    )


def _variable(name: str) -> str:
    return f"ASTRBOT_DEMO_{name.upper()}_KEY"


def _say(text: str) -> None:
    sys.stdout.flush()
    click.echo(text)
    sys.stdout.flush()


def _say_command(arguments: Sequence[str]) -> None:
    _say(f"\n{click.style('$', dim=True)} {click.style(shlex.join(['astrometer', *arguments]), bold=True)}")


def _conclude(out: Path) -> None:
    _say(f"\nOpen {out / 'report.html'} in a browser; {out / 'results.json'} is the same for programs.")
    _say(
        "Next, with an AstrBot of your own: export ASTRBOT_API_KEY=..., then\n"
        "  astrometer doctor --host URL                # is it ready for a test?\n"
        "  astrometer load chat --host URL --users 5   # how fast does it answer?\n"
        "  astrometer capacity chat --host URL --slo 'ttft_p50 < 2s'   # how many people at once?\n"
        "  astrometer probe --once --host URL          # is it well?\n"
        "A real model costs tokens: --budget-tokens N ends a run in time. `astrometer sandbox` starts a real "
        "AstrBot with a model that costs nothing."
    )
