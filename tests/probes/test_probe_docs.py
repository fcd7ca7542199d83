"""write-a-probe.md runs as printed, and names what there is."""

import asyncio
import re
from pathlib import Path

from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.runner import Runner

DOCS = Path(__file__).parents[2] / "docs"


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
