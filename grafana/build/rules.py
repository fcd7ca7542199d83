"""thresholds.toml -> recording.yaml and alerts.yaml. `--check` proves that they are up to date."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from rulebook import alerts, recording
from rulebook.thresholds import Thresholds, ThresholdsError, load

RULES = Path(__file__).resolve().parents[1] / "rules"
HEADER = "# Built by grafana/build/rules.py from thresholds.toml and astrometer's tables. Do not edit.\n"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 (yaml's signature)
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def build(thresholds: Thresholds) -> dict[str, str]:
    """File name -> its text. Raises ThresholdsError."""
    files = {"recording.yaml": recording.groups(thresholds), "alerts.yaml": alerts.groups(thresholds)}
    thresholds.refuse_unread()
    return {
        name: HEADER + yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=1000)
        for name, groups in files.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """0 written or up to date, 1 out of date, 2 thresholds that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thresholds", type=Path, default=RULES / "thresholds.toml", metavar="FILE")
    parser.add_argument("--out", type=Path, default=RULES, metavar="DIR", help="where the rules go")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    options = parser.parse_args(arguments)
    try:
        built = build(load(options.thresholds))
    except ThresholdsError as exc:
        print(exc, file=sys.stderr)
        return 2
    stale = [name for name, text in built.items() if _read(options.out / name) != text]
    if options.check:
        for name in stale:
            print(f"{options.out / name} is out of date: run python grafana/build/rules.py", file=sys.stderr)
        return 1 if stale else 0
    options.out.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (options.out / name).write_text(built[name], "utf-8")
    print(f"{options.out}: {', '.join(stale) if stale else 'nothing'} written")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
