"""What `astrometer probe --check` says of a few configs -> the same lines in README and docs.

They name how many probes there are and what a day of them costs, and so change with every probe.
"""

import os
import re
import tempfile
from contextlib import chdir
from pathlib import Path

from click.testing import CliRunner

from astrometer import bundled
from astrometer.api.chat.chat_turn import TOKENS_PER_TURN
from astrometer.cli import main as astrometer
from astrometer.probing.budget import DAY_S
from astrometer.probing.probe_files import load_folder

ROOT = Path(__file__).parents[1]
MOST = 100_000  # tokens of a day of all probes by default
ONE_TARGET = '[targets.prod]\nurl = "http://127.0.0.1:6185"\nkeys.main = { file = "astrbot_key" }\n'
OF_FIRST_CONFIG = re.compile(r"```toml\n(# astrometer\.toml\n.*?)```", re.DOTALL)
SUMMARY = r"(?:environment|astrometer\.toml): \d+ targets?, \d+ probe runs each round, [^:)\n]*"
COST = r"\w+: about [\d,]+ tokens a day \(\d+ turns .*"
QUESTIONS = re.compile(r"model \d+ times, about\n[\d,]+ tokens at [\d,]+ a turn: [\d,]+ tokens less")


def pages() -> dict[Path, str]:
    """The pages with these lines made anew."""
    made = {}
    for name in ("README.md", "README.zh-CN.md"):
        made[ROOT / name] = filled(ROOT / name, ONE_TARGET)
    for name in ("docs/how-to/watch-production.md", "docs/zh-CN/watch-production.md"):
        config = OF_FIRST_CONFIG.search((ROOT / name).read_text("utf-8"))
        if config is None:
            raise SystemExit(f"{name}: no config")
        made[ROOT / name] = filled(ROOT / name, config[1])
    exporter = ROOT / "docs/reference/exporter.md"
    return {**made, exporter: filled(exporter, None)}


def filled(page: Path, config: str | None) -> str:
    said = check(config)
    text = page.read_text("utf-8")
    for pattern in (COST, SUMMARY):
        (line,) = re.findall(pattern, said)
        text, found = re.subn(pattern, lambda _, line=line: line, text)
    if not found:
        raise SystemExit(f"{page}: no place for what `probe --check` says: {said}")
    return text


def check(config: str | None) -> str:
    """What `probe --check` says; None: target and key are in the environment."""
    environment = {name: None for name in os.environ if name.startswith(("ASTRBOT", "ASTROMETER"))}
    if config is None:
        environment |= {"ASTRBOT_URL": "http://127.0.0.1:6185", "ASTRBOT_API_KEY": "abk_any"}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        if config is not None:
            Path("astrometer.toml").write_text(config, "utf-8")
            Path("astrbot_key").write_text("abk_any", "utf-8")
        done = CliRunner().invoke(astrometer, ["probe", "--check"], env=environment)
    if done.exit_code:
        raise SystemExit(f"probe --check: {done.output}")
    return done.stdout


def with_sum(text: str) -> str:
    """docs/reference/probes.md with the sum of a day of all probes that need no messenger."""
    probes = load_folder(bundled.folder("probes")).probes.values()
    paid = [probe for probe in probes if probe.costs_tokens and not probe.needs_messenger]
    turns = round(sum(probe.turns * DAY_S / probe.interval_s for probe in paid))
    cost = turns * TOKENS_PER_TURN
    left = f"{cost:,} tokens at {TOKENS_PER_TURN:,} a turn: {MOST - cost:,} tokens less"
    text, found = QUESTIONS.subn(f"model {turns} times, about\n{left}", text)
    if found != 1:
        raise SystemExit("docs/reference/probes.md: no place for the cost of a day")
    return text
