"""write-a-probe.md runs as printed, and reference/probes.md names every probe and option."""

import asyncio
import re
from pathlib import Path

from astrometer import bundled
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.runner import Runner
from astrometer.units import parse_duration

DOCS = Path(__file__).parents[2] / "docs"
OURS = load_folder(bundled.folder("probes")).probes


def test_the_example_is_ten_lines_and_runs(bench, tmp_path):
    text = (DOCS / "how-to" / "write-a-probe.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "capital.py").write_text(code)
    folder = load_folder(tmp_path)
    assert folder.broken == ()
    probe = folder.probes["capital"]
    run = asyncio.run(Runner().run(Plan(target=bench.target("all"), probe=probe)))
    assert run.reason == "ok"
    assert (probe.scopes, probe.costs_tokens) == (("chat",), True)
    assert bench.sessions() == []


def test_what_the_guide_says_of_ctx_is_there():
    from astrometer.probing.context import Context

    text = (DOCS / "how-to" / "write-a-probe.md").read_text("utf-8")
    table = text.split("## What `ctx` offers")[1].split("## Verdicts")[0]
    named = set(re.findall(r"ctx\.(\w+)", table))
    assert {"chat", "attach", "download", "cleanup"} <= named
    assert [name for name in named - {"nonce"} if not hasattr(Context, name)] == []


def test_every_probe_is_documented_with_its_interval_and_scopes():
    text = (DOCS / "reference" / "probes.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+ (?:s|min|h)) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    assert {name for name, *_ in rows} == set(OURS)
    for name, interval, scopes, tokens in rows:
        probe = OURS[name]
        assert parse_duration(interval.replace(" ", "").replace("min", "m")) == probe.interval_s, name
        wanted = ("[messenger](#the-messenger)",) if probe.needs_messenger else probe.scopes
        assert scopes.startswith("any") or tuple(scopes.split(", ")) == wanted, name
        assert (tokens != "none") == probe.costs_tokens, name


def test_every_option_is_documented_and_no_other():
    text = (DOCS / "reference" / "probes.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(\w+\.\w+)` \|", text, re.MULTILINE))
    assert documented == {f"{name}.{option}" for name, probe in OURS.items() for option in probe.options}
